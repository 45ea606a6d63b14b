"""`answerback status`: the processes that serve the ledger, and who tells which endpoint."""

from typing import Any

from answerback.cli.options import Config, DataDir, Store, settings_from
from answerback.cli.output import AsJson, Styled, out, print_json, print_table, spoken_errors
from answerback.ledger.read.cluster_status import find_standing
from answerback.ledger.types import from_us
from answerback.schemas.cluster import MemberView, StatusView, ToldView
from answerback.service.ledger_config import reading

_MEMBERS = ("process", "host", "pid", "version", "roles", "heard of", "endpoints", "duties", "pending", "set aside", "")
_SHARDS = ("stream", "batches", "bytes", "pending", "in hand", "led by", "replicas", "oldest", "")
_OLD_S = 60.0
_ENDPOINTS = ("endpoint", "channel", "told by", "", "pending", "waiting", "dead", "lag")


def status(as_json: AsJson = False, data_dir: DataDir = None, store: Store = None, config: Config = None) -> None:
    """Show all processes that serve the ledger, who tells which endpoint, and what is owed."""
    with spoken_errors(), reading(settings_from(config, data_dir=data_dir, store=store)) as ledger:
        view = StatusView.of(ledger.read(find_standing))
    if as_json:
        print_json(view)
        return
    out.print(f"[bold]{view.store}[/], schema {view.schema_revision}\n")
    print_table(_MEMBERS, [_member(one) for one in view.members], "no process serves this ledger")
    if view.secrets_differ:
        out.print("[red]not all processes have the same secret: give every one the same server.secret[/]")
    _print_stream(view)
    out.print()
    hosts = {one.id: f"{one.host}:{one.pid}" for one in view.members}
    print_table(_ENDPOINTS, [_endpoint(one, hosts) for one in view.endpoints], "no endpoints")


def _member(one: MemberView) -> tuple[object, ...]:
    heard = f"{one.silent_s:.0f} s ago"
    return (
        one.id,
        one.host,
        one.pid,
        one.version,
        ",".join(one.roles),
        Styled(f"[red]silent, {heard}[/]") if one.silent else heard,
        one.endpoints,
        ",".join(one.duties),
        one.pending,
        one.set_aside,
        one.failure or one.recorder_failure,
    )


def _endpoint(one: ToldView, hosts: dict[str, str]) -> tuple[object, ...]:
    standing = "on" if one.enabled else f"off: {one.disabled_reason or 'by hand'}"
    if one.enabled and one.paused_until is not None:
        standing = f"paused after {one.failures_in_a_row} failures"
    return (
        one.name,
        one.channel,
        hosts.get(one.member or "", "nobody"),
        standing,
        one.pending,
        one.waiting,
        one.dead,
        "" if one.lag_s is None else f"{one.lag_s:.1f} s",
    )


def _print_stream(view: StatusView) -> None:
    """What the first that is heard of says of the stream; all see the same one."""
    for one in view.members:
        if one.stream and not one.silent:
            out.print()
            print_table(_SHARDS, [_shard(name, shard, view) for name, shard in one.stream.items()], "")
            return


def _shard(name: str, shard: dict[str, Any], view: StatusView) -> tuple[object, ...]:
    oldest_us = shard.get("oldest_us")
    age_s = None if oldest_us is None else (view.at - from_us(oldest_us)).total_seconds()
    return (
        name,
        *(shard.get(field) for field in ("messages", "size_bytes", "pending", "delivered", "leader", "current")),
        "" if age_s is None else Styled(f"[red]{age_s:.0f} s ago[/]") if age_s > _OLD_S else f"{age_s:.0f} s ago",
        shard.get("failure"),
    )
