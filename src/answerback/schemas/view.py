"""What all views share."""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from answerback.domain.masking import mask_fields
from answerback.domain.models import Page

S = TypeVar("S")
T = TypeVar("T")


class View(BaseModel):
    """A shape that a reader sees in JSON: times are ISO 8601 in UTC, numbers masked unless the reader may see them in full."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def read_from(cls, source: object, *, full_numbers: bool = False, **own: Any) -> Self:
        """The view with the attributes of `source`, or `own` values in their place, masked unless `full_numbers`."""
        values = own | {name: getattr(source, name) for name in cls.model_fields if name not in own}
        return cls(**mask_fields(values, full_numbers=full_numbers))


class PageView(View, Generic[T]):
    """A page: its items, and the cursor of the next page, or null."""

    items: list[T]
    next_cursor: str | None = None

    @classmethod
    def of(cls, page: Page[S], view: Callable[[S], T]) -> "PageView[T]":
        return PageView(items=[view(item) for item in page.items], next_cursor=page.next_cursor)


class Problem(View):
    """An error: what is wrong with a request, and where."""

    detail: str
    field: str | None = None
    channels: list[str] | None = None
