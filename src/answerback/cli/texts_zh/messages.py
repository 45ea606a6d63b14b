"""What commands print."""

from collections.abc import Mapping

TEXTS: Mapping[str, str] = {}
