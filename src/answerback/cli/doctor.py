"""`answerback doctor`: check settings and environment before the gateway starts."""

import typer

from answerback.cli.language import tr, tr_all, tr_message
from answerback.cli.options import AsJson, Config, DatabaseUrl, DataDir, load_cli_settings
from answerback.cli.output import StyledCell, print_table
from answerback.cli.plain_output import print_json
from answerback.logs import configure_logs
from answerback.service.check_result import CheckLevel, CheckResult
from answerback.service.doctor import run_checks

_COLOURS = {CheckLevel.OK: "green", CheckLevel.WARNING: "yellow", CheckLevel.ERROR: "red"}


def doctor(
    data_dir: DataDir = None, database_url: DatabaseUrl = None, config: Config = None, as_json: AsJson = False
) -> None:
    configure_logs("error", "text")  # what it opens would speak on standard output
    findings = list(run_checks(load_cli_settings(config, data_dir=data_dir, database_url=database_url)))
    if as_json:
        print_json({"items": findings})
    else:
        print_table(
            ("", *tr_all("check", "finding", "what to do")),
            [_row(finding) for finding in findings],
            tr("nothing to check"),
            prose=True,
        )
    if any(finding.level is CheckLevel.ERROR for finding in findings):
        raise typer.Exit(1)


def _row(finding: CheckResult) -> tuple[str, str, str, str]:
    colour = _COLOURS[finding.level]
    said = map(tr_message, (finding.level, finding.check, finding.finding, finding.remedy))
    level, check, found, remedy = said
    return (StyledCell(f"[{colour}]{level}[/]"), check, found, remedy)
