"""Secrets that are not in the environment itself: in a file that a variable names, or in one of systemd's credentials."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr

from answerback.errors import ConfigError

CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"

_FILE_SUFFIX = "_file"
_MAX_BYTES = 64 * 1024


def with_secret_files(
    settings: type[BaseModel], prefix: str, variables: Mapping[str, str | None]
) -> dict[str, str | None]:
    """`variables`, by their names in lower case, with the secrets that files hold. Raises ConfigError that names the variable.

    `<PREFIX><SECTION>__<NAME>_FILE` names the file of a secret setting; a credential has the name of the variable itself.
    A file holds one secret, without the white space around it; where a setting is a list, one on each line.
    """
    known = dict(variables)
    for name, source, path in _files(settings, prefix.lower(), variables):
        if known.get(name) is not None:
            raise ConfigError(f"{source}: the setting is given twice, {name.upper()} has it as well")
        known.pop(source.lower(), None)
        known[name] = _read(source, path, is_list=get_origin(_find(settings, _place(name, prefix))) is tuple)
    return known


def _files(
    settings: type[BaseModel], prefix: str, variables: Mapping[str, str | None]
) -> Iterator[tuple[str, str, Path]]:
    """The variable that each file stands for, what an error calls it, and where it is."""
    for name, value in variables.items():
        stem = name.removesuffix(_FILE_SUFFIX)
        is_file = name.startswith(prefix) and stem != name and _is_secret(_find(settings, _place(stem, prefix)))
        if is_file and value is not None:
            yield stem, name.upper(), Path(value)
    if directory := os.environ.get(CREDENTIALS_DIRECTORY):
        try:
            found = sorted(Path(directory).iterdir())
        except OSError as error:
            raise ConfigError(f"{CREDENTIALS_DIRECTORY}: {directory}: {error.strerror}") from error
        for path in found:
            name = path.name.lower()
            if not name.startswith(prefix):
                continue
            if not _is_secret(_find(settings, _place(name, prefix))):
                raise ConfigError(f"credential {path.name}: there is no secret setting of that name")
            yield name, f"credential {path.name}", path


def _place(variable: str, prefix: str) -> list[str]:
    return variable[len(prefix) :].split("__")


def _find(model: Any, place: list[str]) -> Any:
    """The type of the setting at `place`, or None."""
    for name in place:
        if get_origin(model) is dict:
            model = get_args(model)[1]
        elif isinstance(model, type) and issubclass(model, BaseModel) and name in model.model_fields:
            model = model.model_fields[name].annotation
        else:
            return None
    return model


def _is_secret(kind: Any) -> bool:
    """Whether it is a secret, perhaps none, or a list of them."""
    return kind is SecretStr or (get_origin(kind) is not dict and any(map(_is_secret, get_args(kind))))


def _read(source: str, path: Path, *, is_list: bool) -> str:
    """What a file holds, as a variable would; no error shows any of it."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1).decode()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise ConfigError(f"{source}: {path}: {reason}") from None  # the decoder's error would show what it read
    if len(text) > _MAX_BYTES:
        raise ConfigError(f"{source}: {path}: is larger than {_MAX_BYTES} bytes")
    if not text.strip():
        raise ConfigError(f"{source}: {path}: is empty")
    return json.dumps(text.split()) if is_list else text.strip()
