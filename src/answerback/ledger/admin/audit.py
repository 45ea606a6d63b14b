"""The audit log: who did what to what. An event is written in the transaction of its act: both are kept, or neither."""

from datetime import datetime
from enum import StrEnum

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.engine import Connection

from answerback.domain.models import ApiKey, Page
from answerback.domain.phone_numbers import mask_text
from answerback.errors import PermissionDenied
from answerback.ledger.read.paging import read_id
from answerback.ledger.rows import read_row
from answerback.ledger.tables import audit_events
from answerback.ledger.types import to_us

MAX_TARGET_LENGTH = 500

_NUMBERS = ("mobile",)


class Actor(msgspec.Struct, frozen=True, array_like=True):
    """Who acts: the name of a key, or of what needs none. `full_numbers` is the right to see numbers, and to pass them on."""

    name: str
    full_numbers: bool = True

    @classmethod
    def of(cls, key: ApiKey) -> "Actor":
        return cls(key.name, key.full_numbers)

    def require_full_numbers(self) -> None:
        """Raise PermissionDenied where the actor may not see full numbers."""
        if not self.full_numbers:
            raise PermissionDenied(f"this requires the right to full numbers; the key `{self.name}` does not have it")


CLI_ACTOR = Actor("command line")
"""Whoever runs commands on the ledger itself; no key has a name with a space in it."""
CONFIG_FILE = Actor("config file")
"""Whoever wrote the endpoints in the config file."""
GATEWAY = Actor("the gateway")
"""The gateway itself, such as when an endpoint answered that it is gone for good."""


class AuditAction(StrEnum):
    """What can be done that is to be accounted for."""

    CALLBACKS_IMPORTED = "callbacks_imported"
    INBOX_RECORDED = "inbox_recorded"
    DELIVERY_REPLAYED = "delivery_replayed"
    ENDPOINT_ADDED = "endpoint_added"
    ENDPOINT_CHANGED = "endpoint_changed"
    ENDPOINT_DISABLED = "endpoint_disabled"
    ENDPOINT_ENABLED = "endpoint_enabled"
    ENDPOINT_REMOVED = "endpoint_removed"
    ENDPOINT_REPLAYED = "endpoint_replayed"
    ENDPOINT_SECRET_ROTATED = "endpoint_secret_rotated"  # noqa: S105  # no secret
    ENDPOINT_TESTED = "endpoint_tested"
    EXPORTED = "exported"
    KEY_CREATED = "key_created"
    KEY_REVOKED = "key_revoked"
    LEDGER_COPIED = "ledger_copied"
    LEDGER_PRUNED = "ledger_pruned"
    NUMBER_ERASED = "number_erased"
    NUMBERS_REVEALED = "numbers_revealed"
    QUARANTINE_DELETED = "quarantine_deleted"
    QUARANTINE_REQUEUED = "quarantine_requeued"
    SIGN_IN_LINK_CREATED = "sign_in_link_created"
    SIGN_IN_LINK_USED = "sign_in_link_used"


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was done. `action` is an AuditAction, or one of another version of the program."""

    id: int
    occurred_at: datetime
    actor: str
    action: str
    target: str


def record_event(connection: Connection, actor: Actor, action: AuditAction, now: datetime, *target: str | int) -> None:
    """Keep that `actor` did it, within the transaction of the act.

    `target` says to what: its texts are masked, bounded and made printable here, its numbers, which are ids and counts of
    ours, stay.
    """
    row = {"occurred_us": to_us(now), "actor": actor.name, "action": action.value, "target": _written(target)}
    connection.execute(insert(audit_events).values(row))


def filter_text(filters: msgspec.Struct) -> str:
    """The fields of a filter that are set, for a target; which number was looked for is not in it."""
    set_fields = {name: value for name in filters.__struct_fields__ if (value := getattr(filters, name)) is not None}
    return " ".join(f"{name}={_format_value(name, value)}" for name, value in set_fields.items())


def find_events(connection: Connection, cursor: str | None, limit: int) -> Page[AuditEvent]:
    """A page of events, newest first. Raises InvalidCursor."""
    query = select(audit_events)
    if cursor is not None:
        query = query.where(audit_events.c.id < read_id(cursor))
    rows = connection.execute(query.order_by(audit_events.c.id.desc()).limit(limit + 1)).all()
    shown = rows[:limit]
    return Page([read_row(AuditEvent, row) for row in shown], str(shown[-1].id) if len(rows) > limit else None)


def _written(target: tuple[str | int, ...]) -> str:
    text = " ".join(str(part) if isinstance(part, int) else _masked(part) for part in target)
    if len(text) <= MAX_TARGET_LENGTH:
        return text
    return f"{text[:MAX_TARGET_LENGTH]}… ({len(text) - MAX_TARGET_LENGTH:,} more characters)"


def _masked(text: str) -> str:
    """`text` in a line, without anybody's number; callids of the vendor's form stay."""
    return mask_text("".join(character if character.isprintable() else "\ufffd" for character in text))


def _format_value(name: str, value: object) -> str:
    if name in _NUMBERS:
        return "…"
    return value.isoformat() if isinstance(value, datetime) else str(value)
