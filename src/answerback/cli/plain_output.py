"""Output that needs no Rich, which takes 6 MB: `serve` prints with it, and then runs for months."""

import os
import sys
from collections.abc import Sequence
from typing import Any
from unicodedata import east_asian_width

import msgspec


def print_json(value: Any) -> None:
    """One JSON document, indented, on standard output; pydantic models as they are in the API."""
    encoded = msgspec.json.encode(value, enc_hook=_encode)
    sys.stdout.write(msgspec.json.format(encoded, indent=2).decode() + "\n")


def _encode(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)


def print_lines(lines: Sequence[tuple[str, str]]) -> None:
    """Print a line for each pair, never truncated, so that values can be copied; the first of each is bold on a terminal."""
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    width = max(_cell_width(name) for name, _ in lines)
    for name, value in lines:
        sys.stdout.write(f"{bold}{name}{plain}{' ' * (width - _cell_width(name))}  {value}\n")


def discard_unwritable() -> None:
    """Drop what is left of the output where nobody takes it: a reader who left, a terminal that was closed, a full disk."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _cell_width(text: str) -> int:
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)
