"""The console's style sheets, read as text."""

import re
from collections import Counter
from pathlib import Path

from answerback.console import assets

SHEETS = Path(assets.__file__).parent / "static"
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_AT_RULE = re.compile(r"@[^{]+\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}")


def test_no_selector_stands_twice() -> None:
    """A page's class that another page has, too, would look there as it does here: each selector has one rule, whichever sheet it is in."""
    sheets = "".join((SHEETS / name).read_text(encoding="utf-8") for name in ("console.css", "records.css"))
    rules = _AT_RULE.sub("", _COMMENT.sub("", sheets))
    selectors = Counter(selector.strip() for selector in re.findall(r"([^{}]+)\{", rules))
    assert [one for one, times in selectors.items() if times > 1 and one != ":root"] == []
