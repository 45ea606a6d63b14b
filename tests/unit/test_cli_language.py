"""The command line in Chinese: the catalogue is complete and holds nothing else, and a line says which language it wants."""

import ast
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

import answerback.cli
from answerback import client, errors
from answerback.cli.language import choose_language, current_language, set_language, tr, tr_message
from answerback.cli.main import app
from answerback.cli.texts_zh import errors as error_texts
from answerback.cli.texts_zh import help as help_texts
from answerback.cli.texts_zh import libraries, messages
from answerback.cli.texts_zh import settings as settings_texts
from answerback.cli.typer_language import _HEADINGS
from answerback.config import CertificateSettings, ChannelSettings, EndpointSettings, Settings
from answerback.domain.alert_rules import RULES, BaseRule
from answerback.errors import AnswerbackError, UnavailableReason
from answerback.i18n import Language

CLI = Path(answerback.cli.__file__).parent
SOURCE = CLI.parent
PLACES = re.compile(r"(?<!{){[^{}]*}(?!})")
WORDS = re.compile(r"[a-z]{2,} [a-z]{2,}")
BETWEEN_PARTS = re.compile(r"""["']\n *f?["']""")
"""Of a text that is written in several strings."""
HAN = re.compile(r"[\u4e00-\u9fff]")
FROM_TYPER = {*_HEADINGS.values(), "Usage: ", "Show this message and exit."}


@pytest.fixture(autouse=True)
def _english_again() -> Iterator[None]:
    yield
    set_language(Language.EN)


def asked_of_help(command: Any) -> Iterator[str]:
    """The help of a command, of its parameters, and of all commands below it."""
    yield command.help
    for parameter in command.params:
        yield from filter(None, (parameter.help, getattr(parameter, "rich_help_panel", None)))
    for below in getattr(command, "commands", {}).values():
        yield from asked_of_help(below)


def asked_of_settings() -> Iterator[str]:
    """What the sections of the configuration are about, and each of their settings."""
    yield from (field.description for field in Settings.model_fields.values() if field.description)
    fields = (field.annotation for field in Settings.model_fields.values())
    sections: list[type[BaseModel]] = [
        *(model for model in fields if isinstance(model, type) and issubclass(model, BaseModel)),
        *(ChannelSettings, CertificateSettings, EndpointSettings),
        *RULES,
    ]
    yield from (section.__doc__ or "" for section in sections)  # of what rules share, the documents say more
    sections.append(BaseRule)
    for section in sections:
        yield from (field.description or "" for field in section.model_fields.values())


def asked_of_messages() -> Iterator[str]:
    """Every text that the sources ask `tr` and `tr_all` for: written out, or it could not be found here."""
    for source in set(CLI.glob("*.py")) - {CLI / "language.py", CLI / "typer_language.py"}:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                texts = {"tr": node.args[:1], "tr_all": node.args}.get(node.func.id, [])
                yield from (ast.literal_eval(text) for text in texts)


ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, AnswerbackError)}
CLIENT_ERRORS = set(client.__all__)
OF_SETTINGS = ("config/", "domain/alert_rules.py", "domain/channels.py", "domain/arguments.py")
OF_OTHERS = (
    "api/openapi/",
    "client/webhooks.py",
    "console/",
    "emulator/a",
    "emulator/testing.py",
    "receiver/",
    "tencent/",
    "testing.py",
    "tracing/",
)
"""Where errors are raised that nobody meets at the command line."""


def raised() -> Iterator[str]:
    """What errors say that come to the command line, with `x1`, `x2`, ... as their values."""
    for source in SOURCE.rglob("*.py"):
        place = source.relative_to(SOURCE).as_posix()
        kinds = ERRORS | CLIENT_ERRORS | ({"ValueError"} if place.startswith(OF_SETTINGS) else set())
        text = source.read_text(encoding="utf-8")
        if place.startswith(OF_OTHERS) or not any(f"raise {kind}(" in text for kind in kinds):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and ast.unparse(node.exc.func) in kinds:
                yield from (said for argument in node.exc.args if WORDS.search(said := sample(argument)))


def sample(node: ast.expr) -> str:
    """A text or an f-string, with its values filled in; empty for anything else."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if not isinstance(node, ast.JoinedStr):
        return ""
    number = count(1)
    return "".join(str(part.value) if isinstance(part, ast.Constant) else f"x{next(number)}" for part in node.values)


def test_every_error_that_people_meet_is_known() -> None:
    """It is recognised by its pattern in `texts_zh/errors.py`, and keeps its values."""
    set_language(Language.ZH)
    said = {error: tr_message(error) for error in raised()}
    assert len(said) > 100
    assert not [error for error in said if not HAN.search(said[error])]
    assert not [error for error in said for value in re.findall(r"\bx\d", error) if value not in said[error]]


def test_whatever_the_doctor_says_is_known() -> None:
    """Every text in the modules of its checks: what was checked, what was found, and what to do."""
    set_language(Language.ZH)
    said = [text for name in ("doctor", "inbox_checks") for text in spoken(SOURCE / f"service/{name}.py")]
    assert len(said) > 40
    assert not [text for text in said if not HAN.search(tr_message(text)) and not text.startswith("chmod")]


def spoken(source: Path) -> Iterator[str]:
    """The texts and f-strings of several words in a module, but for its docstrings and for what is only a part of one."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    within = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in within | documentation:
            text = sample(node) if isinstance(node, ast.JoinedStr) or isinstance(node.value, str) else ""
            if WORDS.search(text) and text == text.strip(" ,;"):
                yield text


def test_nothing_is_known_that_nobody_says() -> None:
    """Each piece of a message of ours stands in the sources; those of the system, of Typer and of pydantic are apart."""
    sources = [path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py") if path.parent.name != "texts_zh"]
    said = BETWEEN_PARTS.sub("", "\n".join(sources))
    ours = error_texts.TEXTS.keys() - libraries.TEXTS.keys()
    assert not [text for text in ours if not all(piece.strip() in said for piece in text.split("{}"))]


@pytest.mark.parametrize("reason", UnavailableReason)
def test_every_reason_is_known(reason: UnavailableReason) -> None:
    """Alone, and with the driver's own words behind it."""
    set_language(Language.ZH)
    assert HAN.search(tr_message(reason))
    assert tr_message(f"{reason} (x.db: a word)") == f"{tr_message(reason)}（x.db: a word）"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("server.port: Input should be less than or equal to 65535", "server.port：应不大于 65535"),
        ("a.b: there is no such setting; c.d: Field required", "a.b：没有这项设置；c.d：必填"),
        (
            "profile a: no gateway answers at http://127.0.0.1:1: Connection refused",
            "登录配置 a：http://127.0.0.1:1 没有网关应答：连接被拒绝",
        ),
        ("Invalid value for '--limit': Input should be greater than or equal to 1", "'--limit' 的值无效：应不小于 1"),
        (
            "retention: nothing is set, so everything is kept; for example, set retention.calls_days",
            "retention：没有设置，所以全部保留；可设置 retention.calls_days 等",
        ),
        ("FATAL: something of another program", "FATAL: something of another program"),
    ],
)
def test_a_message_is_recognised_in_parts(message: str, said: str) -> None:
    """Of field and problem the problem, of several each, of values those that are known; what is not stays as it is."""
    set_language(Language.ZH)
    assert tr_message(message) == said


def test_all_help_is_there_in_chinese_and_nothing_else() -> None:
    """Whoever adds a command or an option adds its Chinese to `texts_zh/help.py`; whoever takes one away takes it away there."""
    asked = set(asked_of_help(typer.main.get_command(app))) | FROM_TYPER
    assert not asked - help_texts.TEXTS.keys()
    assert not help_texts.TEXTS.keys() - asked


def test_all_messages_are_there_in_chinese_and_nothing_else() -> None:
    """A text that a command prints is in `texts_zh/messages.py`."""
    asked = set(asked_of_messages()) - FROM_TYPER
    assert not asked - messages.TEXTS.keys() - help_texts.TEXTS.keys()
    assert not messages.TEXTS.keys() - asked


def test_all_settings_are_there_in_chinese_and_nothing_else() -> None:
    """Whoever adds a setting adds the Chinese of its description to `texts_zh/settings.py`."""
    asked = set(asked_of_settings())
    assert not asked - settings_texts.TEXTS.keys()
    assert not settings_texts.TEXTS.keys() - asked


@pytest.mark.parametrize("source", sorted(CLI.glob("*.py")), ids=lambda path: path.stem)
def test_what_is_printed_can_be_translated(source: Path) -> None:
    """No command prints several English words that it has not asked `tr` for."""
    printers = {
        "out.print",
        "err.print",
        "fail",
        "print_fields",
        "print_lines",
        "print_page",
        "print_table",
        "add_task",
    }
    calls = [node for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    said = [
        text
        for call in calls
        if ast.unparse(call.func).removeprefix("progress.") in printers
        for argument in call.args
        for text in untranslated(argument)
    ]
    assert not [text for text in said if WORDS.search(text)]


def untranslated(node: ast.AST) -> Iterator[str]:
    """The texts within an expression, but for those that are asked for."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    if not (isinstance(node, ast.Call) and ast.unparse(node.func).startswith("tr")):
        for part in ast.iter_child_nodes(node):
            yield from untranslated(part)


@pytest.mark.parametrize(
    "topic", [help_texts, messages, settings_texts], ids=lambda topic: topic.__name__.split(".")[-1]
)
def test_chinese_is_chinese_and_leaves_the_same_places_open(topic: Any) -> None:
    """A text of several words has Chinese characters, and holds the same values."""
    texts = topic.TEXTS
    assert not [
        text for text, said in texts.items() if len(re.findall(r"[a-z]{2,}", text)) >= 3 and not HAN.search(said)
    ]
    assert not [text for text, said in texts.items() if set(PLACES.findall(text)) != set(PLACES.findall(said))]


@pytest.mark.parametrize(
    ("line", "parsed", "language"),
    [
        ("calls list", "calls list", "en"),
        ("--lang zh calls list", "--lang zh calls list", "zh"),
        ("calls list --lang zh --json", "--lang zh calls list --json", "zh"),
        ("calls list --lang=zh", "--lang=zh calls list", "zh"),
        ("--lang en calls list --lang zh", "--lang zh calls list", "zh"),
        ("calls list --lang", "calls list --lang", "en"),
        ("calls list --lang fr", "--lang fr calls list", "en"),
        ("calls show -- --lang zh", "calls show -- --lang zh", "en"),
    ],
)
def test_the_option_may_stand_anywhere(line: str, parsed: str, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a command as in front of it, the last one counts; `--` ends the options."""
    monkeypatch.setenv("LC_ALL", "C")
    assert choose_language(line.split()) == parsed.split()
    assert current_language() == language


def test_a_text_without_a_translation_stays_english() -> None:
    """Nothing fails for lack of a word."""
    set_language(Language.ZH)
    assert tr("no such text, {value}", value=1) == "no such text, 1"
