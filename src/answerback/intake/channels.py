"""Resolve callback URLs to channels."""

import hmac
import secrets
from collections.abc import Mapping
from hashlib import blake2b
from urllib.parse import unquote

import httptools

from answerback.config.intake import CALLBACK_PATH

_BELOW_PATH = f"{CALLBACK_PATH}/"


def callback_path(path: str) -> str | None:
    """`path` as callback URLs are given out, where it is one of theirs: people double slashes, and end with one."""
    if path == CALLBACK_PATH:
        return path
    if "//" in path or path.endswith("/"):
        path = "/" + "/".join(filter(None, path.split("/")))
    return path if path == CALLBACK_PATH or path.startswith(_BELOW_PATH) else None


class ChannelResolver:
    """The channels by the secret tokens of their URLs.

    A token is looked up by its keyed hash, under a key that lives as long as the process: how long a look-up takes
    reveals nothing of any token.
    """

    def __init__(self, tokens: Mapping[str, str | None], base: str = "") -> None:
        """`base` is what a proxy may have put in front of all paths."""
        self._base = base
        self._key = secrets.token_bytes(32)
        self._open = next((name for name, token in tokens.items() if token is None), None)
        self._by_target = {
            f"{prefix}{CALLBACK_PATH if token is None else _BELOW_PATH + token}".encode(): name
            for name, token in tokens.items()
            for prefix in {"", base}
        }
        self._by_hash = {self._hash(token): (name, token) for name, token in tokens.items() if token is not None}

    def resolve(self, path: str) -> str | None:
        """The channel whose callback URL has this path, or None."""
        known_path = callback_path(path)
        if known_path is None or known_path == CALLBACK_PATH:
            return self._open if known_path else None
        token = known_path.removeprefix(_BELOW_PATH)
        name, known = self._by_hash.get(self._hash(token), (None, ""))
        return name if name is not None and hmac.compare_digest(token.encode(), known.encode()) else None

    def resolve_target(self, target: bytes) -> str | None:
        """The channel of a request's target; "" where no channel has this callback URL, None where it is none."""
        if (channel := self._by_target.get(target)) is not None:  # Python's hash of bytes is keyed, too
            return channel
        try:
            raw_path = httptools.parse_url(target).path
        except httptools.HttpParserInvalidURLError:
            return None
        path = unquote((raw_path or b"").decode("latin-1"))
        if callback_path(path) is None:
            path = path.removeprefix(self._base)
        return None if callback_path(path) is None else self.resolve(path) or ""

    def _hash(self, token: str) -> bytes:
        return blake2b(token.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16).digest()
