"""The documents in two languages: each page says in Chinese what it says in English, and its links stay in its language."""

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
DOCS = TOP / "docs"
CHINESE = sorted(DOCS.glob("*.zh-CN.md"))
ENGLISH_ALONE = {"architecture", "development", "performance"}
"""For those who work on the program itself."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"\s+# .*|\s+// .*|^# .*|\s+-- .*", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^]]+\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")


def english(page: Path) -> Path:
    """The page that `page` is the Chinese of."""
    return page.with_name(page.name.replace(".zh-CN", ""))


def headings(page: Path) -> list[str]:
    """The headings of a page, with their marks."""
    return re.findall(r"^#+ .+$", _FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What links can point to on a page."""
    words = (re.sub(r"[^\w\- ]", "", heading.lstrip("# ").lower()) for heading in headings(page))
    return {word.replace(" ", "-") for word in words}


def commands(page: Path) -> list[tuple[str, list[str]]]:
    """The blocks of code that are not output, line by line, without their comments."""
    blocks = _FENCE.findall(page.read_text(encoding="utf-8"))
    return [
        (kind, [line.strip() for line in _COMMENT.sub("", text).splitlines() if line.strip()])
        for kind, text in blocks
        if kind not in {"", "console", "text"}
    ]


def keys(page: Path) -> list[str]:
    """What the rows of tables are about: metrics, settings, reasons, events."""
    rows = re.findall(r"^\| (.+?) \|", _FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return [re.sub("<.*?>", "<>", code) for row in rows for code in re.findall(r"`([^`]+)`", row)]


def test_every_page_is_there_in_chinese() -> None:
    """But for those of contributors."""
    pages = {page.stem for page in DOCS.glob("*.md")} - {page.stem for page in CHINESE}
    assert pages - {english(page).stem for page in CHINESE} == ENGLISH_ALONE


def test_every_decision_is_in_the_list() -> None:
    """By its number and its title, in order."""
    records = sorted((DOCS / "decisions").glob("0*.md"))
    titles = [record.read_text(encoding="utf-8").partition("\n")[0] for record in records]
    listed = re.findall(r"^- \[(\d+)\]\((.+)\) (.+)$", (DOCS / "decisions/README.md").read_text(), re.MULTILINE)
    assert [(f"# {number} {title}", name) for number, name, title in listed] == [
        (title, record.name) for title, record in zip(titles, records, strict=True)
    ]


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: english(page).stem)
def test_both_languages_have_the_same_sections_commands_and_tables(page: Path) -> None:
    """Whoever changes one page changes the other."""
    depths, others = ([heading.index(" ") for heading in headings(each)] for each in (page, english(page)))
    assert depths == others
    assert commands(page) == commands(english(page))
    assert keys(page) == keys(english(page))


@pytest.mark.parametrize("page", [*CHINESE, TOP / "README.zh-CN.md"], ids=lambda page: english(page).stem)
def test_chinese_links_to_chinese(page: Path) -> None:
    """To the Chinese page where there is one, and to a heading that it has."""
    for path, anchor in _LINK.findall(page.read_text(encoding="utf-8").partition("\n\n")[2].partition("\n\n")[2]):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        assert not target.with_suffix(".zh-CN.md").exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"
