"""Build the documents as a site, artefacts/site: `make docs` runs it.

The pages are those of docs/, README and the other documents at the top, with the reference of /v1. Their links suit the
repository: here the theme chooses the language, and what is outside the site is not linked. Where a page exists in English only, the
Chinese site shows that and says so.
"""
# ruff: noqa: INP001  # a script, not a package

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from api_page import MARK, render_reference

from answerback.api.app import build_api

TOP = Path(__file__).parent.parent
SOURCE = TOP / "artefacts/site-source"  # as in mkdocs.yml
WORDS = TOP / "artefacts/site-words.txt"  # as in mkdocs.yml: the search must not split them
CHINESE = ".zh-CN.md"
FROM_OUTSIDE = {"README.md": "index.md", "README.zh-CN.md": "index.zh-CN.md"} | {
    f"{name}.md": f"{name.lower()}.md" for name in ("CHANGELOG", "CODE_OF_CONDUCT", "CONTRIBUTING", "SECURITY")
}

_SWITCH = re.compile(r"^(?:English \| )?\[(?:中文|English)\]\([^)]*\)(?: \| 中文)?\n", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[([^]]+)\]\((?!https?:|#)([^)#]+)(#[^)]*)?\)")
_IMAGE = re.compile(r"(!\[[^]]*\]\()docs/")
_FENCES = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_LESS_SOUGHT = "---\nsearch: {boost: 0.3}\n---\n\n"
_TERM = re.compile(r"^\| \*\*(.+?)\*\*", re.MULTILINE)
_TITLE = re.compile(r"\A# .*\n")
_BREAK = re.compile("(?<=[\u3000-\u9fff\uff00-\uffef])\n *(?=[\u3400-\u9fff\u201c\uff08])")
"""Between two Chinese characters, where a browser would show a blank."""


def main() -> int:
    """Gather the pages and have MkDocs build them; every warning is an error."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    reference = render_reference(_openapi())
    shutil.copytree(TOP / "docs", SOURCE, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for name, copy in FROM_OUTSIDE.items():
        shutil.copy(TOP / name, SOURCE / copy)
    for path in list(SOURCE.rglob("*.md")):
        page, text = path.relative_to(SOURCE), path.read_text().replace(MARK, reference)
        path.write_text(_page(text, page))
        if not _chinese(page).exists():
            _chinese(page).write_text(_page(_TITLE.sub(r"\g<0>\n本页只有英文。\n", text), page, in_chinese_site=True))
    terms = _TERM.findall((TOP / "docs/glossary.zh-CN.md").read_text())
    WORDS.write_text("".join(f"{word}\n" for term in terms for word in term.split("、")))
    return subprocess.run(  # noqa: S603  # our own arguments
        [Path(sys.executable).with_name("mkdocs"), "build", "--quiet", "--strict"],
        cwd=TOP,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=False,
    ).returncode


def _page(text: str, page: Path, *, in_chinese_site: bool = False) -> str:
    """Return `text` with the links of the site; English text in the Chinese site points to no heading of a page that is translated."""

    def link(found: re.Match[str]) -> str:
        words, path, anchor = found[1], found[2], found[3] or ""
        target = os.path.normpath(_directory(page) / path).removeprefix("docs/")
        target = FROM_OUTSIDE.get(target, target).replace(CHINESE, ".md")
        if target.startswith("..") or not (SOURCE / target).exists():
            return words
        if in_chinese_site and (TOP / "docs" / target.replace(".md", CHINESE)).exists():
            anchor = ""
        return f"[{words}]({os.path.relpath(target, page.parent)}{anchor})"

    front = (
        _LESS_SOUGHT
        if page.parent.name == "decisions" or page.name in {"changelog.md", "emulator-numbers.zh-CN.md"}
        else ""
    )
    return front + _LINK.sub(link, _IMAGE.sub(r"\1", _SWITCH.sub("", _join_lines(text))))


def _join_lines(text: str) -> str:
    """Join the lines of Chinese paragraphs, outside of code."""
    return "".join(part if part.startswith("```") else _BREAK.sub("", part) for part in _FENCES.split(text))


def _directory(page: Path) -> Path:
    """Where the page is in the repository."""
    return Path() if page.name in FROM_OUTSIDE.values() else Path("docs") / page.parent


def _chinese(page: Path) -> Path:
    return (SOURCE / page).with_name(page.name.removesuffix(CHINESE).removesuffix(".md") + CHINESE)


def _openapi() -> dict[str, Any]:
    """Return what /openapi.json says; the parts of a gateway are not asked anything for it."""
    part: Any = None
    return build_api(
        part, part, part, part, ("default",), part, "Asia/Shanghai", part, part, part, part, part, part, part, part
    ).openapi()


if __name__ == "__main__":
    sys.exit(main())
