import pytest
from rich.console import Console

from answerback.cli import output


def test_a_row_is_one_line_however_narrow_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is to be copied, a callid or a URL, is never cut or broken."""
    monkeypatch.setattr(output, "out", Console(width=30))
    output.print_table(("callid", "url"), [("c" * 36, "u" * 80)], "nothing")
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[1:] == [f"{'c' * 36}  {'u' * 80}"]


def test_prose_is_wrapped_at_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What is to be read fits the terminal, and nothing of it is lost."""
    monkeypatch.setattr(output, "out", Console(width=30))
    output.print_table(("finding",), [("the file system lives in memory and forgets",)], "nothing", prose=True)
    reported = capsys.readouterr().out
    assert all(len(line) <= 30 for line in reported.splitlines())
    assert " ".join(reported.split()) == "finding the file system lives in memory and forgets"


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """No rows are words, not an empty table."""
    output.print_table(("callid",), [], "no calls")
    assert capsys.readouterr().out == "no calls\n"
