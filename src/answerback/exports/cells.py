"""A column of the ledger's values -> a column of cells, in bulk: a list at a time, never a row."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from answerback.exports.columns import Column, ColumnType

_MOST_MINUTES = 65_536
_TWO_DIGITS = tuple(f"{number:02}" for number in range(60))

Values = Sequence[Any]


class _Minutes(dict[int, str]):
    """Minutes since 1970 -> `2026-11-23T15:31:`; times of an export are near each other."""

    def __missing__(self, minute: int) -> str:
        if len(self) >= _MOST_MINUTES:
            self.clear()
        text = self[minute] = datetime.fromtimestamp(minute * 60, UTC).isoformat()[:17]
        return text


_minutes = _Minutes()


def format_seconds(values: Values, nothing: str | None = None) -> list[str | None]:
    """ISO 8601 in UTC of Unix seconds; `nothing` for None."""
    minutes, digits = _minutes, _TWO_DIGITS
    return [nothing if s is None else f"{minutes[s // 60]}{digits[s % 60]}Z" for s in values]


def format_microseconds(values: Values, nothing: str | None = None) -> list[str | None]:
    """ISO 8601 in UTC of microseconds since 1970, without a fraction where there is none, as in /v1."""
    minutes, digits = _minutes, _TWO_DIGITS
    return [
        nothing
        if us is None
        else f"{minutes[us // 60_000_000]}{digits[us // 1_000_000 % 60]}.{us % 1_000_000:06}Z"
        if us % 1_000_000
        else f"{minutes[us // 60_000_000]}{digits[us // 1_000_000 % 60]}Z"
        for us in values
    ]


def format_column(column: Column, values: Values, *, full_numbers: bool, nothing: str | None = None) -> Values:
    """The cells of `column`: times as text, `nothing` for a time that is not known, the others as they may be shown."""
    match column.type:
        case ColumnType.SECONDS:
            return format_seconds(values, nothing)
        case ColumnType.MICROSECONDS:
            return format_microseconds(values, nothing)
        case _:
            return mask_column(column, values, full_numbers=full_numbers)


def mask_column(column: Column, values: Values, *, full_numbers: bool) -> Values:
    """The same values, with the numbers in them hidden unless they may be seen."""
    if column.type is ColumnType.BODY:
        values = [raw.decode("utf-8", "replace") for raw in values]
    hide = column.mask
    if full_numbers or hide is None:
        return values
    return [hide(text) if text else text for text in values]


def is_all_none(values: Values) -> bool:
    """Whether there is nothing in a column, which is often so."""
    return values[0] is None and values[-1] is None and values.count(None) == len(values)


def is_all_same(values: Values) -> bool:
    """Whether a column says the same in every row, which is often so."""
    return bool(values[0] == values[-1]) and values.count(values[0]) == len(values)


def transpose(
    columns: Sequence[Column], rows: Sequence[tuple[Any, ...]], convert: Callable[[Column, Values], Values]
) -> list[Values]:
    """`rows`, of which there is at least one, turned on their side and each column converted."""
    return [convert(column, values) for column, values in zip(columns, zip(*rows, strict=True), strict=True)]
