import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from builders import NOON
from contract.backends import OpenLedger

from answerback.access import draft_key
from answerback.errors import Conflict, InvalidCursor, NotFound
from answerback.ledger import Ledger, keys
from answerback.ledger.keys import Deed, KeyDraft
from answerback.ledger.requests import CreateKey, Note, RevokeKey
from answerback.model import ApiKey, Role

LATER = NOON + timedelta(days=1, microseconds=1)


def digest(number: int) -> bytes:
    """The SHA-256 of some key."""
    return hashlib.sha256(bytes([number])).digest()


def add(ledger: Ledger, name: str = "night", number: int = 1, role: Role = Role.VIEWER) -> ApiKey:
    """Add a key at noon."""
    draft = KeyDraft(name, digest(number), role, full_numbers=False)
    return ledger.write(lambda c, _: keys.add(c, draft, "admin", NOON))


def revoke(ledger: Ledger, name: str) -> ApiKey:
    """Revoke a key, a day later."""
    return ledger.write(lambda c, _: keys.revoke(c, name, "admin", LATER))


def told(ledger: Ledger) -> list[tuple[str, str, str]]:
    """Who did what, oldest first."""
    return [(deed.who, deed.deed, deed.about) for deed in reversed(ledger.deeds(limit=100).items)]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("full_numbers", [False, True])
def test_a_key_comes_back_as_it_was_added(reopen: OpenLedger, role: Role, *, full_numbers: bool) -> None:
    """Every right of it, to the microsecond, by its digest, by its id and in the list; and it outlasts the process."""
    now = NOON.replace(microsecond=123457)
    draft = KeyDraft("night-shift", digest(1), role, full_numbers)
    added = reopen().write(lambda c, _: keys.add(c, draft, "admin", now))
    assert added == ApiKey(id=added.id, name="night-shift", role=role, full_numbers=full_numbers, created_at=now)
    ledger = reopen()
    assert added.id > 0
    assert ledger.key_of(digest(1)) == ledger.key_by_id(added.id) == added
    assert ledger.keys() == [added]


def test_no_other_digest_opens(ledger: Ledger) -> None:
    """A digest that is not a key's is nobody's, however near it is."""
    add(ledger)
    right = digest(1)
    for wrong in (digest(2), right[:-1], right + b"\x00", right[:-1] + bytes([right[-1] ^ 1]), b""):
        assert ledger.key_of(wrong) is None
    assert [ledger.key_by_id(id_) for id_ in (0, -1, 2**62)] == [None, None, None]


def test_only_the_digest_is_kept(ledger: Ledger) -> None:
    """The key itself is nowhere in the ledger's table."""
    key, draft = draft_key("night", Role.ADMIN, full_numbers=True)
    CreateKey(draft, "admin").run(ledger)
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
    assert there.key_by_id(key.id) is None
    assert there.keys() == [other]
    assert there.key_of(digest(2)) == other


@pytest.mark.parametrize("name", ["nobody", "99", "9" * 30, "-1", "", "'; --", "night", "NIGHT"])
def test_what_is_no_living_key_cannot_be_revoked(ledger: Ledger, name: str) -> None:
    """Neither a name nor an id that nobody has, nor one that was revoked before; and nothing is noted."""
    add(ledger)
    revoke(ledger, "night")
    before = told(ledger)
    with pytest.raises(NotFound, match="no living key"):
        revoke(ledger, name)
    assert told(ledger) == before


def test_a_name_is_free_again_after_its_key(ledger: Ledger) -> None:
    """Two living keys never share a name; a revoked one does not hold it, and opens nothing under its successor."""
    first = add(ledger)
    with pytest.raises(Conflict, match="there is a key night already"):
        add(ledger, number=2)
    assert ledger.key_of(digest(2)) is None
    revoke(ledger, "night")
    second = add(ledger, number=2)
    assert second.id != first.id
    assert ledger.key_of(digest(1)) is None
    assert ledger.keys() == [second]


def test_what_was_done_is_noted_in_the_same_transaction(ledger: Ledger) -> None:
    """A key made or revoked has its deed; one that could not be has none."""
    add(ledger, role=Role.OPERATOR)
    with pytest.raises(Conflict):
        add(ledger, number=2)
    full = KeyDraft("auditor", digest(3), Role.VIEWER, full_numbers=True)
    ledger.write(lambda c, _: keys.add(c, full, "night", NOON))
    revoke(ledger, "night")
    assert told(ledger) == [
        ("admin", "key_created", "night (operator)"),
        ("night", "key_created", "auditor (viewer, full numbers)"),
        ("admin", "key_revoked", "night"),
    ]


def test_an_undone_transaction_leaves_neither_key_nor_deed(ledger: Ledger) -> None:
    """Both are kept, or none."""

    def work(connection: object, _: object) -> None:
        keys.add(connection, KeyDraft("night", digest(1), Role.VIEWER, full_numbers=False), "admin", NOON)  # type: ignore[arg-type]
        raise Conflict("no after all")

    with pytest.raises(Conflict, match="no after all"):
        ledger.write(work)
    assert (ledger.keys(), told(ledger)) == ([], [])


@pytest.mark.parametrize("limit", [1, 3, 7, 8, 100])
def test_pages_of_deeds_follow_each_other(ledger: Ledger, limit: int) -> None:
    """Newest first, each once, with what is noted in between not among them."""
    for number in range(7):
        Note("night", "exported", f"calls {number}").run(ledger)
    seen, cursor = [], None
    while True:
        page = ledger.deeds(cursor, limit)
        seen += [deed.about for deed in page.items]
        Note("night", "exported", "new").run(ledger)
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [f"calls {number}" for number in reversed(range(7))]


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", str(2**63), "9" * 5000, "１"])
def test_a_cursor_that_nobody_gave_is_refused(ledger: Ledger, cursor: str) -> None:
    """What is not a former page's is said to be so."""
    with pytest.raises(InvalidCursor, match="cursor"):
        ledger.deeds(cursor)


def test_requests_do_the_same(ledger: Ledger) -> None:
    """What the gateway asks of the writer: make, revoke and note, with the time of now."""
    began = datetime.now(UTC)
    made = CreateKey(KeyDraft("night", digest(1), Role.VIEWER, full_numbers=True), "admin").run(ledger)
    Note("night", "numbers_revealed", "call x").run(ledger)
    revoked = RevokeKey("night", "admin").run(ledger)
    assert revoked == msgspec.structs.replace(made, revoked_at=revoked.revoked_at)
    assert revoked.revoked_at is not None
    assert began <= made.created_at <= revoked.revoked_at <= datetime.now(UTC)
    newest, middle, oldest = ledger.deeds().items
    assert middle == Deed(id=middle.id, at=middle.at, who="night", deed="numbers_revealed", about="call x")
    assert oldest.id < middle.id < newest.id
    assert oldest.at <= middle.at <= newest.at
