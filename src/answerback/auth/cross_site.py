"""Requests that a browser sends on behalf of another site."""

from collections.abc import Mapping
from urllib.parse import urlsplit


def is_cross_site(headers: Mapping[str, str], public_url: str | None = None) -> bool:
    """Whether a browser sends this on behalf of another site; programs, which name none, may do as they like.

    A proxy may have put another name for us in `Host` than that of `public_url`.
    """
    origin = headers.get("origin")
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    ours = {headers.get("host", "").lower(), urlsplit(public_url or "").netloc.lower()} - {""}
    return origin is not None and origin.partition("://")[2].lower() not in ours
