"""Retention by age: `answerback prune` by hand, and the gateway by itself."""

import json
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from builders import received, status
from gateway import OK, Gateway, prompt, run
from postgresql import shared_server
from receivers.process import await_true

from answerback.ledger import Ledger, open_postgresql, open_sqlite

POLICY = {"ANSWERBACK_RETENTION__CALLS_DAYS": "30"}


def fill(ledger: Ledger) -> None:
    """Calls of a hundred days ago, and one of yesterday."""
    with closing(ledger):
        now = datetime.now(UTC)
        for days, callid in [(100, f"old {n}") for n in range(300)] + [(1, "new")]:
            item = msgspec.structs.replace(received(status(callid=callid)), received_at=now - timedelta(days=days))
            ledger.record([item])


def rows(output: str) -> dict[str, int]:
    """What the command said of each table, of which there was something."""
    return {one["table"]: one["rows"] for one in json.loads(output)["items"] if one["rows"]}


def test_a_gateway_deletes_what_is_too_old(tmp_path: Path) -> None:
    """It says so in its log, metrics, status and audit log; `--dry-run` and `doctor` said before what is late; statistics stay."""
    data_dir = tmp_path / "data"
    fill(open_sqlite(data_dir, allow_unsafe_filesystem=True))
    here = ("--data-dir", data_dir)
    nothing_set = run("prune", *here, cwd=tmp_path)
    assert (nothing_set.returncode, "retention.calls_days" in nothing_set.stderr) == (1, True)
    planned = run("prune", "--dry-run", "--json", *here, cwd=tmp_path, settings=POLICY)
    assert rows(planned.stdout) == {"calls": 300, "callbacks": 300}
    assert "Nothing was deleted" in run("prune", "--dry-run", *here, cwd=tmp_path, settings=POLICY).stdout
    assert "two days late: 300 calls" in run("doctor", *here, cwd=tmp_path, settings=POLICY).stdout
    with Gateway(data_dir, settings=POLICY) as gateway:
        before = counted(gateway)
        assert gateway.post(prompt("now")).content == OK
        deadline_s = time.monotonic() + 30
        while 'answerback_pruned_rows_total{table="calls"} 300.0' not in (said := gateway.metrics()):
            assert time.monotonic() < deadline_s, said
            time.sleep(0.05)
        assert {one["callid"] for one in gateway.items("/v1/calls")} == {"new", "now"}
        assert counted(gateway) == before
        while (passed := gateway.get("/v1/status").json()["instances"][0]["retention"]) is None:
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        assert passed["deleted"] == {"calls": 300, "callbacks": 300}
        deleted = "retention: 300 callbacks, 300 calls deleted"
        await_true(lambda: deleted in run("status", *here, cwd=tmp_path).stdout)  # with the next heartbeat
        (event, *_) = gateway.items("/v1/audit-events")
        assert (event["action"], event["actor"]) == ("ledger_pruned", "the gateway")
        assert "retention_pass" in gateway.stderr
    assert "retention.calls" not in run("doctor", *here, cwd=tmp_path, settings=POLICY).stdout


def counted(gateway: Gateway) -> dict[str, Any]:
    """The statistics of the days when the old calls came."""
    around = [f"{datetime.now(UTC) - timedelta(days=days):%FT%TZ}" for days in (102, 98)]
    totals: dict[str, Any] = gateway.get("/v1/stats", since=around[0], until=around[1]).json()["total"]
    assert totals["calls"] == 300
    return totals


def test_a_database_is_pruned_by_hand(tmp_path: Path) -> None:
    """The same settings mean the same there; it is written to the audit log who did it."""
    url = shared_server().create_database()
    fill(open_postgresql(url, allow_unsafe=True))
    options = ("--json", "--data-dir", tmp_path, "--database-url", url)
    done = run("prune", *options, cwd=tmp_path, settings=POLICY)
    assert rows(done.stdout) == {"calls": 300, "callbacks": 300}
    assert rows(run("prune", "--dry-run", *options, cwd=tmp_path, settings=POLICY).stdout) == {}
    with closing(open_postgresql(url, allow_unsafe=True)) as ledger:
        assert [call.callid for call in ledger.calls().items] == ["new"]
        (event,) = ledger.audit_events().items
        assert (event.action, event.actor, event.target) == ("ledger_pruned", "command line", "300 callbacks 300 calls")
