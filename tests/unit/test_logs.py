import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from answerback.logs import configure_logs, mask_numbers

NUMBER = "13788888888"


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Put the process's logging back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    noisy = {name: logging.getLogger(name).level for name in ("uvicorn.error", "alembic")}
    yield
    root.handlers, root.level = handlers, level
    for name, was in noisy.items():
        logging.getLogger(name).setLevel(was)
    structlog.reset_defaults()


def flush() -> None:
    """Wait until everything is written."""
    for handler in logging.getLogger().handlers:
        handler.flush()


@pytest.mark.parametrize("field", ["mobile", "call_from"])
def test_number_fields_are_masked(field: str) -> None:
    """A field that holds a number is masked, as text or as an int."""
    assert mask_numbers(None, "info", {field: NUMBER}) == {field: "137****8888"}
    assert mask_numbers(None, "info", {field: int(NUMBER)}) == {field: "137****8888"}


@pytest.mark.parametrize("field", ["reason", "error", "exception", "was"])
def test_numbers_in_prose_are_masked(field: str) -> None:
    """Prose loses the numbers in it and keeps its words."""
    assert mask_numbers(None, "info", {field: f"call to {NUMBER} failed"}) == {field: "call to 137****8888 failed"}


def test_other_fields_stay() -> None:
    """Ids, counts and names are logged as they are."""
    event = {
        "event": "batch_failed",
        "callid": "d9428888-122b-11e1-b85c-61cd3cbb3210",
        "size": 12345678,
        "reason": None,
    }
    assert mask_numbers(None, "info", dict(event)) == event


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.usefixtures("restored_logging")
def test_no_number_reaches_standard_error(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither fields nor tracebacks, of ours or of a library's, carry a number out."""
    configure_logs("info", form)
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    try:
        int(f"{NUMBER} and more")
    except ValueError:
        structlog.get_logger("answerback.test").exception("failed", mobile=NUMBER, reason=f"to {NUMBER}")
        logging.getLogger("library").exception("it failed")
    flush()
    text = written.getvalue()
    assert NUMBER not in text
    assert text.count("137****8888") >= 3
    assert "failed" in text
    if form == "json":
        assert [json.loads(line)["level"] for line in text.splitlines()] == ["error", "error"]


@pytest.mark.usefixtures("restored_logging")
def test_the_level_is_the_least_that_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the level nothing is written."""
    configure_logs("warning", "json")
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    structlog.get_logger("answerback.level").info("quiet")
    structlog.get_logger("answerback.level").warning("loud")
    flush()
    assert [json.loads(line)["event"] for line in written.getvalue().splitlines()] == ["loud"]
