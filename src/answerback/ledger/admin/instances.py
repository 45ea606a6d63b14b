"""The instances: the processes that serve one ledger, and what each says of itself."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.engine import Connection

from answerback.ledger.backends.selection import bulk_sql, dialect_of
from answerback.ledger.rows import read_row
from answerback.ledger.tables import instances
from answerback.ledger.types import from_us, to_us

RETENTION_US = 3600 * 1_000_000
"""Who is silent for so long is not shown any more."""

SILENT_AFTER_US = 10 * 1_000_000
"""Who is silent for so long hangs, or has ended without a word; a process says something every 3 s."""

RELAY = "relay"

RECORDED_US = "recorded_us"
"""In a status: up to when all that this process has answered is recorded; None where nothing waits."""

_i = instances.c
_COLUMNS = ("id", "host", "pid", "roles", "version", "started_us", "heartbeat_us", "status")
_encode = msgspec.json.Encoder().encode
_roles = msgspec.json.Decoder(list[str]).decode
_status = msgspec.json.Decoder(dict[str, Any]).decode


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """A process, as it introduces itself; `started_us` is by its own clock."""

    id: str
    host: str
    pid: int
    roles: list[str]
    version: str
    started_us: int


class InstanceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An instance as the ledger knows it: how long it has been silent, and what it said last."""

    instance: Instance
    silent_us: int
    status: dict[str, Any]

    @property
    def secret(self) -> str | None:
        """A value that is equal in instances with the same server secret; None if it is silent or never reported one."""
        return self.status.get("secret") if self.silent_us <= SILENT_AFTER_US else None


def heartbeat(connection: Connection, instance: Instance, status: dict[str, Any]) -> None:
    """Note that an instance lives, and what it says; forget who fell silent long ago."""
    now_us = dialect_of(connection).now_us(connection)
    row = (
        instance.id,
        instance.host,
        instance.pid,
        _encode(instance.roles).decode(),
        instance.version,
        instance.started_us,
        now_us,
        _encode(status).decode(),
    )
    bulk_sql(connection).upsert(instances, _COLUMNS, ("id",), [row])
    connection.execute(delete(instances).where(_i.heartbeat_us < now_us - RETENTION_US))


def deregister(connection: Connection, id_: str) -> None:
    connection.execute(delete(instances).where(_i.id == id_))


def active_relays(connection: Connection, since_us: int) -> list[str]:
    """The instances that relay, and have been heard of since."""
    rows = connection.execute(select(_i.id, _i.roles).where(_i.heartbeat_us > since_us))
    return [id_ for id_, roles in rows if RELAY in _roles(roles)]


def recorded_as_of(connection: Connection, now: datetime, recorded_us: int | None = None) -> datetime:
    """Up to when, and no later than `now`, all callbacks are recorded: by the living instances, and (`recorded_us`) by who asks."""
    living = select(_i.status).where(_i.heartbeat_us > dialect_of(connection).now_us(connection) - SILENT_AFTER_US)
    said = [recorded_us, *(_status(text).get(RECORDED_US) for text in connection.execute(living).scalars())]
    return from_us(min([to_us(now), *(us for us in said if us is not None)]))


def find_instances(connection: Connection) -> list[InstanceStatus]:
    """All of them, the longest there first."""
    now_us = dialect_of(connection).now_us(connection)
    rows = connection.execute(select(*[_i[name] for name in _COLUMNS]).order_by(_i.started_us, _i.id))
    return [
        InstanceStatus(
            instance=read_row(Instance, row, roles=_roles(row.roles)),
            silent_us=max(0, now_us - row.heartbeat_us),
            status=_status(row.status),
        )
        for row in rows
    ]
