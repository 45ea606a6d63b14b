"""The secret of the server, from which the keys are derived of whatever leaves it or comes back: ids, sessions."""

import hmac
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

from answerback.errors import ConfigError

SERVER_SECRET_FILE = "server-secret"  # noqa: S105  # the name of a file
MIN_SECRET_LENGTH = 32

_OWNER_ONLY = 0o600


class ServerSecret:
    """The server secret. Each use derives its own key, which reveals neither the secret nor another key."""

    def __init__(self, text: str) -> None:
        self.id_key = _derive(text, b"ids")
        """What the ids of callbacks and deliveries are keyed by."""
        self.session_key = _derive(text, b"console sessions")
        """What the cookies of the console are signed with."""
        self.erasure_key = _derive(text, b"erasures")
        """What a number that is to be erased is encrypted with until that is done."""
        self.check = _derive(text, b"check").hex()[:16]
        """An id of the secret: equal in all processes that share it, and revealing nothing else about it."""

    @classmethod
    def load_or_create(cls, data_dir: Path, secret: SecretStr | None = None) -> "ServerSecret":
        """`secret`, which is set for all processes alike, or that of the data directory. Raises ConfigError."""
        if secret is not None:
            return cls(secret.get_secret_value())
        return cls(load_or_create_line(data_dir / SERVER_SECRET_FILE, secrets.token_urlsafe)[0])

    @classmethod
    def find(cls, data_dir: Path, secret: SecretStr | None = None) -> "ServerSecret | None":
        """The same, but None where there is none yet: for a command that only looks. Raises ConfigError."""
        has_one = secret is not None or (data_dir / SERVER_SECRET_FILE).exists()
        return cls.load_or_create(data_dir, secret) if has_one else None


def load_or_create_line(path: Path, create: Callable[[], str]) -> tuple[str, bool]:
    """The secret in the file `path`, one line of text, and whether it is new. Raises ConfigError."""
    try:
        created = not path.exists() and _write_new(path, create())
        line = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{path}: the secret cannot be read or created: {error}") from error
    if len(line) < MIN_SECRET_LENGTH:
        raise ConfigError(
            f"{path}: expected {MIN_SECRET_LENGTH} characters or more; remove the file, and the next start creates a new one"
        )
    return line, created


def _write_new(path: Path, line: str) -> bool:
    """Write the file so that a kill half-way leaves either none or a whole one; False where another process was first."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY), "w") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(draft)  # a rename would replace what another process has made, and uses already
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def _derive(text: str, purpose: bytes) -> bytes:
    return hmac.digest(text.encode(), b"answerback " + purpose, "sha256")
