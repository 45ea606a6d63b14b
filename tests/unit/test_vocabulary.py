"""One word for one thing: words that were replaced do not come back as names. The words in use: docs/glossary.md."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import jinja2.lexer
import pytest
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

REPLACED_CHINESE = {
    "您": "你",
    "断路器": "熔断",
    "打码": "脱敏",
    "掩码": "脱敏",
    "接听率": "接通率",
    "接收进程": "接入进程",
    "结局": "结果",
    "试探": "探测",
    "遮蔽": "脱敏",
    "重投": "重新投递",
    "隐藏号码": "号码脱敏",
}
"""A Chinese word that went, or never came -> the one of docs/glossary.zh-CN.md."""

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
_TEXT = re.compile(r'#[^\n]*|"""(?:\\.|[^\\])*?"""|"((?:\\.|[^"\\\n])*)"', re.DOTALL)
"""A comment, or a string; of one in a line, what is in it."""
_NAME = re.compile(r"[A-Za-z_][\w.:/-]*")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")


def identifiers(source: str) -> set[str]:
    """Every name that the code gives or uses; one that only an f-string used nobody would have given."""
    return set(_IDENTIFIER.findall(_TEXT.sub("", source)))


def string_names(source: str) -> set[str]:
    """Every string that is a name: of a table, a column, a JSON field, a metric, a log event, an option, a text, a path."""
    return {string for string in _TEXT.findall(source) if _NAME.fullmatch(string.lstrip("-/"))}


def template_names(source: str) -> set[str]:
    """Every name in the code of a template."""
    lexed = Environment(autoescape=True).lex(source)
    return {value for _, token, value in lexed if token == jinja2.lexer.TOKEN_NAME}


@cache
def replacement(name: str) -> str | None:
    """What to say in place of a word of `name` that went."""
    words = [] if name in ALLOWED else [part.lower() for part in _PART.findall(name)]
    return next((REPLACED[word] for word in words if word in REPLACED), None)


def replaced_in(names: Callable[[str], set[str]], pattern: str) -> dict[str, dict[str, str]]:
    """The names with such a word in the files of that pattern, and what to say in place of the word."""
    found = {
        str(path.relative_to(ROOT)): {name: word for name in names(path.read_text()) if (word := replacement(name))}
        for path in ROOT.glob(pattern)
        if path != Path(__file__)
    }
    return {path: replaced for path, replaced in found.items() if replaced}


def test_sources_use_the_words_of_the_glossary() -> None:
    """In identifiers, settings, options, log events, metrics, tables, columns and fields of JSON."""
    assert replaced_in(lambda source: identifiers(source) | string_names(source), "src/**/*.py") == {}


@pytest.mark.parametrize("directory", ["tests", "bench", "tools"])
def test_tests_and_tools_use_the_words_of_the_glossary(directory: str) -> None:
    """In identifiers; their strings are data."""
    assert replaced_in(identifiers, f"{directory}/**/*.py") == {}


def test_templates_use_the_words_of_the_glossary() -> None:
    """In variables, filters and arguments."""
    assert replaced_in(template_names, "src/**/*.html") == {}


def test_chinese_uses_the_words_of_the_glossary() -> None:
    """In every document and every text of the program."""
    paths = (
        path for pattern in ("*.zh-CN.md", "docs/*", "src/**/*.py", "src/**/*.html") for path in ROOT.glob(pattern)
    )
    texts = {
        str(path.relative_to(ROOT)): path.read_text()
        for path in paths
        if path.suffix in {".md", ".py", ".html", ".svg"}
    }
    assert len(texts) > 100
    found = {(path, word) for path, text in texts.items() for word in REPLACED_CHINESE if word in text}
    assert found == {("src/answerback/emulator/settings.py", "您")}  # a call's text, to whom it calls


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
    source = (
        "class CourierPool:\n    told_at = send(owed=1).HTTPBell  # tell\n"
        'def test_it_is_told(): """What is told."""; emit("calls_told"); foretold = Column("--tell-again", "a strike")'
    )
    assert set(filter(replacement, identifiers(source) | string_names(source))) == {
        "CourierPool",
        "told_at",
        "owed",
        "HTTPBell",
        "test_it_is_told",
        "calls_told",
        "--tell-again",
    }
    found = template_names("{% if call.told %}told{% endif %}{{ foretold|owed }}")
    assert {name: replacement(name) for name in found if replacement(name)} == {"told": "delivered", "owed": "pending"}
