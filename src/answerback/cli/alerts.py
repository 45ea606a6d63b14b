"""`answerback alerts`: the alert rules, and a test of the notification targets."""

import asyncio
from typing import TYPE_CHECKING

import typer

from answerback.cli.language import current_language, tr
from answerback.cli.options import AsJson, Config, DataDir, load_cli_settings
from answerback.cli.output import StyledCell, format_time, print_page, print_table
from answerback.cli.plain_output import print_json
from answerback.cli.target import GatewayTarget, for_gateway
from answerback.errors import ConfigError
from answerback.schemas.alerts import AlertView

if TYPE_CHECKING:
    from answerback.config import Settings

app = typer.Typer(no_args_is_help=True)


@app.command("list")
@for_gateway
def list_rules(target: GatewayTarget, as_json: AsJson = False) -> None:
    """List the alert rules of the config file with the values measured last."""
    with target.open() as gateway:
        page = gateway.alerts().first()
    print_page(page, _alert_row, tr("no rules: see docs/alerts.md"), as_json=as_json)


@app.command("test")
def send_test(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Send a test notification to every target; exit status 0 if all of them received it."""
    settings = load_cli_settings(config, data_dir=data_dir)
    if not settings.alerts.notify:
        raise ConfigError("alerts.notify: no targets are configured: give it Apprise URLs, as in docs/alerts.md")
    reached = asyncio.run(_send_to_all(settings))
    if as_json:
        print_json(
            {"items": [{"target": name, "arrived": error is None, "error": error} for name, error in reached.items()]}
        )
    else:
        rows = [(name, tr("arrived") if error is None else error) for name, error in reached.items()]
        print_table((tr("target"), ""), rows, "")
    if any(reached.values()):
        raise typer.Exit(1)


def _alert_row(view: AlertView) -> dict[str, object]:
    return {
        tr("rule"): view.rule,
        "": StyledCell(f"[red]{tr('firing')}[/]") if view.firing else tr("quiet"),
        tr("since (UTC)"): format_time(view.since),
        tr("measured"): getattr(view, current_language()),
        tr("notified (UTC)"): format_time(view.notified_at),
        tr("error"): view.error,
    }


async def _send_to_all(settings: "Settings") -> dict[str, str | None]:
    """Target -> what went wrong, or None."""
    from answerback.alerts import compose_test_message
    from answerback.service.factories import message_context, open_alert_targets

    targets = open_alert_targets(settings)
    message = compose_test_message(message_context(settings))
    errors = await asyncio.gather(*(target.send(message) for target in targets))
    return {target.name: error for target, error in zip(targets, errors, strict=True)}
