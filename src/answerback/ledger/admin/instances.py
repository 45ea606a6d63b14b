"""The members: the processes that serve one ledger, and what each says of itself."""

import time
from typing import Any

import msgspec
from sqlalchemy import delete, select, text
from sqlalchemy.engine import Connection

from answerback.ledger.backends import bulk_sql
from answerback.ledger.tables import members

FORGOTTEN_US = 3600 * 1_000_000
"""Who is silent for so long is not shown any more."""

SILENT_US = 10 * 1_000_000
"""Who is silent for so long hangs, or has ended without a word; a process says something every 3 s."""

RELAY = "relay"

_m = members.c
_COLUMNS = ("id", "host", "pid", "roles", "version", "started_us", "beat_us", "state")
_clock = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")
_encode = msgspec.json.Encoder().encode
_roles = msgspec.json.Decoder(list[str]).decode
_state = msgspec.json.Decoder(dict[str, Any]).decode


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A process, as it introduces itself; `started_us` is by its own clock."""

    id: str
    host: str
    pid: int
    roles: list[str]
    version: str
    started_us: int


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A member as the ledger knows it: how long it has been silent, and what it said last."""

    member: Member
    silent_us: int
    state: dict[str, Any]

    @property
    def secret(self) -> str | None:
        """What tells whether it has the same server secret as another one; None where it is silent, or never said."""
        return self.state.get("secret") if self.silent_us <= SILENT_US else None


def clock_us(connection: Connection) -> int:
    """The time by which leases and beats go: the database's, where it has one of its own."""
    if bulk_sql.on_postgresql(connection):
        now_us: int = connection.execute(_clock).scalar_one()
        return now_us
    return time.time_ns() // 1000


def beat(connection: Connection, member: Member, state: dict[str, Any]) -> None:
    """Note that a member lives, and what it says; forget who fell silent long ago."""
    now_us = clock_us(connection)
    row = (
        member.id,
        member.host,
        member.pid,
        _encode(member.roles).decode(),
        member.version,
        member.started_us,
        now_us,
        _encode(state).decode(),
    )
    bulk_sql.upsert(connection, members, _COLUMNS, ("id",), [row])
    connection.execute(delete(members).where(_m.beat_us < now_us - FORGOTTEN_US))


def leave(connection: Connection, id_: str) -> None:
    """Forget a member that has ended."""
    connection.execute(delete(members).where(_m.id == id_))


def relays_since(connection: Connection, beat_us: int) -> list[str]:
    """The members that relay, and have been heard of since."""
    rows = connection.execute(select(_m.id, _m.roles).where(_m.beat_us > beat_us))
    return [id_ for id_, roles in rows if RELAY in _roles(roles)]


def find_members(connection: Connection) -> list[Seen]:
    """All of them, the longest there first."""
    now_us = clock_us(connection)
    rows = connection.execute(select(*[_m[name] for name in _COLUMNS]).order_by(_m.started_us, _m.id))
    return [
        Seen(
            member=Member(
                id=row.id,
                host=row.host,
                pid=row.pid,
                roles=_roles(row.roles),
                version=row.version,
                started_us=row.started_us,
            ),
            silent_us=max(0, now_us - row.beat_us),
            state=_state(row.state),
        )
        for row in rows
    ]
