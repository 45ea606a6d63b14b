"""What the sections of the configuration share."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, WithJsonSchema

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

Count = Annotated[int, Field(ge=1)]
Network = Annotated[
    IPv4Network | IPv6Network,
    PlainValidator(lambda network: ip_network(str(network))),
    PlainSerializer(str),
    WithJsonSchema({"type": "string"}),
]
Seconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]


def check_http_url(url: str, expected: str) -> SplitResult:
    """The parts of an absolute http:// or https:// URL. Raises ValueError that names what is `expected`."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ValueError(f"not a URL: {error}") from error
    if not known or not url.isprintable() or " " in url:
        raise ValueError(f"expected {expected}")
    return parts


class Section(BaseModel):
    """A section is frozen, refuses unknown names, and never shows a value in an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, hide_input_in_errors=True)
