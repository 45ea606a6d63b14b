"""Resolve callback URLs to channels."""

from collections.abc import Mapping
from urllib.parse import unquote

import httptools

from answerback.domain.channels import CALLBACK_PATH, ChannelTokens

_BELOW_PATH = f"{CALLBACK_PATH}/"


def callback_path(path: str) -> str | None:
    """`path` as callback URLs are given out, where it is one of theirs: people double slashes, and end with one."""
    if path == CALLBACK_PATH:
        return path
    if "//" in path or path.endswith("/"):
        path = "/" + "/".join(filter(None, path.split("/")))
    return path if path == CALLBACK_PATH or path.startswith(_BELOW_PATH) else None


class ChannelResolver:
    """The channels by their callback URLs."""

    def __init__(self, tokens: Mapping[str, str | None], base: str = "") -> None:
        """`base` is what a proxy may have put in front of all paths."""
        self._base = base
        self._tokens = ChannelTokens(tokens)
        self._by_target = {
            f"{prefix}{CALLBACK_PATH if token is None else _BELOW_PATH + token}".encode(): name
            for name, token in tokens.items()
            for prefix in {"", base}
        }

    def resolve(self, path: str) -> str | None:
        """The channel whose callback URL has this path, or None."""
        known_path = callback_path(path)
        return (
            None if known_path is None else self._tokens.find(known_path.removeprefix(CALLBACK_PATH).removeprefix("/"))
        )

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
