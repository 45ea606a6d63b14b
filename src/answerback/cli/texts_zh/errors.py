"""What other parts of the program, and the gateway, report in English; `{}` is a value."""

from collections.abc import Mapping

TEXTS: Mapping[str, str] = {}
