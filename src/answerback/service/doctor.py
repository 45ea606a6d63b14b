"""What would keep this gateway from keeping its word, found before it matters: each finding with what to do."""

import asyncio
import ipaddress
import os
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from answerback.auth.api_keys import FILE_NAME as KEY_FILE
from answerback.auth.server_secret import FILE_NAME as SECRET_FILE
from answerback.auth.server_secret import ServerSecret
from answerback.config import DEFAULT_CHANNEL, Settings
from answerback.errors import AnswerbackError, LedgerUnavailable, LedgerVersion
from answerback.ledger.admin.instances import find_members
from answerback.ledger.backends.sqlite.engine import existing, unsafe_place
from answerback.ledger.write import retention
from answerback.service.factories import build_stream
from answerback.service.ledger_config import opening_of, reading

if TYPE_CHECKING:
    from answerback.stream import ShardStatus

_EARLIEST_S = 1735689600  # 2025-01-01: no clock of a machine that runs this is before it
_LOW_SPACE_BYTES = 1024**3
_NO_SPACE_BYTES = 64 * 1024**2
_ENOUGH_FILES = 4096
_ENOUGH_MONTHS = 3
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    BAD = "bad"


class Finding(msgspec.Struct, frozen=True):
    """What was looked at, how it is, and what to do about it ("" where nothing)."""

    check: str
    level: Level
    finding: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything that can be looked at from here, one finding after the other."""
    checks: list[Callable[[Settings], Finding]] = [
        _place,
        _ledger,
        _months,
        _stream,
        _permissions,
        _secret,
        _open_url,
        _clock,
        _disk_space,
        _open_files,
    ]
    for check in checks:
        yield check(settings)


def _place(settings: Settings) -> Finding:
    if settings.ledger.store is not None:
        return Finding("durable place", Level.OK, f"the ledger is in {opening_of(settings).place}")
    directory = existing(settings.server.data_dir)
    problem = unsafe_place(directory)
    if problem is None:
        return Finding("durable place", Level.OK, f"{directory} keeps what is synced")
    return Finding("durable place", Level.BAD, f"{directory}: {problem}", "choose another server.data_dir")


def _ledger(settings: Settings) -> Finding:
    on_file = settings.ledger.store is None
    if on_file and not settings.server.data_dir.exists():
        return Finding("ledger", Level.OK, "none yet: the first start makes it")
    try:
        ledger = opening_of(settings).open()
        try:
            began_s = time.perf_counter()
            ledger.probe()
            took_ms = (time.perf_counter() - began_s) * 1000
        finally:
            ledger.close()
    except LedgerVersion as error:
        return Finding("ledger", Level.BAD, str(error), "until then the gateway does not start")
    except AnswerbackError as error:
        return Finding("ledger", Level.BAD, _words(error), "until this is mended every callback is answered 503")
    how = "WAL, synchronous=FULL" if on_file else "a primary with fsync on"
    return Finding("ledger", Level.OK, f"{how}; a commit took {took_ms:.1f} ms")


def _months(settings: Settings) -> Finding:
    """Whether callbacks of the next months have partitions to go to, where the gateway may not make them itself."""
    if settings.ledger.store is None:
        return Finding("months", Level.OK, "SQLite has no partitions")
    try:
        with reading(settings) as ledger:
            ahead = ledger.read(lambda connection: retention.months_ahead(connection, datetime.now(UTC)))
    except AnswerbackError as error:
        return Finding("months", Level.OK, f"not looked at: {_words(error)}")
    if ahead is None:
        return Finding("months", Level.OK, "this role makes the partition of each month as it begins")
    remedy = "as the owner of the tables: answerback migrate --months 24"
    if ahead < 0:
        return Finding("months", Level.BAD, "this month has no partition: callbacks are answered 503", remedy)
    level = Level.OK if ahead >= _ENOUGH_MONTHS else Level.WARNING
    finding = f"partitions are made for {ahead} months after this one, and this role may make no more"
    return Finding("months", level, finding, remedy if level is Level.WARNING else "")


def _words(error: AnswerbackError) -> str:
    return error.explained if isinstance(error, LedgerUnavailable) else str(error)


def _stream(settings: Settings) -> Finding:
    if settings.stream.url is None:
        return Finding("stream", Level.OK, "none: the ledger alone stores")
    try:
        shards = asyncio.run(_shards(settings))
    except AnswerbackError as error:
        return Finding("stream", Level.BAD, _words(error), "until this is mended every callback is answered 503")
    held = f"{len(shards)} streams, {sum(shard.messages for shard in shards)} batches wait in them"
    return Finding("stream", Level.OK, f"{held}; sync_interval is the servers' own to say: it should be always")


async def _shards(settings: Settings) -> "list[ShardStatus]":
    """The streams, made and checked as a start would. Raises StreamUnsafe, LedgerUnavailable, ExtraMissing."""
    stream = build_stream(settings)
    assert stream is not None  # noqa: S101  # there is a URL
    await stream.start()
    try:
        if stream.failure is not None:
            raise stream.failure
        return await stream.status()
    finally:
        await stream.stop()


def _permissions(settings: Settings) -> Finding:
    directory = settings.server.data_dir
    if not directory.exists():
        return Finding("permissions", Level.OK, "nothing to look at yet")
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        return Finding("permissions", Level.BAD, f"{directory} cannot be written", "run as its owner, or chown it")
    for path in (directory, directory / KEY_FILE, directory / SECRET_FILE):
        if path.exists() and path.stat().st_mode & _OTHERS:
            mode = f"{stat.S_IMODE(path.stat().st_mode):04o}"
            remedy = f"chmod go= {path}"
            return Finding("permissions", Level.WARNING, f"{path} is open to other users ({mode})", remedy)
    return Finding("permissions", Level.OK, f"{directory} is open to its owner only")


def _secret(settings: Settings) -> Finding:
    secret = ServerSecret.find(settings.server)
    if secret is None:
        return Finding("server secret", Level.OK, "none yet: the first start makes it")
    try:
        with reading(settings) as ledger:
            checks = {f"{one.member.host}:{one.member.pid}": one.secret for one in ledger.read(find_members)}
    except AnswerbackError as error:
        return Finding("server secret", Level.OK, f"not compared with that of other processes: {error}")
    others = sorted(name for name, check in checks.items() if check not in (None, secret.check))
    if others:
        finding = f"another one than here: {', '.join(others)}"
        return Finding("server secret", Level.WARNING, finding, "give every process the same server.secret")
    return Finding("server secret", Level.OK, "no process that serves the ledger has another one")


def _open_url(settings: Settings) -> Finding:
    if settings.tokens()[DEFAULT_CHANNEL] is not None:
        return Finding("callback URL", Level.OK, "every channel has a secret token")
    if _is_private(settings.server.host) and settings.server.public_url is None:
        return Finding("callback URL", Level.OK, "/voice/callback is open, but listens on a private address only")
    return Finding(
        "callback URL",
        Level.WARNING,
        f"/voice/callback is open to whoever reaches {settings.server.public_url or settings.server.host}",
        "set channels.default.token: callbacks carry no signature, the secret URL is the trust",
    )


def _is_private(host: str) -> bool:
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    found = [ipaddress.ip_address(str(address).partition("%")[0]) for address in addresses]
    return all(address.is_private and not address.is_unspecified for address in found)


def _clock(_settings: Settings) -> Finding:
    now_s = time.time()
    if now_s < _EARLIEST_S:
        return Finding("clock", Level.BAD, f"it says {time.strftime('%F', time.gmtime(now_s))}", "start an NTP client")
    if Path("/run/systemd/timesync").exists() and not Path("/run/systemd/timesync/synchronized").exists():
        return Finding("clock", Level.WARNING, "the system says it is not synchronised", "see timedatectl")
    return Finding("clock", Level.OK, time.strftime("%F %T UTC", time.gmtime(now_s)))


def _disk_space(settings: Settings) -> Finding:
    directory = existing(settings.server.data_dir)
    free_bytes = shutil.disk_usage(directory).free
    words = f"{free_bytes / 1024**3:.1f} GiB free on {directory}"
    if free_bytes < _NO_SPACE_BYTES:
        return Finding("disk space", Level.BAD, words, "free some now: callbacks are about to be refused")
    if free_bytes < _LOW_SPACE_BYTES:
        return Finding("disk space", Level.WARNING, words, "a million calls need about 0.7 GiB")
    return Finding("disk space", Level.OK, words)


def _open_files(_settings: Settings) -> Finding:
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit != resource.RLIM_INFINITY and limit < _ENOUGH_FILES:
        finding = f"at most {limit} files: each connection is one"
        return Finding("open files", Level.WARNING, finding, f"raise the hard limit to {_ENOUGH_FILES} or more")
    return Finding("open files", Level.OK, f"up to {limit}" if limit != resource.RLIM_INFINITY else "no limit")
