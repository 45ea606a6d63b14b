"""A test awaits an event. What sleeps all the same says why."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
SLEEP = re.compile(r"^ *(?:await asyncio|time)\.sleep\((?!0\))[^#\n]*$", re.MULTILINE)
"""A line that does nothing else, and has no comment; one that sleeps for nothing only gives way."""


def unexplained(source: str) -> list[int]:
    """The lines that sleep without a word, but for those between two looks, in a `while`."""
    return [source.count("\n", 0, found.start()) + 1 for found in SLEEP.finditer(source) if not looks(source, found)]


def looks(source: str, sleep: re.Match[str]) -> bool:
    """Whether a line is within a `while`."""
    indent = len(sleep[0]) - len(sleep[0].lstrip())
    for line in reversed(source[: sleep.start()].splitlines()):
        before = len(line) - len(line.lstrip())
        if line and before < indent:
            indent = before
            if line.lstrip().startswith("while "):
                return True
    return False


def test_what_sleeps_says_why() -> None:
    """A moment that is chosen, a silence, the rate of a load, a peer that is slow: in a comment on its line."""
    found = {
        str(path.relative_to(TESTS)): unexplained(path.read_text())
        for path in TESTS.rglob("*.py")
        if path != Path(__file__)
    }
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_each_sort_of_sleep_is_looked_at() -> None:
    """One that looks again and one that gives way need no reason."""
    source = """
time.sleep(1)
async def wait():
    await asyncio.sleep(0.5)
    await asyncio.sleep(0)
    while not happened():
        if so:
            await asyncio.sleep(0.01)
    time.sleep(2)  # a slow receiver
"""
    assert unexplained(source) == [2, 4]
