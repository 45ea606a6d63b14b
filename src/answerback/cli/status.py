"""`answerback status`: the gateway's processes, and which of them delivers to each endpoint."""

from typing import Any

from rich.markup import escape

from answerback.cli.endpoints import format_status
from answerback.cli.language import tr, tr_all, tr_message
from answerback.cli.options import AsJson
from answerback.cli.output import StyledCell, describe_waiting, err, format_time, out, print_table
from answerback.cli.plain_output import print_json
from answerback.cli.target import GatewayTarget, for_gateway
from answerback.errors import LedgerUnavailable
from answerback.schemas.cluster import EndpointAssignmentView, InboxView, InstanceView, StatusView
from answerback.service.check_result import format_bytes

_OLD_S = 60.0


@for_gateway
def status(target: GatewayTarget, as_json: AsJson = False) -> None:
    try:
        with target.open() as gateway:
            view = gateway.status()
    except LedgerUnavailable:
        said = tr("the ledger cannot be read: answerback doctor shows what waits in the inbox, and why")
        err.print(f"[yellow]{said}[/]", soft_wrap=True)
        raise
    if as_json:
        print_json(view)
        return
    out.print(tr("[bold]{backend}[/], schema {revision}", backend=view.backend, revision=view.schema_revision) + "\n")
    instances = [_instance_row(one) for one in view.instances]
    print_table(_instance_columns(), instances, tr("no process serves this ledger"))
    if view.secrets_differ:
        said = tr("not all processes have the same secret: give every one the same server.secret")
        out.print(f"[red]{said}[/]")
    if view.inbox is not None:
        out.print(f"\n{_describe_inbox(view.inbox)}", soft_wrap=True)
    _print_stream(view)
    _print_retention(view)
    _print_erasures(view)
    out.print()
    hosts = {one.id: f"{one.host}:{one.pid}" for one in view.instances}
    print_table(_endpoint_columns(), [_endpoint_row(one, hosts) for one in view.endpoints], tr("no endpoints"))


def _instance_columns() -> tuple[str, ...]:
    known = tr_all("process", "host", "pid", "version", "roles", "last seen", "endpoints", "singleton tasks", "pending")
    return (*known, *tr_all("waiting", "set aside"), "")


def _shard_columns() -> tuple[str, ...]:
    return (*tr_all("stream", "batches", "size", "waiting", "unacked", "leader", "replicas", "oldest"), "")


def _endpoint_columns() -> tuple[str, ...]:
    return (*tr_all("endpoint", "channel", "assigned to"), "", *tr_all("pending", "blocked", "dead", "lag"))


def _instance_row(one: InstanceView) -> tuple[object, ...]:
    age = tr("{age_s:.0f} s ago", age_s=one.silent_s)
    return (
        one.id,
        one.host,
        one.pid,
        one.version,
        ",".join(one.roles),
        StyledCell(f"[red]{tr('silent, {age}', age=age)}[/]") if one.silent else age,
        one.endpoints,
        ",".join(one.singleton_tasks),
        one.pending,
        one.waiting,
        one.set_aside,
        tr_message(one.failure or one.recorder_failure or ""),
    )


def _endpoint_row(one: EndpointAssignmentView, hosts: dict[str, str]) -> tuple[object, ...]:
    return (
        one.name,
        one.channel,
        hosts.get(one.instance or "", tr("none")),
        format_status(one),
        one.pending,
        one.blocked,
        one.dead,
        "" if one.lag_s is None else f"{one.lag_s:.1f} s",
    )


def _describe_inbox(inbox: InboxView) -> str:
    if not inbox.callbacks:
        return tr("inbox: everything that was answered is recorded")
    return f"[red]{tr('not in the ledger yet:')}[/] {escape(describe_waiting(inbox))}"


def _print_retention(view: StatusView) -> None:
    for one in view.instances:
        if one.retention is not None:
            gone = ", ".join(f"{rows:,} {tr_message(table)}" for table, rows in one.retention.deleted.items())
            ended = format_time(one.retention.ended_at)
            out.print("\n" + tr("retention: {gone} deleted up to {ended}", gone=gone or tr("nothing"), ended=ended))


def _print_erasures(view: StatusView) -> None:
    for one in view.erasures:
        asked = format_time(one.requested_at)
        said = tr("erasure {id}: asked for at {asked}, {tries} tries", id=one.id, asked=asked, tries=one.tries)
        out.print(f"\n{said}" + (f": [red]{escape(tr_message(one.failure))}[/]" if one.failure else ""), soft_wrap=True)


def _print_stream(view: StatusView) -> None:
    """The stream as the first live instance sees it; all see the same one."""
    for one in view.instances:
        if one.stream and not one.silent:
            out.print()
            print_table(_shard_columns(), [_shard_row(name, shard, view) for name, shard in one.stream.items()], "")
            return


def _shard_row(name: str, shard: dict[str, Any], view: StatusView) -> tuple[object, ...]:
    if failure := shard.get("failure"):  # then the numbers are not known, and no zeros
        return (name, *[""] * (len(_shard_columns()) - 2), tr_message(failure))
    oldest_us = shard.get("oldest_us")
    age_s = None if oldest_us is None else view.at.timestamp() - oldest_us / 1_000_000
    age = tr("{age_s:.0f} s ago", age_s=age_s or 0.0)
    return (
        name,
        shard.get("messages"),
        format_bytes(shard.get("size_bytes") or 0),
        *(shard.get(field) for field in ("pending", "delivered", "leader", "current")),
        "" if age_s is None else StyledCell(f"[red]{age}[/]") if age_s > _OLD_S else age,
        "",
    )
