"""Who may do what: the admin key of the data directory, and the keys that the ledger holds."""

import hmac
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from answerback.auth.server_secret import load_or_create_line
from answerback.domain.endpoints import validate_endpoint_name
from answerback.domain.masking import MASKS
from answerback.domain.models import ADMIN_KEY_FILE, ApiKey, Role
from answerback.domain.phone_numbers import is_number_like
from answerback.errors import FullNumbersRequired
from answerback.ledger.admin.api_keys import KeyDraft

ADMIN = "admin"

_PREFIX = "ab_"
_RANDOM_BYTES = 32
_KEY_LENGTH = len(_PREFIX) + 43  # 32 bytes in base64 without its padding


class ApiKeyStore(Protocol):
    """What is asked of the ledger. Each raises LedgerUnavailable."""

    def key_of(self, digest: bytes) -> ApiKey | None:
        """The living key with this SHA-256, if there is one."""

    def key_of_session(self, session: str, key_id: int) -> ApiKey | None:
        """The living key of that id, unless its session was ended."""

    def has_ended(self, session: str) -> bool:
        """Whether the session was ended."""


_REVEALS: Mapping[str, Callable[[Any], bool]] = {
    "mobile": lambda _: True,
    "failure_code": lambda code: MASKS["failure_code"](code) is None,
    **dict.fromkeys(("callid", "reference", "find"), is_number_like),
}
"""The filters whose value may be a number, or what is masked as one."""


def check_filters(key: ApiKey, **filters: Any) -> None:
    """Refuse to search by a number without the right to full numbers: the result would reveal whose it is. A filter of None is none.

    Raises FullNumbersRequired.
    """
    for field, value in filters.items():
        if not key.full_numbers and value is not None and field in _REVEALS and _REVEALS[field](value):
            raise FullNumbersRequired(field)


class AdminKey:
    """The key with all rights. `created`: it is new and has never been shown."""

    def __init__(self, key: str, *, created: bool, created_at: datetime) -> None:
        self.key = key
        self.created = created
        self.holder = ApiKey(
            id=0, name=ADMIN, digest=hash_api_key(key), role=Role.ADMIN, full_numbers=True, created_at=created_at
        )

    def matches(self, offered: str) -> bool:
        """Whether `offered` is this key; takes the same time for every wrong one."""
        return hmac.compare_digest(offered.encode("utf-8", "surrogatepass"), self.key.encode())

    @classmethod
    def load_or_create(cls, data_dir: Path) -> "AdminKey":
        """Read the key of `data_dir`, or make it. Raises ConfigError where the file holds none or cannot be used."""
        path = data_dir / ADMIN_KEY_FILE
        key, created = load_or_create_line(path, generate_api_key)
        return cls(key, created=created, created_at=datetime.fromtimestamp(path.stat().st_mtime, UTC))


class KeyVerifier:
    """All keys that open: the admin key, and those of the ledger, which is asked each time.

    So a revocation counts at once, whichever process wrote it; and the admin key opens while the ledger is away.
    """

    def __init__(self, admin: AdminKey, keys: ApiKeyStore) -> None:
        self._admin = admin
        self._keys = keys

    def verify_admin(self, offered: str) -> ApiKey | None:
        """The holder of the admin key, if `offered` is it; asks nobody, so it never blocks."""
        return self._admin.holder if self._admin.matches(offered) else None

    def verify(self, offered: str) -> ApiKey | None:
        """Whose key this is, or None. Blocks for as long as the ledger does. Raises LedgerUnavailable."""
        if holder := self.verify_admin(offered):
            return holder
        return self._keys.key_of(hash_api_key(offered)) if _looks_like_key(offered) else None

    def find_session_key(self, session: str, key_id: int) -> ApiKey | None:
        """The living key of that id, or None, also where the session was ended.

        Blocks for as long as the ledger does, for the admin key too. Raises LedgerUnavailable.
        """
        if key_id == self._admin.holder.id:
            return None if self._keys.has_ended(session) else self._admin.holder
        return self._keys.key_of_session(session, key_id)

    def has_ended(self, session: str) -> bool:
        """Whether the session was ended, or the sign-in link used. Blocks as above. Raises LedgerUnavailable."""
        return self._keys.has_ended(session)


def bind_key(key: ApiKey, session_key: bytes) -> str:
    """What ties a session or a link to the key itself: another one may be in its place by now, under its name and id."""
    return hmac.digest(session_key, key.digest, "sha256").hex()


def generate_api_key() -> str:
    """A key that nobody can guess."""
    return _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def hash_api_key(key: str) -> bytes:
    """The digest of a key, as stored in the ledger. Keys are looked up by it, so timing reveals nothing about how close a wrong key came."""
    return sha256(key.encode("utf-8", "surrogatepass")).digest()


def draft_api_key(name: str, role: Role, *, full_numbers: bool) -> tuple[str, KeyDraft]:
    """A new key, and the draft that the ledger keeps of it."""
    key = generate_api_key()
    return key, KeyDraft(name, hash_api_key(key), role, full_numbers)


def validate_key_name(name: str) -> str | None:
    """What is wrong with the name of a key, or None; digits alone are an id."""
    if name == ADMIN:
        return f"{ADMIN} is the key in the file {ADMIN_KEY_FILE}"
    return validate_endpoint_name(name)


def _looks_like_key(offered: str) -> bool:
    """Whether it could be a key of the ledger at all: junk need not trouble it."""
    return len(offered) == _KEY_LENGTH and offered.startswith(_PREFIX)
