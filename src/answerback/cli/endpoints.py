"""`answerback endpoints`: who is told."""

from typing import Annotated, Any

import typer
from rich.markup import escape

from answerback.cli.api_client import ApiClient, Url
from answerback.cli.options import Config, DataDir, load_cli_settings
from answerback.cli.output import AsJson, exit_on_error, out, print_fields, print_json, print_table
from answerback.domain.endpoints import PayloadFormat
from answerback.domain.models import CallbackKind, Outcome
from answerback.ledger.read.deliveries import DeliveryBacklog
from answerback.schemas.endpoints import EndpointView
from answerback.schemas.view import PageView
from answerback.service.ledger_config import open_for_reading

app = typer.Typer(help="The business URLs that are told of the calls.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The endpoint's name, or its id.")]


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What to call it: small letters, digits, - and _.")],
    endpoint_url: Annotated[str, typer.Argument(metavar="URL", help="Where to POST.")],
    channel: Annotated[str | None, typer.Option(help="The channel whose calls it is told of.")] = None,
    format: Annotated[
        PayloadFormat | None, typer.Option(help="tencent: the cloud's own callbacks; standard: signed webhooks.")
    ] = None,
    kind: Annotated[
        list[CallbackKind] | None, typer.Option(help="Only callbacks of this kind; may be repeated.")
    ] = None,
    outcome: Annotated[
        list[Outcome] | None, typer.Option(help="Only calls with this outcome; may be repeated.")
    ] = None,
    notify_on_update: Annotated[bool, typer.Option(help="Tell again when the reference of a call changes.")] = False,
    timeout_s: Annotated[float | None, typer.Option("--timeout", help="Seconds for one attempt.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Most attempts at a time.")] = None,
    secret: Annotated[str | None, typer.Option(help="whsec_…; made by itself where it is not given.")] = None,
    certificate: Annotated[
        str | None, typer.Option(help="The name of a certificate in the gateway's config file.")
    ] = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Add it switched off.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Add an endpoint; its secret is shown this once."""
    fields = {
        "name": name,
        "url": endpoint_url,
        "channel": channel,
        "format": format,
        "kinds": kind,
        "outcomes": outcome,
        "notify_on_update": notify_on_update,
        "timeout_s": timeout_s,
        "concurrency": concurrency,
        "secret": secret,
        "certificate": certificate,
        "enabled": not disabled,
    }
    body = {field: value for field, value in fields.items() if value is not None}
    with exit_on_error():
        added = ApiClient(load_cli_settings(config, data_dir=data_dir), url).request("POST", "endpoints", body=body)
    _show_changed(added, as_json=as_json)


@app.command("list")
def list_endpoints(as_json: AsJson = False, data_dir: DataDir = None, config: Config = None) -> None:
    """List the endpoints and what they are owed."""
    with exit_on_error(), open_for_reading(load_cli_settings(config, data_dir=data_dir)) as ledger:
        backlogs = ledger.backlog()
        views = [
            EndpointView.of(endpoint, backlogs.get(endpoint.id, DeliveryBacklog()), full_url=True)
            for endpoint in ledger.endpoints()
        ]
    if as_json:
        print_json(PageView(items=views))
        return
    rows = [
        (view.name, view.channel, view.format, _format_status(view), view.pending + view.blocked, view.dead, view.url)
        for view in views
    ]
    print_table(("name", "channel", "format", "", "pending", "dead", "URL"), rows, "no endpoints")


@app.command("show")
def show(name: Name, as_json: AsJson = False, data_dir: DataDir = None, config: Config = None) -> None:
    """Show one endpoint."""
    with exit_on_error(), open_for_reading(load_cli_settings(config, data_dir=data_dir)) as ledger:
        endpoint = ledger.endpoint(name)
        view = EndpointView.of(endpoint, ledger.backlog().get(endpoint.id, DeliveryBacklog()), full_url=True)
    if as_json:
        print_json(view)
    else:
        print_fields({field: ", ".join(value) if isinstance(value, list) else value for field, value in view})


@app.command("test")
def send_test(
    name: Name, as_json: AsJson = False, url: Url = None, data_dir: DataDir = None, config: Config = None
) -> None:
    """Send it a callback about nobody's call; exit status 1 if it does not take it."""
    with exit_on_error():
        result = ApiClient(load_cli_settings(config, data_dir=data_dir), url).request("POST", "endpoints", name, "test")
    if as_json:
        print_json(result)
    elif result["delivered"]:
        out.print(f"[green]delivered[/] in {result['duration_ms']:.1f} ms, answered {result['http_status']}")
    else:
        out.print(
            f"[red]not delivered[/] after {result['duration_ms']:.1f} ms: {escape(result['error'])}", soft_wrap=True
        )
    if not result["delivered"]:
        raise typer.Exit(1)


@app.command("enable")
def enable(
    name: Name, as_json: AsJson = False, url: Url = None, data_dir: DataDir = None, config: Config = None
) -> None:
    """Switch it on: what it is owed goes out."""
    with exit_on_error():
        changed = ApiClient(load_cli_settings(config, data_dir=data_dir), url).request(
            "POST", "endpoints", name, "enable"
        )
    _show_changed(changed, as_json=as_json)


@app.command("disable")
def disable(
    name: Name, as_json: AsJson = False, url: Url = None, data_dir: DataDir = None, config: Config = None
) -> None:
    """Switch it off: what it is owed waits."""
    with exit_on_error():
        changed = ApiClient(load_cli_settings(config, data_dir=data_dir), url).request(
            "POST", "endpoints", name, "disable"
        )
    _show_changed(changed, as_json=as_json)


@app.command("rotate-secret")
def rotate_secret(
    name: Name,
    secret: Annotated[str | None, typer.Option(help="whsec_…; made by itself where it is not given.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Give it a new secret, shown this once; for 24 hours the old one signs as well."""
    body = {"secret": secret} if secret else {}
    with exit_on_error():
        client = ApiClient(load_cli_settings(config, data_dir=data_dir), url)
        changed = client.request("POST", "endpoints", name, "rotate-secret", body=body)
    _show_changed(changed, as_json=as_json)


@app.command("remove")
def remove(name: Name, url: Url = None, data_dir: DataDir = None, config: Config = None) -> None:
    """Remove it: it is owed nothing any more."""
    with exit_on_error():
        ApiClient(load_cli_settings(config, data_dir=data_dir), url).request("DELETE", "endpoints", name)
    out.print(f"endpoint {name} is removed")


def _show_changed(endpoint: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(endpoint)
        return
    status = "on" if endpoint["enabled"] else f"off ({endpoint['disabled_reason'] or 'manually'})"
    out.print(
        f"endpoint [bold]{endpoint['name']}[/] of channel {endpoint['channel']} is {escape(status)}: {escape(endpoint['url'])}"
    )
    if "secret" in endpoint:
        out.print(f"secret  {endpoint['secret']}  (shown this once)", soft_wrap=True)


def _format_status(view: EndpointView) -> str:
    if not view.enabled:
        return f"off: {view.disabled_reason or 'manually'}"
    if view.paused_until is not None:
        return f"paused after {view.consecutive_failures} failures"
    return "on"
