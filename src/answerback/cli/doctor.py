"""`answerback doctor`: what would keep the gateway from keeping its word."""

import typer

from answerback.cli.options import Config, DataDir, Store, settings_from
from answerback.cli.output import AsJson, Styled, print_json, print_table, spoken_errors
from answerback.logs import configure_logs
from answerback.service.doctor import Finding, Level, examine

_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.BAD: "red"}


def doctor(data_dir: DataDir = None, store: Store = None, config: Config = None, as_json: AsJson = False) -> None:
    """Look for what would keep the gateway from keeping its word; exit status 1 if something is bad."""
    with spoken_errors():
        configure_logs("error", "text")  # what it opens would speak on standard output
        findings = list(examine(settings_from(config, data_dir=data_dir, store=store)))
    if as_json:
        print_json({"items": findings})
    else:
        print_table(
            ("", "check", "finding", "what to do"),
            [_row(finding) for finding in findings],
            "nothing to check",
            prose=True,
        )
    if any(finding.level is Level.BAD for finding in findings):
        raise typer.Exit(1)


def _row(finding: Finding) -> tuple[str, str, str, str]:
    colour = _COLOURS[finding.level]
    return (Styled(f"[{colour}]{finding.level}[/]"), finding.check, finding.finding, finding.remedy)
