"""One word for one thing: words that were replaced do not come back as names. The words in use: docs/glossary.md."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import jinja2.lexer
from jinja2 import Environment

ROOT = Path(__file__).parents[2]

REPLACED = {
    "abandon": "cancel",
    "abandoned": "cancelled",
    "beat": "heartbeat",
    "bell": "notifier",
    "cables": "proxies",
    "conclude": "finish",
    "courier": "sender",
    "deed": "audit event",
    "deeds": "audit events",
    "definition": "config",
    "drained": "consumed",
    "duties": "singleton tasks",
    "duty": "singleton task",
    "farewell": "final response",
    "happening": "transition",
    "hurry": "wake",
    "identify": "fingerprint",
    "judgement": "response result",
    "keyring": "authenticator",
    "lane": "queue",
    "lanes": "queues",
    "lapse": "expire",
    "lapsed": "expired",
    "letterhead": "message context",
    "membership": "heartbeat",
    "meter": "metrics",
    "mood": "severity",
    "owe": "enqueue",
    "owed": "pending",
    "owing": "outbox",
    "parcel": "outgoing callback",
    "postman": "sender",
    "refer": "annotate",
    "referred": "annotated",
    "revive": "restart",
    "rung": "notified",
    "settlement": "attempts",
    "shelf": "ledger reader",
    "sick": "unhealthy",
    "standing": "state",
    "strike": "fault",
    "strikes": "faults",
    "tell": "deliver",
    "telling": "delivering",
    "tells": "delivers",
    "tenure": "lease",
    "told": "delivered",
    "trusty": "proven",
    "undone": "on rollback",
    "unfit": "invalid",
    "unheard": "unanswered",
    "unproven": "untried",
    "unsettled": "active",
    "unshut": "finished",
    "untold": "undelivered",
    "unwritten": "pending",
    "weather": "faults",
    "wellbeing": "system status",
    "witnessed": "traced",
}
"""A word that went -> the one that took its place."""

ALLOWED = {
    "tell": "the method of a file that returns its position",
}
"""A whole name in which such a word stays -> why."""

SHARED_CLASS_NAMES = {
    "Meta": "Django reads a model's options from a class of this name",
}
"""The name of several classes -> why."""

_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
_CLASS = re.compile(r"^ *class (\w+)[(:]", re.MULTILINE)
_ASSIGNED = re.compile(r"^(\w+) = ", re.MULTILINE)
_REPLACED = re.compile("|".join(REPLACED), re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z_][\w.:/-]*")


def words(name: str) -> list[str]:
    """The words that `name` is made of, in lower case."""
    return [part.lower() for part in _PART.findall(name)]


def identifiers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every name that the module gives or uses, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.alias(name=name):
                yield node.lineno, name
            case ast.keyword(arg=str(name)):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name


def string_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every string that is a name: of a table, a column, a JSON field, a metric, a log event, an option, a text, a path."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _NAME.fullmatch(node.value.lstrip("-/")):
            yield node.lineno, node.value


def template_names(source: str) -> Iterator[tuple[int, str]]:
    """Every name in the code of a template."""
    for line, token, value in Environment(autoescape=True).lex(source):
        if token == jinja2.lexer.TOKEN_NAME:
            yield line, value


def replaced_in(names: Iterator[tuple[int, str]]) -> list[tuple[int, str, str]]:
    """The names with a word that went: line, name, what to say in place of the word."""
    return [
        (line, name, REPLACED[word])
        for line, name in names
        if name not in ALLOWED
        for word in words(name)
        if word in REPLACED
    ]


def sources(pattern: str) -> Iterator[tuple[str, str]]:
    """Path and text of each file in which such a word occurs at all."""
    for path in sorted(ROOT.glob(pattern)):
        if _REPLACED.search(text := path.read_text()) and path != Path(__file__):
            yield str(path.relative_to(ROOT)), text


def test_sources_use_the_words_of_the_glossary() -> None:
    """In identifiers, settings, options, log events, metrics, tables, columns and fields of JSON."""
    trees = ((path, ast.parse(text)) for path, text in sources("src/**/*.py"))
    found = {path: replaced_in(chain(identifiers(tree), string_names(tree))) for path, tree in trees}
    assert {path: names for path, names in found.items() if names} == {}


def test_tests_use_the_words_of_the_glossary() -> None:
    """In identifiers; their strings are data."""
    found = {path: replaced_in(identifiers(ast.parse(text))) for path, text in sources("tests/**/*.py")}
    assert {path: names for path, names in found.items() if names} == {}


def test_templates_use_the_words_of_the_glossary() -> None:
    """In variables, filters and arguments."""
    found = {path: replaced_in(template_names(text)) for path, text in sources("src/**/*.html")}
    assert {path: names for path, names in found.items() if names} == {}


def definitions(pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """Each name that `pattern` finds in the sources, without leading underscores, and where that is."""
    for path in sorted(ROOT.glob("src/**/*.py")):
        text = path.read_text()
        for found in pattern.finditer(text):
            yield found[1].lstrip("_"), f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, found.start(1)) + 1}"


def test_a_class_has_a_name_of_its_own() -> None:
    """Whoever searches for a class finds that one: no other has its name, be it internal or nested, and no alias."""
    classes: defaultdict[str, list[str]] = defaultdict(list)
    for name, place in definitions(_CLASS):
        if name not in SHARED_CLASS_NAMES:
            classes[name].append(place)
    for name, place in definitions(_ASSIGNED):
        if name in classes:
            classes[name].append(place)
    assert {name: places for name, places in classes.items() if len(places) > 1} == {}


def test_each_kind_of_name_is_looked_at() -> None:
    """Split at underscores and capitals; prose and longer words are left alone."""
    tree = ast.parse(
        "class CourierPool:\n    told_at = send(owed=1).HTTPBell\n"
        "def test_it_is_told(): 'What is told.'; emit('calls_told'); foretold = Column('--tell-again')"
    )
    assert {name for _, name, _ in replaced_in(chain(identifiers(tree), string_names(tree)))} == {
        "CourierPool",
        "told_at",
        "owed",
        "HTTPBell",
        "test_it_is_told",
        "calls_told",
        "--tell-again",
    }
    found = replaced_in(template_names("{% if call.told %}told{% endif %}{{ foretold|owed }}"))
    assert found == [(1, "told", "delivered"), (1, "owed", "pending")]
