"""What differs between two configurations, and whether a running gateway can take it over."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from answerback.config.section import RELOADABLE
from answerback.config.settings import Settings, format_value
from answerback.errors import ConfigError


class SettingChange(NamedTuple):
    """One setting that differs; `words` show no secret."""

    setting: str
    words: str
    is_reloadable: bool

    def __str__(self) -> str:
        return f"{self.setting}: {self.words}"


def find_changes(before: Settings, after: Settings) -> list[SettingChange]:
    """Every setting that differs, in the order of the reference."""
    return [
        change
        for name, field in Settings.model_fields.items()
        for change in _walk(name, field, getattr(before, name), getattr(after, name), is_reloadable=False)
    ]


def check_reloadable(changes: Iterable[SettingChange]) -> None:
    """Raise ConfigError that names what a running gateway cannot take over."""
    if fixed := [change.setting for change in changes if not change.is_reloadable]:
        raise ConfigError(f"{', '.join(fixed)}: cannot be changed without a restart")


def _walk(
    place: str, field: FieldInfo | None, before: Any, after: Any, *, is_reloadable: bool
) -> Iterator[SettingChange]:
    """The changes at `place` and below it; what is reloadable is so with all that it holds."""
    if before == after:
        return
    is_reloadable = is_reloadable or (field is not None and field.json_schema_extra == RELOADABLE)
    if isinstance(before, BaseModel) and type(before) is type(after):
        for name, inner in type(before).model_fields.items():
            yield from _walk(
                f"{place}.{name}", inner, getattr(before, name), getattr(after, name), is_reloadable=is_reloadable
            )
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted(before.keys() | after.keys()):
            inside = f"{place}.{name}"
            yield from _walk(inside, None, before.get(name), after.get(name), is_reloadable=is_reloadable)
    else:
        yield SettingChange(place, _describe_change(place, before, after), is_reloadable)


def _describe_change(place: str, before: object, after: object) -> str:
    if before is None and isinstance(after, BaseModel):
        return "added"
    if after is None and isinstance(before, BaseModel):
        return "removed"
    if any(map(_is_hidden, (before, after))) or isinstance(after, BaseModel) or place.endswith("url"):
        return "changed"
    return f"{format_value(before) or '-'} -> {format_value(after) or '-'}"


def _is_hidden(value: object) -> bool:
    return isinstance(value, SecretStr) or (isinstance(value, tuple) and any(map(_is_hidden, value)))
