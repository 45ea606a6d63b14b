"""Profiles: remote gateways that somebody logged in to, a file for each that only its owner can read."""

import os
import re
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import msgspec

from answerback.errors import ConfigError, describe_os_error

DEFAULT_PROFILE = "default"
DIRECTORY_VARIABLE = "ANSWERBACK_PROFILE_DIR"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SUFFIX = ".json"
_OWNER_ONLY = 0o700
_OTHERS = 0o077


class Profile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A gateway, the key for it, and the certificates of its authority in PEM, if that is a private one."""

    url: str
    key: str
    ca: str | None = None

    def __repr__(self) -> str:
        return f"Profile({self.url})"


def profile_directory() -> Path:
    """Where the profiles are."""
    if chosen := os.environ.get(DIRECTORY_VARIABLE):
        return Path(chosen)
    home = os.path.expanduser("~/.config")  # noqa: PTH111  # Path's raises where there is no home
    return Path(os.environ.get("XDG_CONFIG_HOME") or home, "answerback")


def profile_path(name: str) -> Path:
    """The file of a profile. Raises ConfigError where that can be no name."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"--profile: {name}: a name is lowercase letters, digits, - and _")
    return profile_directory() / f"{name}{_SUFFIX}"


def profile_names() -> list[str]:
    """The names of all profiles, in order."""
    with suppress(FileNotFoundError):
        return sorted(path.stem for path in profile_directory().iterdir() if path.suffix == _SUFFIX)
    return []


def load_profile(name: str) -> Profile | None:
    """The profile of that name, or None. Raises ConfigError where it cannot be read, or others can read it."""
    path = profile_path(name)
    try:
        with path.open("rb") as file:
            if _is_of_others(os.fstat(file.fileno())):
                raise ConfigError(
                    f"{path}: other users can read the key in it: chmod 600 it, and have the key replaced"
                )
            return msgspec.json.decode(file.read(), type=Profile)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: {describe_os_error(error)}") from error
    except (msgspec.DecodeError, UnicodeDecodeError):  # which would show what it read
        raise ConfigError(f"{path}: is not a profile: log in again with `answerback login`") from None


def _is_of_others(file: os.stat_result) -> bool:
    """Whether others may read a file, or have written it; root reads what is a user's."""
    return bool(file.st_mode & _OTHERS) or os.geteuid() not in (0, file.st_uid)


def save_profile(name: str, profile: Profile) -> Path:
    """Write a profile; its file is there whole, or as it was. Raises ConfigError."""
    path = profile_path(name)
    try:
        path.parent.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=f".{name}.", delete=False) as draft:  # its mode is 0600
            try:
                draft.write(msgspec.json.encode(profile) + b"\n")
                draft.flush()
                os.fsync(draft.fileno())
                Path(draft.name).replace(path)
            except BaseException:
                Path(draft.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise ConfigError(f"{path}: {describe_os_error(error)}") from error
    return path


def delete_profile(name: str) -> bool:
    """Delete a profile; whether there was one. Raises ConfigError."""
    path = profile_path(name)
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigError(f"{path}: {describe_os_error(error)}") from error
    return True
