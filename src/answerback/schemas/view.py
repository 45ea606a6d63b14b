"""What all views share."""

from collections.abc import Callable
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import VERSION, BaseModel, ConfigDict, Field

from answerback.domain.masking import mask_fields
from answerback.domain.models import Page

S = TypeVar("S")
T = TypeVar("T")

Items = Annotated[list[T], Field(fail_fast=True)]
"""A list that is refused with its first wrong item: an error for each would fill the memory of whoever reads it."""

DICTS_FAIL_FAST = tuple(map(int, VERSION.split(".")[:2])) >= (2, 14)
"""Whether this pydantic can do so with a dict; an older one refuses to be asked."""

Entries = Annotated[dict[str, T], Field(fail_fast=True) if DICTS_FAIL_FAST else Field()]
"""Values by name, refused in the same way where that can be done."""


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

    items: Items[T]
    next_cursor: str | None = None

    @classmethod
    def of(cls, page: Page[S], view: Callable[[S], T]) -> "PageView[T]":
        return PageView(items=[view(item) for item in page.items], next_cursor=page.next_cursor)


class Problem(View):
    """An error: what is wrong with a request, and where."""

    detail: str
    field: str | None = None
    channels: Items[str] | None = None
