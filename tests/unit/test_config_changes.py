"""What differs between two configurations, and what a running gateway takes over of it."""

import pytest

from answerback.config import Settings
from answerback.config.changes import check_reloadable, find_changes
from answerback.errors import ConfigError

_TOKEN = "alerts-0123456789"


def said(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """The changes as the log has them."""
    return [str(change) for change in find_changes(Settings(**before), Settings(**after))]  # type: ignore[arg-type]


def test_what_is_the_same_is_no_change() -> None:
    """Two readings of one file differ in nothing."""
    same: dict[str, object] = {"channels": {"alerts": {"token": _TOKEN}}, "retention": {"calls_days": 30}}
    assert said(same, same) == []


def test_a_change_has_both_values() -> None:
    """Each setting that differs, by its name, with what it was and is."""
    after: dict[str, object] = {
        "retention": {"calls_days": 30, "audit_days": 60},
        "alerts": {"rules": {"junk": {"metric": "quarantine", "above": 5}}},
        "log": {"level": "debug"},
    }
    before: dict[str, object] = {
        "retention": {"calls_days": 7},
        "alerts": {"rules": {"junk": {"metric": "quarantine", "above": 4}, "old": {"metric": "overdue"}}},
    }
    assert said(before, after) == [
        "retention.calls_days: 7.0 -> 30.0",
        "retention.audit_days: - -> 60.0",
        'log.level: "info" -> "debug"',
        "alerts.rules.junk.above: 4 -> 5",
        "alerts.rules.old: removed",
    ]


def test_no_secret_is_shown() -> None:
    """Tokens, secrets, Apprise URLs, and the URLs of endpoints, which often have one in their path."""
    before: dict[str, object] = {
        "channels": {"a": {"token": _TOKEN}, "b": {"token": "second-0123456789"}},
        "endpoints": {"crm": {"url": "https://crm.example/secret-one"}},
        "alerts": {"notify": ["json://secret-two"]},
    }
    after: dict[str, object] = {
        "channels": {"a": {"token": "other-0123456789ab"}, "c": {"token": "third-0123456789ab"}},
        "endpoints": {"crm": {"url": "https://crm.example/secret-three"}},
        "alerts": {"notify": ["json://secret-four", "json://secret-five"]},
    }
    assert said(before, after) == [
        "alerts.notify: changed",
        "channels.a.token: changed",
        "channels.b: removed",
        "channels.c: added",
        "endpoints.crm.url: changed",
    ]


def test_what_needs_a_restart_is_named() -> None:
    """All of it at once, and nothing that could be taken over."""
    after = Settings(
        server={"port": 1, "data_dir": "x", "roles": ["api"]},
        ledger={"url": "postgresql://db/x"},
        stream={"url": "nats://a:4222"},
        retention={"calls_days": 1},
    )
    named = "^server.port, server.data_dir, server.roles, ledger.url, stream.url: cannot be changed without a restart$"
    with pytest.raises(ConfigError, match=named):
        check_reloadable(find_changes(Settings(), after))
