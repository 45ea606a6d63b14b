"""What all views share."""

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")


class View(BaseModel):
    """A shape that a reader sees in JSON: times are ISO 8601 in UTC, numbers masked unless the reader may see them in full."""

    model_config = ConfigDict(frozen=True)


class PageView(View, Generic[T]):
    """A page: its items, and the cursor of the next page, or null."""

    items: list[T]
    next_cursor: str | None = None


class Problem(View):
    """An error: what is wrong with a request, and where."""

    detail: str
    field: str | None = None
    channels: list[str] | None = None
