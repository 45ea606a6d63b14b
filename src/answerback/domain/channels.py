"""Channels by the secret tokens of their callback URLs."""

import hmac
import re
import secrets
from collections.abc import Mapping
from hashlib import blake2b

from answerback.domain.models import DEFAULT_CHANNEL

CALLBACK_PATH = "/voice/callback"
"""The path of the callback URL of the channel without a token; the others' are one segment below it."""

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

_TOKEN_PATTERN = re.compile(r"[A-Za-z0-9_-]{16,128}")


class ChannelTokens:
    """Finds the channel of a token.

    A token is looked up by its keyed hash, under a key that lives as long as the process: how long a look-up takes
    reveals nothing of any token.
    """

    def __init__(self, tokens: Mapping[str, str | None]) -> None:
        """`tokens` are those of the channels; None is that of the one whose URL has none."""
        self._key = secrets.token_bytes(32)
        self._open = next((name for name, token in tokens.items() if token is None), None)
        self._by_hash = {self._hash(token): (name, token) for name, token in tokens.items() if token is not None}

    def find(self, token: str) -> str | None:
        """The channel with this token, "" being none; None where there is no such channel."""
        if not token:
            return self._open
        name, known = self._by_hash.get(self._hash(token), (None, ""))
        return name if name is not None and hmac.compare_digest(token.encode(), known.encode()) else None

    def _hash(self, token: str) -> bytes:
        return blake2b(token.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16).digest()


def check_channels(tokens: Mapping[str, str | None]) -> None:
    """Raise ValueError, naming the channel, where a name or a token is not one, or two channels share a token."""
    holders: dict[str, str] = {}
    for name, token in tokens.items():
        if not NAME_PATTERN.fullmatch(name):
            raise ValueError(f"channels.{name}: a name is lowercase letters, digits, - and _")
        if token is None:
            if name != DEFAULT_CHANNEL:
                raise ValueError(f"channels.{name}.token: required for every channel but {DEFAULT_CHANNEL}")
            continue
        if not isinstance(token, str) or not _TOKEN_PATTERN.fullmatch(token):
            raise ValueError(f"channels.{name}.token: expected 16 to 128 letters, digits, - or _")
        if token in holders:
            raise ValueError(f"channels.{name}.token: the same as that of {holders[token]}")
        holders[token] = name
