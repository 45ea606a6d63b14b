"""The callback URLs as a reader may see them, and what is to be said of them; pure."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from answerback.domain.masking import mask_token


class CallbackUrls(NamedTuple):
    """Channel -> URL. `in_full`: as they are, so that they can be copied.

    `open`: one has no secret segment. `local`: the cloud cannot reach their host.
    """

    by_channel: Mapping[str, str]
    in_full: bool
    open: bool
    local: bool


def show_callback_urls(urls: Mapping[str, str], *, is_admin: bool) -> CallbackUrls:
    """The URLs for an administrator, without their secrets for others."""
    masked = {name: mask_token(url) for name, url in urls.items()}
    shown = urls if is_admin else masked
    return CallbackUrls(
        shown,
        in_full=shown == urls,
        open=any(masked[name] == url for name, url in urls.items()),
        local=any(_is_local(url) for url in urls.values()),
    )


def _is_local(url: str) -> bool:
    """Whether its host is this machine, or one of a private network."""
    host = urlsplit(url).hostname or ""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return "." not in host
