"""`answerback prune`: drop old months of the ledger."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from answerback.cli.options import Config, DatabaseUrl, DataDir, open_ledger
from answerback.cli.output import AsJson, out, print_json, print_table
from answerback.ledger import Ledger
from answerback.ledger.admin.audit import CLI_ACTOR
from answerback.ledger.backends.postgresql.partition_ids import month_name
from answerback.ledger.partitions import drop_partition, expired_partitions
from answerback.ledger.write.retention import PartitionInfo

_YEAR_MONTHS = 12


def prune(
    keep_months: Annotated[int, typer.Option(help="Whole months to keep, besides the current one.", min=1)],
    yes: Annotated[bool, typer.Option("--yes", help="Drop them; without it, only list them.")] = False,
    include_undelivered: Annotated[
        bool, typer.Option("--include-undelivered", help="Also drop months with deliveries that are still pending.")
    ] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    with open_ledger(config, data_dir=data_dir, database_url=database_url) as ledger:
        found = expired_partitions(ledger, _first_kept(datetime.now(UTC), keep_months))
        going = [one for one in found if include_undelivered or not one.active_deliveries]
        if yes:
            for one in going:
                _drop(ledger, one, quiet=as_json)
    rows = [
        (month_name(one.month), one.calls, one.active_deliveries, _describe_action(one, going, done=yes))
        for one in found
    ]
    if as_json:
        names = ("month", "calls", "undelivered", "action")
        print_json({"items": [dict(zip(names, row, strict=True)) for row in rows]})
    else:
        print_table(("month", "calls", "pending deliveries", ""), rows, "nothing is that old")
        if going and not yes:
            out.print("Nothing was dropped: add --yes to do it.")


def _first_kept(now: datetime, keep_months: int) -> datetime:
    """The start of the first month to keep."""
    months = now.year * _YEAR_MONTHS + now.month - 1 - keep_months
    return datetime(months // _YEAR_MONTHS, months % _YEAR_MONTHS + 1, 1, tzinfo=UTC)


def _drop(ledger: Ledger, month: PartitionInfo, *, quiet: bool) -> None:
    for gone in drop_partition(ledger, month.month, CLI_ACTOR):
        if not quiet:
            out.print(f"{month_name(month.month)}: {gone:,} of {month.calls:,} calls", highlight=False)


def _describe_action(month: PartitionInfo, going: list[PartitionInfo], *, done: bool) -> str:
    if month not in going:
        return "kept: deliveries are still pending (--include-undelivered)"
    return "dropped" if done else "would be dropped"
