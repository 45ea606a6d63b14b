"""The gateway's metrics, read from its source: the name, the kind, the words and the labels of each."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

SOURCES = Path(__file__).parents[2] / "src/answerback/api"
PREFIX = "answerback_"
_KINDS = ("counter", "gauge", "histogram")


class Exposed(NamedTuple):
    """One metric as a scrape shows it; the name of a counter ends in `_total`."""

    name: str
    kind: str
    words: str
    labels: tuple[str, ...]


def read_exposed(sources: Path = SOURCES) -> dict[str, Exposed]:
    """All metrics that the modules in `sources` make, by name, in the order in which they stand there."""
    found: dict[str, Exposed] = {}
    for path in sorted(sources.rglob("*.py")):
        for call in _calls(ast.parse(path.read_text(encoding="utf-8"))):
            metric = _metric(call)
            if metric is not None:
                found[metric.name] = metric
    return found


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    yield from sorted(calls, key=lambda call: call.lineno)


def _metric(call: ast.Call) -> Exposed | None:
    """The metric that a call makes: `CounterMetricFamily("answerback_x", "Its words.", labels=["y"])` and the like."""
    name, words = _texts(call.args[:1]), _texts(call.args[1:2])
    if not name or not name[0].startswith(PREFIX):
        return None
    function = ast.unparse(call.func).lower()
    kind = next((kind for kind in _KINDS if kind in function), None)
    if kind is None:
        return None
    labels = next((word.value for word in call.keywords if word.arg == "labels"), None)
    return Exposed(
        name=name[0] + ("_total" if kind == "counter" else ""),
        kind=kind,
        words="".join(words),
        labels=_texts(labels.elts) if isinstance(labels, ast.List | ast.Tuple) else (),
    )


def _texts(nodes: Sequence[ast.expr]) -> tuple[str, ...]:
    return tuple(str(node.value) for node in nodes if isinstance(node, ast.Constant))


EXPOSED = read_exposed()
