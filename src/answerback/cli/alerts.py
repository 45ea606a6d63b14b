"""`answerback alerts`: what people are alerted of, and whether they are reached."""

import asyncio

import typer

from answerback.cli.options import Config, DataDir, settings_from
from answerback.cli.output import AsJson, Styled, print_json, print_table, spoken_errors
from answerback.config import Settings
from answerback.errors import ConfigError
from answerback.service.factories import alert_targets, letterhead_of
from answerback.service.ledger_config import reading

app = typer.Typer(help="Who is told when something is wrong.", no_args_is_help=True)


@app.command("list")
def list_rules(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """List the rules of the config file, and what the gateway measured last."""
    with spoken_errors():
        from answerback.alerts import states_of
        from answerback.ledger.admin.alerts import find_alerts

        settings = settings_from(config, data_dir=data_dir)
        with reading(settings) as ledger:
            states = states_of(settings.alerts.rules, ledger.read(find_alerts))
    if as_json:
        from answerback.api.alerts import AlertView

        print_json({"items": [AlertView.of(state) for state in states]})
        return
    rows = [
        (
            state.rule,
            Styled("[red]firing[/]") if state.firing else "quiet",
            f"{state.since:%Y-%m-%d %H:%M:%S}" if state.since else "-",
            state.en,
            f"{state.told_at:%Y-%m-%d %H:%M:%S}" if state.told_at else "-",
            state.error,
        )
        for state in states
    ]
    print_table(("rule", "", "since (UTC)", "measured", "told (UTC)", "error"), rows, "no rules: see docs/alerts.md")


@app.command("test")
def try_targets(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Send everybody a message that says that nothing is wrong; exit status 0 if it reached all of them."""
    with spoken_errors():
        settings = settings_from(config, data_dir=data_dir)
        if not settings.alerts.notify:
            raise ConfigError("alerts.notify: names nobody: give it Apprise URLs, as in docs/alerts.md")
        reached = asyncio.run(_try_all(settings))
    if as_json:
        print_json(
            {"items": [{"target": name, "arrived": error is None, "error": error} for name, error in reached.items()]}
        )
    else:
        rows = [(name, "arrived" if error is None else error) for name, error in reached.items()]
        print_table(("target", ""), rows, "")
    if any(reached.values()):
        raise typer.Exit(1)


async def _try_all(settings: Settings) -> dict[str, str | None]:
    """Target -> what went wrong, or None."""
    from answerback.alerts import trial

    targets = alert_targets(settings)
    message = trial(letterhead_of(settings))
    errors = await asyncio.gather(*(target.send(message) for target in targets))
    return {target.name: error for target, error in zip(targets, errors, strict=True)}
