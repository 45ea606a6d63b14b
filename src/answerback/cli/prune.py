"""`answerback prune`: delete what is older than the settings `retention.*` say, at once."""

import time
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

import typer

from answerback.cli.language import tr, tr_all
from answerback.cli.options import AsJson, Config, DatabaseUrl, DataDir, load_cli_settings
from answerback.cli.output import format_time, out, print_table
from answerback.cli.plain_output import print_json
from answerback.domain.retention import RetentionPolicy, deleted_words
from answerback.errors import ConfigError
from answerback.ledger import Ledger
from answerback.ledger.admin.audit import CLI_ACTOR, AuditAction
from answerback.ledger.commands import Prune, RecordAuditEvent
from answerback.ledger.write.retention import PrunePosition, estimate


def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be deleted.")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    from answerback.service.ledger_config import open_for_reading

    settings = load_cli_settings(config, data_dir=data_dir, database_url=database_url)
    policy = settings.retention.policy()
    if policy.is_empty:
        raise ConfigError("retention: nothing is set, so everything is kept; for example, set retention.calls_days")
    now = datetime.now(UTC)
    with open_for_reading(settings) as ledger:
        deleted = Counter[str]() if dry_run else _prune(ledger, policy, now)
        found = ledger.read(estimate, policy.cutoffs(now), now)
    rows = [(one.table, one.rows if dry_run else deleted[one.table], one.oldest_kept_at) for one in found]
    if as_json:
        names = ("table", "rows", "oldest_kept_at")
        print_json({"dry_run": dry_run, "items": [dict(zip(names, row, strict=True)) for row in rows]})
        return
    print_table(
        tr_all("table", "rows", "oldest kept"),
        [(table, f"{count:,}", format_time(when)) for table, count, when in rows],
        "",
    )
    if dry_run:
        out.print(tr("Nothing was deleted: leave out --dry-run to do it."))


def _prune(ledger: Ledger, policy: RetentionPolicy, now: datetime) -> Counter[str]:
    """Delete all that is too old; half of the time the ledger is the gateway's. Raises LedgerUnavailable."""
    cutoffs = policy.cutoffs(now)
    deleted: Counter[str] = Counter()
    position: PrunePosition | None = PrunePosition()
    try:
        while position is not None:
            began_s = time.perf_counter()
            result = Prune(cutoffs, position).run(ledger)
            position = result.position
            deleted.update(result.deleted)
            time.sleep(time.perf_counter() - began_s)
    finally:
        if +deleted:
            RecordAuditEvent(CLI_ACTOR, AuditAction.LEDGER_PRUNED, deleted_words(deleted)).run(ledger)
    return deleted
