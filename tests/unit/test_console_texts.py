"""The words of the console: both languages say everything, and templates ask for nothing that is not there."""

import re
from pathlib import Path

import pytest

import answerback.console
from answerback.console.texts import PAGES, texts
from answerback.i18n import LANGUAGES, Text

HOME = Path(answerback.console.__file__).parent
SOURCES = [*(HOME / "templates").glob("*.html"), *HOME.glob("*.py"), *HOME.glob("pages/*.py"), *HOME.glob("model/*.py")]
PLACES = re.compile(r"%(?:[sdg]|\.\d[fg])")


def all_texts() -> dict[str, Text]:
    """Name -> text, of every page."""
    return {name: text for page in PAGES for name, text in page.TEXTS.items()}


def test_no_name_is_used_twice() -> None:
    """The names are one flat set: a page does not change another's words."""
    assert len(all_texts()) == sum(len(page.TEXTS) for page in PAGES)


def test_no_name_hides_behind_a_method() -> None:
    """Jinja looks for an attribute first: `t.items` would be the dict's method."""
    assert not [name for name in all_texts() if hasattr(dict, name)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_there_in_every_language(language: str) -> None:
    """Nothing is empty, nothing is left out; but in English a fault is in the words of the API."""
    said = texts(language)
    assert said.keys() == all_texts().keys()
    assert not [name for name, text in said.items() if not text.strip() and not name.startswith("invalid_")]


def test_both_languages_leave_the_same_places_open() -> None:
    """What is put into a text goes into its translation, too."""
    differing = [name for name, text in all_texts().items() if PLACES.findall(text.en) != PLACES.findall(text.zh)]
    assert not differing


def test_chinese_is_chinese() -> None:
    """A text of several English words has Chinese characters."""
    prose = {name: text for name, text in all_texts().items() if len(re.findall(r"[a-z]{2,}", text.en)) >= 3}
    assert not [name for name, text in prose.items() if not re.search(r"[\u4e00-\u9fff]", text.zh)]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_every_name_that_is_asked_for_exists(source: Path) -> None:
    """`t.name` and `t["name"]` in templates and pages, and the beginnings of names that are put together."""
    text, known = source.read_text(), all_texts()
    asked = set(re.findall(r'\bt\.([a-z_0-9]+)|\bt\["([a-z_0-9]+)"\]', text))
    assert not [name for pair in asked for name in pair if name and name not in known and not hasattr(dict, name)]
    beginnings = re.findall(r'\bt\["([a-z_0-9]+)" ~', text)
    assert not [start for start in beginnings if not any(name.startswith(start) for name in known)]


def test_every_text_is_asked_for() -> None:
    """No words without a place: each name, or the beginning it is put together from, is in some source."""
    everything = "".join(source.read_text() for source in SOURCES)
    whole = set(re.findall(r"[a-z][a-z_0-9]+", everything))
    beginnings = {name for name in whole if name.endswith("_")}
    orphans = [name for name in all_texts() if name not in whole and not any(map(name.startswith, beginnings))]
    assert not orphans
