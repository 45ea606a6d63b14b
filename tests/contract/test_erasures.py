"""Erasure of one person's number: every spelling, every table; everybody else's stays."""

import re
from contextlib import closing
from datetime import timedelta

import msgspec
import pytest
from builders import ADMIN, NIGHT, NOON, failure, received, rejected, status, wire
from contract.backends import database
from contract.databases import lent_database
from contract.delivery_helpers import (
    accept,
    annotate,
    attempt,
    endpoint,
    exhaust,
    load,
    settle,
)
from contract.test_statistics import EVER, recount, said
from contract.test_statistics import everything as rows
from postgresql import shared_server
from sqlalchemy import LargeBinary, Text, select

from answerback.domain.delivery_states import DeliveryTransition
from answerback.domain.models import RawCallback
from answerback.domain.retention import RetentionPolicy
from answerback.erasures.erasure_run import count_rows, erase
from answerback.erasures.sealing import seal, unseal
from answerback.errors import PermissionDenied, ResourceNotFound
from answerback.ledger import Disposition, Ledger
from answerback.ledger.admin.audit import AuditAction, record_event
from answerback.ledger.admin.endpoints import remove
from answerback.ledger.commands import ListEndpointChanges, Prune, RequestErasure
from answerback.ledger.tables import call_key, metadata
from answerback.ledger.write.erasures import ErasureState, find_erasure, find_unfinished
from answerback.ledger.write.retention import PrunePosition
from answerback.tencent.parsing import parse_callback

NUMBER = "13788888888"
OTHER = "13912345678"
KEY = b"a key of the server secret"
SPELLINGS = (NUMBER, "137 8888 8888", "137-8888-8888", "１３７８８８８８８８８")


def everything(ledger: Ledger) -> str:
    """All texts and bytes of all tables."""
    found: list[str] = []
    with ledger.engine.connect() as connection:
        for table in metadata.sorted_tables:
            columns = [column for column in table.columns if isinstance(column.type, Text | LargeBinary)]
            for row in connection.execute(select(*columns)) if columns else ():
                found += [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in row]
    return "\n".join(found)


def fill(ledger: Ledger, number: str, name: str) -> None:
    """A number, spelled in many ways, in everything that may hold it."""
    to = endpoint(ledger, name)
    raw = wire(status(callid=f"{name}-int", mobile=number)).replace(f'"{number}"'.encode(), number.encode())
    assert number.encode() in raw
    spaced = f"{number[:3]} {number[3:7]} {number[7:]}"
    noted = parse_callback(
        RawCallback(
            "default",
            wire(status(callid=f"{name}-noted", mobile=""))[:-2] + f', "note": "+86 {spaced}"}}}}'.encode(),
            NOON,
        )
    )
    ledger.record(
        [
            received(status(callid=f"{name}-plain", mobile=number)),
            received(status(callid=f"{name}-plain", mobile=f"+86{number}", fee_minutes=2)),
            received(status(callid=f"{name}-code", mobile=f"0086{number}", nationcode="")),
            received(status(callid=f"{name}-from", mobile="10086", call_from=f"86{number}")),
            received(failure(callid=f"{name}-reason", mobile=None, reason=f"call {spaced} back")),
            received(status(callid=f"{name}-int", mobile=number), raw=raw),
            received(status(callid=f"{number}-{name}", mobile="")),
            msgspec.structs.replace(noted, received_at=NOON),
            rejected(f"POST mobile=%2B86{number}".encode(), reason=f"unexpected {number}"),
        ]
    )
    annotate(ledger, f"{name}-plain", reference=f"for {number}", metadata={"to": [int(number), f"86-{spaced}"], "n": 1})
    job, *others = load(ledger, to)
    settle(
        ledger, attempt(job, DeliveryTransition.ATTEMPT_FAILED, answer=f"no {spaced}".encode(), error=f"no {number}")
    )
    exhaust(ledger, others[0])
    accept(ledger, *others[1:])
    ledger.write(
        lambda c, _: record_event(
            c, ADMIN, AuditAction.EXPORTED, NOON, "calls of", f"{name} x{number[:3]}-{number[3:]}"
        )
    )


def asked(ledger: Ledger, number: str = f"+86{NUMBER}") -> int:
    """An erasure that was asked for."""
    return RequestErasure(ADMIN, seal(KEY, number)).run(ledger).id


def test_a_number_is_gone_and_another_stays(ledger: Ledger) -> None:
    """Each spelling, from each table; calls and callbacks stay as facts; the receipt counts rows by table."""
    fill(ledger, NUMBER, "one")
    fill(ledger, OTHER, "two")
    assert any(spelling in everything(ledger) for spelling in SPELLINGS)
    before = {call.callid: call for call in ledger.calls(limit=100).items}
    planned = count_rows(ledger, None, NUMBER)
    done = erase(ledger, None, asked(ledger), f"+86{NUMBER}")
    text = everything(ledger)
    assert [spelling for spelling in SPELLINGS if spelling in text] == []
    assert text.count(OTHER) >= 12
    assert (done.state, done.sealed_number) == (ErasureState.DONE, None)
    assert {**done.erased, "deliveries": 0} == {**planned, "deliveries": 0}
    assert done.erased == {
        "calls": 6,
        "callbacks": 8,
        "deliveries": 6,
        "quarantine": 1,
        "attempts": 1,
    }
    after = {call.callid: call for call in ledger.calls(limit=100).items}
    plain = after["one-plain"]
    assert (plain.mobile, plain.outcome, plain.fee_minutes) == (None, before["one-plain"].outcome, 2)
    assert (plain.reference, plain.metadata) == ("for ***********", {"to": ["*" * 9, "86-" + "*" * 13], "n": 1})
    assert {callid: call for callid, call in after.items() if "two" in callid} == {
        callid: call for callid, call in before.items() if "two" in callid
    }
    (entry, _) = ledger.callbacks("one-plain").items
    assert entry.erased_at is not None
    assert entry.raw == wire(status(callid="one-plain", mobile="*" * 11))
    assert ledger.callbacks("two-plain").items[0].erased_at is None


def test_statistics_stay_sums_of_the_calls(ledger: Ledger) -> None:
    """An erased call counts as of no known place, also when a callback of it comes later; all other sums stay."""
    ledger.record([received(status(callid="one")), received(status(callid="two", mobile=OTHER))])
    total = ledger.statistics(EVER).total
    erase(ledger, None, asked(ledger), NUMBER)
    assert ledger.statistics(EVER).total == total
    ledger.record([received(status(callid="one", fee_minutes=3), after_s=5)])
    assert said(ledger.statistics(EVER)) == recount(rows(ledger))


def test_a_repeat_of_an_erased_callback_is_new(ledger: Ledger) -> None:
    """The fingerprint that it would be known by is gone with the number; what comes afterwards is stored as it is."""
    ledger.record([received(status())])
    erase(ledger, None, asked(ledger), NUMBER)
    (again,) = ledger.record([received(status())])
    assert again.disposition is Disposition.STORED
    assert ledger.call(status().callid).revisions == 1
    assert NUMBER in everything(ledger)
    erase(ledger, None, asked(ledger), NUMBER)
    assert NUMBER not in everything(ledger)


def test_settings_are_named_and_what_was_removed_is_erased(ledger: Ledger) -> None:
    """An endpoint or a key that holds the number is its owner's to change; a removed endpoint is history."""
    endpoint(ledger, "vip", reference_prefixes=(NUMBER,))
    endpoint(ledger, f"to-{NUMBER}", url=f"https://crm.example.com/x?to={NUMBER}")
    endpoint(ledger, "others", number_prefixes=(OTHER, NUMBER[:7]))
    gone = endpoint(ledger, f"gone-{NUMBER}", url=f"https://crm.example.com/x?to={NUMBER}", headers={"x-to": NUMBER})
    ledger.write(lambda c, _: remove(c, gone.id, ADMIN, NOON))
    done = erase(ledger, None, asked(ledger), NUMBER)
    assert done.kept_in == ["endpoint to-***********", "endpoint vip"]
    assert done.erased == {"endpoints": 1}
    assert everything(ledger).count(NUMBER) == 3
    assert ledger.endpoints()[0].config.number_prefixes == (OTHER, NUMBER[:7])


def test_a_pending_delivery_goes_out_without_the_number(ledger: Ledger) -> None:
    """Under the same id: whoever got it before knows it again."""
    to = endpoint(ledger)
    ledger.record([received(status())])
    (before,) = load(ledger, to)
    known = ListEndpointChanges(-1).run(ledger)
    erase(ledger, None, asked(ledger), NUMBER)
    ((changed, exists),) = ListEndpointChanges(known.revision).run(ledger).endpoints
    assert (changed.config, exists, changed.updated_at > to.updated_at) == (
        to.config,
        True,
        True,
    )  # so it is fetched again
    (after,) = load(ledger, to)
    assert NUMBER.encode() in before.body
    assert NUMBER.encode() not in after.body
    assert after.message_id == before.message_id


def test_a_remembered_call_is_forgotten_where_its_callid_holds_the_number(ledger: Ledger) -> None:
    """What is left of a call that was deleted for its age."""
    ledger.record(
        [received(status(callid=f"x{NUMBER}", mobile="")), received(status(callid="new", mobile=""), after_s=9e6)]
    )
    cutoffs = RetentionPolicy(calls_days=30).cutoffs(NOON + timedelta(days=100))
    Prune(cutoffs, PrunePosition()).run(ledger)
    assert call_key(f"x{NUMBER}") in everything(ledger)
    assert erase(ledger, None, asked(ledger), NUMBER).erased == {"pruned_calls": 1}
    assert NUMBER not in everything(ledger)


def test_no_dump_of_a_database_has_it() -> None:
    """A dump of a real PostgreSQL by its own tool has no spelling of it, and all of another's."""
    url = lent_database()
    with closing(database(url)()) as ledger:
        fill(ledger, NUMBER, "one")
        fill(ledger, OTHER, "two")
        assert NUMBER.encode() in readable(shared_server().dump(url))
        erase(ledger, None, asked(ledger), NUMBER)
    dump = readable(shared_server().dump(url))
    assert [spelling for spelling in SPELLINGS if spelling.encode() in dump] == []
    assert dump.count(OTHER.encode()) >= 12
    shared_server().drop_database(url)


def readable(dump: bytes) -> bytes:
    """A dump, and behind it the bytes that it spells in hexadecimal."""
    found: list[bytes] = re.findall(rb"\\x([0-9a-f]+)", dump)
    return b"\n".join([dump, *(bytes.fromhex(digits.decode()) for digits in found)])


class Killed(Exception):
    """Something ends the erasure."""


@pytest.mark.parametrize("steps", range(0, 12, 3))
def test_an_erasure_that_was_killed_is_run_again(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Nothing is counted twice; until it is done the number is written down, but nobody can read it."""
    from answerback.erasures import erasure_run

    monkeypatch.setattr(erasure_run, "_ROWS_PER_PAGE", 3)
    fill(ledger, NUMBER, "one")
    whole = count_rows(ledger, None, NUMBER)
    id_ = asked(ledger)
    left = iter(range(steps))

    def stop() -> None:
        if next(left, None) is None:
            raise Killed

    with pytest.raises(Killed):
        erase(ledger, None, id_, NUMBER, stop)
    (pending,) = ledger.read(find_unfinished)
    assert pending.id == id_
    assert unseal(KEY, pending.sealed_number or b"") == f"+86{NUMBER}"
    assert unseal(b"another", pending.sealed_number or b"") is None
    done = erase(ledger, None, id_, NUMBER)
    assert {**done.erased, "deliveries": 0} == {**whole, "deliveries": 0}
    assert ledger.read(find_unfinished) == []
    assert NUMBER not in everything(ledger)


def test_who_may_not_see_numbers_may_not_erase_one(ledger: Ledger) -> None:
    """It would say whether it is there. What was asked for is an audit event without the number; an unknown id is not found."""
    with pytest.raises(PermissionDenied, match="full numbers"):
        RequestErasure(NIGHT, seal(KEY, NUMBER)).run(ledger)
    id_ = asked(ledger)
    (event, *_) = ledger.audit_events().items
    assert (event.action, event.actor, event.target) == ("number_erased", "admin", f"erasure {id_}")
    with pytest.raises(ResourceNotFound, match="no erasure 77"):
        ledger.read(lambda c: find_erasure(c, 77))
