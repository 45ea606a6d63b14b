"""`answerback prune`: let go of what is older than some months."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from answerback.cli.options import Config, DataDir, Store, settings_from
from answerback.cli.output import AsJson, out, print_json, print_table, spoken_errors
from answerback.ledger import Ledger
from answerback.ledger.admin.audit import COMMAND_LINE
from answerback.ledger.backends.postgresql.partition_ids import month_name
from answerback.ledger.write.retention import Month
from answerback.service.ledger_config import reading

_YEAR_MONTHS = 12


def prune(
    keep_months: Annotated[int, typer.Option(help="Whole months to keep, besides the one that is under way.", min=1)],
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, it is only shown.")] = False,
    even_unsettled: Annotated[
        bool, typer.Option("--even-unsettled", help="Also months with deliveries that are still owed.")
    ] = False,
    data_dir: DataDir = None,
    store: Store = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Drop calls, callbacks and deliveries of months long over, on PostgreSQL; statistics stay."""
    with spoken_errors(), reading(settings_from(config, data_dir=data_dir, store=store)) as ledger:
        found = ledger.months_before(_first_kept(datetime.now(UTC), keep_months))
        going = [one for one in found if even_unsettled or not one.unsettled]
        if yes:
            for one in going:
                _drop(ledger, one, quiet=as_json)
    rows = [(month_name(one.month), one.calls, one.unsettled, _fate(one, going, done=yes)) for one in found]
    if as_json:
        names = ("month", "calls", "unsettled", "fate")
        print_json({"items": [dict(zip(names, row, strict=True)) for row in rows]})
    else:
        print_table(("month", "calls", "deliveries still owed", ""), rows, "nothing is that old")
        if going and not yes:
            out.print("Nothing was dropped: add --yes to do it.")


def _first_kept(now: datetime, keep_months: int) -> datetime:
    """The beginning of the first month that stays."""
    months = now.year * _YEAR_MONTHS + now.month - 1 - keep_months
    return datetime(months // _YEAR_MONTHS, months % _YEAR_MONTHS + 1, 1, tzinfo=UTC)


def _drop(ledger: Ledger, month: Month, *, quiet: bool) -> None:
    for gone in ledger.drop_month(month.month, COMMAND_LINE):
        if not quiet:
            out.print(f"{month_name(month.month)}: {gone:,} of {month.calls:,} calls", highlight=False)


def _fate(month: Month, going: list[Month], *, done: bool) -> str:
    if month not in going:
        return "stays: deliveries are still owed (--even-unsettled)"
    return "dropped" if done else "would be dropped"
