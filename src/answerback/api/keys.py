"""The admin key: made at the first start, kept in a file that only its owner reads."""

import hmac
import os
import secrets
from pathlib import Path

from answerback.errors import ConfigError

FILE_NAME = "admin-key"
_PREFIX = "ab_"
_OWNER_ONLY = 0o600


class AdminKey:
    """The key that may see and do everything. `made` tells that it is new and was never shown."""

    def __init__(self, key: str, *, made: bool) -> None:
        self.key = key
        self.made = made

    def opens(self, offered: str) -> bool:
        """Whether `offered` is this key; takes the same time for every wrong one."""
        return hmac.compare_digest(offered.encode("utf-8", "surrogatepass"), self.key.encode())

    @classmethod
    def at(cls, data_dir: Path) -> "AdminKey":
        """Read the key of `data_dir`, or make it. Raises ConfigError where the file is empty or cannot be used."""
        path = data_dir / FILE_NAME
        try:
            if not path.exists():
                return cls(_write_new(path), made=True)
            key = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeError) as error:
            raise ConfigError(f"{path}: the admin key cannot be read or made: {error}") from error
        if not key:
            raise ConfigError(f"{path}: is empty; remove it and start again for a new key")
        return cls(key, made=False)


def _write_new(path: Path) -> str:
    """Write a new key so that a kill half-way leaves either no file or a whole one."""
    key = _PREFIX + secrets.token_urlsafe(32)
    draft = path.with_name(f"{FILE_NAME}.new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    with os.fdopen(handle, "w") as file:
        file.write(key + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    return key
