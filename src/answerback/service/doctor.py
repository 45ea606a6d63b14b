"""Checks of settings and environment before the gateway starts: each finding with its remedy."""

import asyncio
import ipaddress
import os
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from answerback.auth.server_secret import SERVER_SECRET_FILE, ServerSecret
from answerback.config import Settings
from answerback.domain.models import ADMIN_KEY_FILE, DEFAULT_CHANNEL
from answerback.errors import AnswerbackError, SchemaMismatch
from answerback.ledger.admin.instances import find_instances
from answerback.ledger.backends.postgresql.partitions import partitions_ahead
from answerback.ledger.write.retention import estimate
from answerback.service.check_result import CheckResult, Finding, describe_error, format_bytes, ok, problem, warning
from answerback.service.factories import build_stream, inbox_config
from answerback.service.inbox_checks import LATE_S, check_place, check_room, check_waiting, has_inbox
from answerback.service.ledger_config import ledger_config, open_for_reading
from answerback.storage.disk import nearest_existing_parent, unsafe_filesystem_reason

if TYPE_CHECKING:
    from answerback.stream import ShardStatus

_EARLIEST_S = 1735689600  # 2025-01-01: no clock of a machine that runs this is before it
_LOW_SPACE_BYTES = 1024**3
_NO_SPACE_BYTES = 64 * 1024**2
_ENOUGH_FILES = 4096
_ENOUGH_MONTHS = 3
_RETENTION_SLACK = timedelta(days=2)  # a pass a day
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def _filesystem(settings: Settings) -> Finding:
    kept = {}
    if settings.ledger.url is None:
        kept[nearest_existing_parent(settings.server.data_dir)] = "server.data_dir"
    if has_inbox(settings) and (settings.inbox.dir is not None or not kept):
        setting = "server.data_dir" if settings.inbox.dir is None else "inbox.dir"
        kept[nearest_existing_parent(inbox_config(settings).directory)] = setting
    for directory, setting in kept.items():
        if reason := unsafe_filesystem_reason(directory):
            return problem(f"{directory}: {reason}", f"choose another {setting}")
    if not kept:
        return ok(f"the ledger is in {ledger_config(settings).location}")
    return ok(f"{', '.join(map(str, kept))}: keeps synced data")


def _ledger(settings: Settings) -> Finding:
    on_file = settings.ledger.url is None
    if on_file and not settings.server.data_dir.exists():
        return ok("none yet: the first start creates it")
    try:
        ledger = ledger_config(settings).open()
        try:
            began_s = time.perf_counter()
            ledger.probe()
            took_ms = (time.perf_counter() - began_s) * 1000
        finally:
            ledger.close()
    except SchemaMismatch as error:
        return problem(str(error), _until_fixed(settings))
    except AnswerbackError as error:
        return problem(describe_error(error), _until_fixed(settings))
    how = "WAL, synchronous=FULL" if on_file else "a primary with fsync on"
    return ok(f"{how}; a commit took {took_ms:.1f} ms")


def _until_fixed(settings: Settings) -> str:
    log = "inbox" if settings.stream.url is None else "stream"
    return f"callbacks are answered and wait in the {log} until this is fixed; nothing is shown or delivered"


def _partitions(settings: Settings) -> Finding:
    """Whether there are partitions for the next months, if the gateway may not create them itself."""
    if settings.ledger.url is None:
        return ok("SQLite has no partitions")
    try:
        with open_for_reading(settings) as ledger:
            ahead = ledger.read(partitions_ahead, datetime.now(UTC))
    except AnswerbackError as error:
        return ok(f"not checked: {describe_error(error)}")
    if ahead is None:
        return ok("this database role creates each month's partition as it begins")
    remedy = "as the owner of the tables: answerback migrate --months 24"
    if ahead < 0:
        return problem("this month has no partition: no callback is recorded", remedy)
    finding = f"partitions are made for {ahead} months after this one, and this database role may not create more"
    return ok(finding) if ahead >= _ENOUGH_MONTHS else warning(finding, remedy)


def _retention(settings: Settings) -> Finding:
    """Whether anything is kept for much longer than it is to be."""
    policy = settings.retention.policy()
    if policy.is_empty:
        return ok("everything is kept: no setting of retention.* is set")
    kept = ", ".join(f"{name} = {days:g}" for name, days in msgspec.structs.asdict(policy).items() if days is not None)
    late = datetime.now(UTC) - _RETENTION_SLACK
    try:
        with open_for_reading(settings) as ledger:
            cutoffs = msgspec.structs.replace(policy.cutoffs(late), callbacks=None, deliveries=None, attempts=None)
            found = ledger.read(estimate, cutoffs, late)
    except AnswerbackError as error:
        return ok(f"{kept}; not checked: {describe_error(error)}")
    overdue = ", ".join(f"{one.rows:,} {one.table}" for one in found if one.rows)
    if not overdue:
        return ok(kept)
    finding = f"{kept}; two days late: {overdue}"
    remedy = "a gateway with the role relay deletes them, once a day; or run `answerback prune`"
    return warning(finding, remedy)


def _stream(settings: Settings) -> Finding:
    if settings.stream.url is None:
        return ok("no stream: callbacks are appended to the inbox")
    try:
        shards = asyncio.run(_shards(settings))
    except AnswerbackError as error:
        return problem(describe_error(error), "every callback is answered 503 until this is fixed")
    held = f"{len(shards)} streams, {sum(shard.messages for shard in shards)} batches waiting in them"
    oldest_us = min((shard.oldest_us for shard in shards if shard.oldest_us is not None), default=None)
    age_s = 0.0 if oldest_us is None else time.time() - oldest_us / 1e6
    if age_s > LATE_S:
        remedy = (
            "start a process with the role recorder; answerback status shows whether one is running and why it fails"
        )
        return warning(f"{held}, the oldest for {age_s:,.0f} s", remedy)
    return ok(f"{held}; sync_interval is set on the servers: it should be always")


async def _shards(settings: Settings) -> "list[ShardStatus]":
    """Create and check the streams as at startup. Raises UnsafeStream, LedgerUnavailable, MissingExtra."""
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
        return ok("nothing to check yet")
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        return problem(
            f"{directory} cannot be written",
            "run as its owner, or change its owner (chown)",
        )
    for path in (directory, directory / ADMIN_KEY_FILE, directory / SERVER_SECRET_FILE):
        if path.exists() and path.stat().st_mode & _OTHERS:
            mode = f"{stat.S_IMODE(path.stat().st_mode):04o}"
            remedy = f"chmod go= {path}"
            return warning(f"{path} is accessible to other users ({mode})", remedy)
    return ok(f"{directory} is accessible to its owner only")


def _secret(settings: Settings) -> Finding:
    secret = ServerSecret.find(settings.server.data_dir, settings.server.secret)
    if secret is None:
        return ok("none yet: the first start creates it")
    try:
        with open_for_reading(settings) as ledger:
            checks = {f"{one.instance.host}:{one.instance.pid}": one.secret for one in ledger.read(find_instances)}
    except AnswerbackError as error:
        return ok(f"not compared with other processes: {error}")
    others = sorted(name for name, check in checks.items() if check not in (None, secret.check))
    if others:
        finding = f"different in: {', '.join(others)}"
        return warning(finding, "give every process the same server.secret")
    return ok("the same in all processes of this ledger")


def _open_url(settings: Settings) -> Finding:
    if settings.tokens()[DEFAULT_CHANNEL] is not None:
        return ok("every channel has a secret token")
    if _is_private(settings.server.host) and settings.server.public_url is None:
        return ok("/voice/callback is open, but only on a private address")
    return warning(
        f"/voice/callback is open to anyone who can reach {settings.server.public_url or settings.server.host}",
        "set channels.default.token: callbacks are not signed, so only a secret URL protects it",
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
        return problem(f"it says {time.strftime('%F', time.gmtime(now_s))}", "start an NTP client")
    if Path("/run/systemd/timesync").exists() and not Path("/run/systemd/timesync/synchronized").exists():
        return warning("the system clock is not synchronised", "see timedatectl")
    return ok(time.strftime("%F %T UTC", time.gmtime(now_s)))


def _disk_space(settings: Settings) -> Finding:
    directory = nearest_existing_parent(settings.server.data_dir)
    free_bytes = shutil.disk_usage(directory).free
    words = f"{format_bytes(free_bytes)} free on {directory}"
    if free_bytes < _NO_SPACE_BYTES:
        return problem(words, "free some space now: callbacks will soon be refused")
    if free_bytes < _LOW_SPACE_BYTES:
        return warning(words, "a million calls need about 0.7 GiB")
    return ok(words)


def _open_files(_settings: Settings) -> Finding:
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit != resource.RLIM_INFINITY and limit < _ENOUGH_FILES:
        finding = f"at most {limit} files: each connection is one"
        return warning(finding, f"raise the hard limit to {_ENOUGH_FILES} or more")
    return ok(f"up to {limit}" if limit != resource.RLIM_INFINITY else "no limit")


_CHECKS: Mapping[str, Callable[[Settings], Finding]] = {
    "durable storage": _filesystem,
    "ledger": _ledger,
    "months": _partitions,
    "retention": _retention,
    "stream": _stream,
    "inbox": check_waiting,
    "inbox space": check_room,
    "inbox location": check_place,
    "permissions": _permissions,
    "server secret": _secret,
    "callback URL": _open_url,
    "clock": _clock,
    "disk space": _disk_space,
    "open files": _open_files,
}


def run_checks(settings: Settings) -> Iterator[CheckResult]:
    """Run all checks that are possible from here, one finding after the other."""
    for name, check in _CHECKS.items():
        yield CheckResult(name, *check(settings))
