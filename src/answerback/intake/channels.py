"""Which channel a URL belongs to."""

import hmac
import secrets
from collections.abc import Mapping
from hashlib import blake2b

PATH = "/voice/callback"


class Channels:
    """The channels by the secret tokens of their URLs.

    A token is looked up by its keyed hash, under a key that lives as long as the process: how long a look-up takes
    tells nothing of any token.
    """

    def __init__(self, tokens: Mapping[str, str | None]) -> None:
        self._key = secrets.token_bytes(32)
        self._open = next((name for name, token in tokens.items() if token is None), None)
        self._by_hash = {self._hash(token): (name, token) for name, token in tokens.items() if token is not None}

    def of_path(self, path: str) -> str | None:
        """The channel whose callback URL has this path, or None."""
        if path == PATH:
            return self._open
        token = path.removeprefix(f"{PATH}/")
        name, known = self._by_hash.get(self._hash(token), (None, ""))
        return name if name is not None and hmac.compare_digest(token.encode(), known.encode()) else None

    def _hash(self, token: str) -> bytes:
        return blake2b(token.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16).digest()
