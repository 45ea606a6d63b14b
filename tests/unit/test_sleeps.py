"""A test awaits an event. What sleeps all the same says why."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]


def sleeps(node: ast.AST) -> Iterator[ast.Call]:
    """Every sleep within it, but for those between two looks, in a `while`, and those that only give way."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and ast.unparse(child.func) in ("asyncio.sleep", "time.sleep"):
            if ast.unparse(child.args[0]) != "0":
                yield child
        elif not isinstance(child, ast.While):
            yield from sleeps(child)


def unexplained(source: str) -> list[int]:
    """The lines that sleep and have no comment."""
    lines = source.splitlines()
    return [sleep.lineno for sleep in sleeps(ast.parse(source)) if "#" not in lines[sleep.lineno - 1]]


def test_what_sleeps_says_why() -> None:
    """A moment that is chosen, a silence, the rate of a load, a peer that is slow: in a comment on its line."""
    sources = ((path, path.read_text()) for path in TESTS.rglob("*.py"))
    found = {str(path.relative_to(TESTS)): unexplained(text) for path, text in sources if "sleep(" in text}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_each_sort_of_sleep_is_looked_at() -> None:
    """One that looks again and one that gives way need no reason."""
    source = """
time.sleep(1)
async def wait():
    await asyncio.sleep(0.5)
    await asyncio.sleep(0)
    while not happened():
        await asyncio.sleep(0.01)
    time.sleep(2)  # a slow receiver
"""
    assert unexplained(source) == [2, 4]
