import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from builders import ADMIN, NIGHT, NOON
from contract.backends import OpenLedger

from answerback.auth.api_keys import draft_api_key
from answerback.domain.models import ApiKey, Role
from answerback.errors import PermissionDenied, ResourceNotFound, StateConflict
from answerback.ledger import Ledger
from answerback.ledger.admin import api_keys
from answerback.ledger.admin.api_keys import KeyDraft
from answerback.ledger.admin.audit import Actor
from answerback.ledger.commands import CreateKey, EndSession, RevokeKey

LATER = NOON + timedelta(days=1, microseconds=1)


def digest(number: int) -> bytes:
    """The SHA-256 of some key."""
    return hashlib.sha256(bytes([number])).digest()


def add(ledger: Ledger, name: str = "night", number: int = 1, role: Role = Role.VIEWER) -> ApiKey:
    """Add a key at noon."""
    draft = KeyDraft(name, digest(number), role, full_numbers=False)
    return ledger.write(lambda c, _: api_keys.add(c, draft, ADMIN, NOON))


def revoke(ledger: Ledger, name: str) -> ApiKey:
    """Revoke a key, a day later."""
    return ledger.write(lambda c, _: api_keys.revoke(c, name, ADMIN, LATER))


def reported(ledger: Ledger) -> list[tuple[str, str, str]]:
    """Who did what, oldest first."""
    return [(one.actor, one.action, one.target) for one in reversed(ledger.audit_events(limit=100).items)]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("full_numbers", [False, True])
def test_a_key_comes_back_as_it_was_added(reopen: OpenLedger, role: Role, *, full_numbers: bool) -> None:
    """Every right of it, to the microsecond, by its digest, by its id and in the list; and it outlasts the process."""
    now = NOON.replace(microsecond=123457)
    draft = KeyDraft("night-shift", digest(1), role, full_numbers)
    added = reopen().write(lambda c, _: api_keys.add(c, draft, ADMIN, now))
    assert added == ApiKey(
        id=added.id, name="night-shift", digest=digest(1), role=role, full_numbers=full_numbers, created_at=now
    )
    ledger = reopen()
    assert added.id > 0
    assert ledger.key_of(digest(1)) == ledger.key_of_session("s", added.id) == added
    assert ledger.keys() == [added]


def test_no_other_digest_opens(ledger: Ledger) -> None:
    """A digest that is not a key's is nobody's, however near it is."""
    add(ledger)
    right = digest(1)
    for wrong in (digest(2), right[:-1], right + b"\x00", right[:-1] + bytes([right[-1] ^ 1]), b""):
        assert ledger.key_of(wrong) is None
    assert [ledger.key_of_session("s", id_) for id_ in (0, -1, 2**62)] == [None, None, None]


def test_only_the_digest_is_kept(ledger: Ledger) -> None:
    """The key itself is nowhere in the ledger's table."""
    key, draft = draft_api_key("night", Role.ADMIN, full_numbers=True)
    CreateKey(ADMIN, draft).run(ledger)
    (row,) = ledger.read(lambda c: c.exec_driver_sql("SELECT * FROM api_keys").all())
    assert draft.digest in row
    assert key not in repr(tuple(row))
    assert draft.digest == hashlib.sha256(key.encode()).digest()


@pytest.mark.parametrize("by", [lambda key: key.name, lambda key: str(key.id)], ids=["name", "id"])
def test_a_revoked_key_is_gone_in_every_process(reopen: OpenLedger, by: Callable[[ApiKey], str]) -> None:
    """By name or id; who looks it up in another process no longer finds it."""
    here, there = reopen(), reopen()
    key, other = add(here), add(here, "other", 2)
    assert there.key_of(digest(1)) == key
    assert revoke(here, by(key)) == msgspec.structs.replace(key, revoked_at=LATER)
    assert there.key_of(digest(1)) is None
    assert there.key_of_session("s", key.id) is None
    assert there.keys() == [other]
    assert there.key_of(digest(2)) == other


@pytest.mark.parametrize("name", ["nobody", "99", "9" * 30, "-1", "", "'; --", "night", "NIGHT"])
def test_what_is_no_living_key_cannot_be_revoked(ledger: Ledger, name: str) -> None:
    """Neither a name nor an id that nobody has, nor one that was revoked before; and nothing is noted."""
    add(ledger)
    revoke(ledger, "night")
    before = reported(ledger)
    with pytest.raises(ResourceNotFound, match="no active key"):
        revoke(ledger, name)
    assert reported(ledger) == before


def test_a_name_is_free_again_after_its_key(ledger: Ledger) -> None:
    """Two living keys never share a name; a revoked one does not hold it, and opens nothing under its successor."""
    first = add(ledger)
    with pytest.raises(StateConflict, match="there is a key night already"):
        add(ledger, number=2)
    assert ledger.key_of(digest(2)) is None
    revoke(ledger, "night")
    second = add(ledger, number=2)
    assert second.id != first.id
    assert min(first.id, second.id) > 2**16, (
        "chosen by chance: a ledger from a backup does not give the next in order again"
    )
    assert ledger.key_of(digest(1)) is None
    assert ledger.keys() == [second]


def test_what_was_done_is_noted_in_the_same_transaction(ledger: Ledger) -> None:
    """A key made or revoked has its event; one that could not be has none."""
    add(ledger, role=Role.OPERATOR)
    with pytest.raises(StateConflict):
        add(ledger, number=2)
    full = KeyDraft("auditor", digest(3), Role.VIEWER, full_numbers=True)
    ledger.write(lambda c, _: api_keys.add(c, full, Actor("night"), NOON))
    revoke(ledger, "night")
    assert reported(ledger) == [
        ("admin", "key_created", "night (operator)"),
        ("night", "key_created", "auditor (viewer, full numbers)"),
        ("admin", "key_revoked", "night"),
    ]


def test_a_rolled_back_transaction_leaves_neither_key_nor_event(ledger: Ledger) -> None:
    """Both are kept, or none."""

    def work(connection: object, _: object) -> None:
        api_keys.add(connection, KeyDraft("night", digest(1), Role.VIEWER, full_numbers=False), ADMIN, NOON)  # type: ignore[arg-type]
        raise StateConflict("no after all")

    with pytest.raises(StateConflict, match="no after all"):
        ledger.write(work)
    assert (ledger.keys(), reported(ledger)) == ([], [])


def test_who_may_not_see_numbers_gives_nobody_the_right_to(ledger: Ledger) -> None:
    """An administrator without it makes keys without it; neither key nor event is left of the try."""
    for_numbers = KeyDraft("auditor", digest(1), Role.VIEWER, full_numbers=True)
    with pytest.raises(PermissionDenied, match="requires the right to full numbers; the key `night` does not have it"):
        CreateKey(NIGHT, for_numbers).run(ledger)
    assert (ledger.keys(), reported(ledger)) == ([], [])
    made = CreateKey(NIGHT, msgspec.structs.replace(for_numbers, full_numbers=False)).run(ledger)
    assert RevokeKey(NIGHT, made.name).run(ledger).revoked_at is not None


def test_requests_do_the_same(ledger: Ledger) -> None:
    """What the gateway asks of the writer: make and revoke, with the time of now."""
    began = datetime.now(UTC)
    made = CreateKey(ADMIN, KeyDraft("night", digest(1), Role.VIEWER, full_numbers=True)).run(ledger)
    revoked = RevokeKey(ADMIN, "night").run(ledger)
    assert revoked == msgspec.structs.replace(made, revoked_at=revoked.revoked_at)
    assert revoked.revoked_at is not None
    assert began <= made.created_at <= revoked.revoked_at <= datetime.now(UTC)


def test_an_ended_session_is_ended_for_every_process(reopen: OpenLedger) -> None:
    """To end it twice does no harm; others of the same key go on; and it is forgotten once it is too old to open."""
    here, there = reopen(), reopen()
    key = add(here)
    us = 1_000_000
    now_us = round(datetime.now(UTC).timestamp() * us)
    EndSession("long", now_us + 3600 * us).run(here)
    EndSession("old", now_us - us).run(here)
    EndSession("long", now_us + 3600 * us).run(there)
    assert there.key_of_session("long", key.id) is None
    assert there.key_of_session("another", key.id) == key
    assert (there.has_ended("long"), there.has_ended("another")) == (True, False)
    assert not there.has_ended("old"), "its age ends it"
