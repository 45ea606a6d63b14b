"""`answerback emulate`: the cloud on this machine."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import typer

from answerback.cli.language import current_language, tr, tr_all, tr_message
from answerback.cli.options import AsJson
from answerback.cli.output import out, print_table
from answerback.cli.plain_output import print_json, print_lines
from answerback.emulator.snippets import Snippet, SnippetLanguage, build_snippets
from answerback.errors import ConfigError

_FAULTS_PANEL = "Faults: shares of the callbacks, from 0 to 1"


def _share(words: str) -> Any:
    return typer.Option(min=0.0, max=1.0, help=words, rich_help_panel=_FAULTS_PANEL)


def emulate(  # each is a flag
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8020,
    callback_url: Annotated[
        str | None, typer.Option(help="Where to send callbacks; by default a gateway on port 8000 of this machine.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file: applications, secrets, shares, limits, faults.")
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(help="PEM file with a certificate and its key, to serve https, which some SDKs require."),
    ] = None,
    https: Annotated[
        bool,
        typer.Option(
            "--https", help="Serve https with a certificate made for this, and print how to make each SDK trust it."
        ),
    ] = False,
    https_dir: Annotated[
        Path, typer.Option(help="Directory in which --https keeps its authority and certificate.")
    ] = Path("answerback-emulator"),
    speed: Annotated[float, typer.Option(min=0.01, help="Play calls this many times faster than real time.")] = 20.0,
    instant: Annotated[bool, typer.Option("--instant", help="Calls end at once.")] = False,
    limits: Annotated[bool, typer.Option("--limits", help="Enforce the cloud's limits on calls per number.")] = False,
    requests_per_second: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Requests of API 3.0 for one action in a second; 20 by default, as in the cloud, or any number with "
            "--instant. 0: any number.",
        ),
    ] = None,
    snippet: Annotated[
        SnippetLanguage, typer.Option(help="Print programs to paste in this language; see also `answerback snippet`.")
    ] = SnippetLanguage.PYTHON,
    seed: Annotated[int | None, typer.Option(help="Seed of the random choices, to repeat a run.")] = None,
    numbers: Annotated[
        bool, typer.Option("--numbers", help="Print what a call to each special number does, and exit.")
    ] = False,
    duplicates: Annotated[float | None, _share("Share of callbacks sent twice.")] = None,
    reorders: Annotated[float | None, _share("Share of callbacks sent after the next one.")] = None,
    delays: Annotated[float | None, _share("Share of callbacks sent up to 30 s late.")] = None,
    ints: Annotated[float | None, _share("Share of callbacks with integers in place of strings.")] = None,
    missing_accept_time: Annotated[float | None, _share("Share of unanswered calls without accept_time.")] = None,
    empty_accept_time: Annotated[float | None, _share("Share of unanswered calls with an empty accept_time.")] = None,
    content_types: Annotated[float | None, _share("Share of callbacks with another Content-Type, or none.")] = None,
    boms: Annotated[float | None, _share("Share of callbacks that begin with a byte order mark.")] = None,
    chunked: Annotated[float | None, _share("Share of callbacks sent with chunked encoding.")] = None,
    drops: Annotated[float | None, _share("Share of callbacks cut off half-way on the first attempt.")] = None,
    retries: Annotated[
        int | None,
        typer.Option(min=0, max=100, help="How often a callback that was not accepted is sent again; 2 by default."),
    ] = None,
    retry_delays: Annotated[
        str | None,
        typer.Option(help='Seconds before each retry, separated by commas; the last one repeats. "5,10" by default.'),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not log requests to standard error.")] = False,
    as_json: AsJson = False,
) -> None:
    if numbers:
        _show_numbers(as_json=as_json)
        return
    from answerback.emulator.clock import FastClock  # aiohttp and uvicorn, which other commands do not need
    from answerback.emulator.cloud import Cloud
    from answerback.emulator.faults import FaultProfile
    from answerback.emulator.limits import NO_LIMITS, Limits
    from answerback.emulator.serving import base_url, bind_socket, check_certificate, serve
    from answerback.emulator.settings import load_settings
    from answerback.logs import configure_logs

    chosen = {
        name: value for name, value in locals().items() if name in FaultProfile.__struct_fields__ and value is not None
    }
    settings = load_settings(config)
    account = settings.account(callback_url)
    if retry_delays is not None:
        chosen["retry_delays_s"] = _seconds("--retry-delays", retry_delays)
    faults = msgspec.structs.replace(settings.faults, **chosen)
    numbers_limits = (settings.limits or Limits()) if limits or settings.limits else NO_LIMITS
    if requests_per_second is None:
        requests_per_second = 0 if instant else (settings.limits or Limits()).requests_per_second

    def make() -> Cloud:
        return Cloud(
            account,
            FastClock(float("inf") if instant else speed),
            faults=faults,
            limits=msgspec.structs.replace(numbers_limits, requests_per_second=requests_per_second),
            shares=settings.shares,
            seed=seed,
        )

    configure_logs("warning" if quiet else "info", "console")
    if https and certificate:
        raise ConfigError("--https makes a certificate of its own: leave out --certificate")
    check_certificate(certificate)
    with bind_socket(host, port) as listener:
        authority, trust = None, None
        url = base_url(listener, secure=https or certificate is not None)
        if https:
            from answerback.emulator.authority import make_certificate, trust_hints

            address = urlsplit(url).hostname or host
            files = make_certificate(https_dir, (address, host))
            certificate, authority = files.certificate, files.authority.resolve()
            trust = trust_hints(files, address, listener.getsockname()[1])
        summary: dict[str, Any] = {
            "url": url,
            "applications": [
                {"sdkappid": one.app_id, "app_key": one.app_key, "callback_url": one.callback_url}
                for one in account.applications.values()
            ],
            "secrets": account.secrets,
        }
        if trust:
            summary |= {"authority": str(authority), "trust": trust}

        def started(_: Cloud) -> None:
            if as_json:
                print_json(summary)
            else:
                _show(summary, build_snippets(snippet, account, url, authority))
            sys.stdout.flush()

        asyncio.run(serve(make, listener, started, certificate, authority))


def _seconds(flag: str, text: str) -> list[float]:
    """Numbers between commas. Raises ConfigError."""
    try:
        seconds = [float(part) for part in text.split(",")]
    except ValueError:
        seconds = []
    if not seconds or not all(0 <= one < float("inf") for one in seconds):
        raise ConfigError(f"{flag}: expected seconds between commas, such as 5,10, not {text}")
    return seconds


def _show_numbers(*, as_json: bool) -> None:
    from answerback.emulator.outcomes import SCRIPT_ROWS

    if as_json:
        print_json({"items": [{"ending": row.ending, "en": row.en, "zh": row.zh} for row in SCRIPT_ROWS]})
    else:
        rows = [(f"…{row.ending}", getattr(row, current_language())) for row in SCRIPT_ROWS]
        print_table(tr_all("number", "what happens"), rows, "", prose=True)


def _show(summary: dict[str, Any], programs: Sequence[Snippet]) -> None:
    """Print what people copy, never truncated."""
    lines = [(tr("Listening"), summary["url"])]
    for one in summary["applications"]:
        lines += [
            ("SDK AppID, AppKey", f"{one['sdkappid']}  {one['app_key']}"),
            (tr("Calls back"), one["callback_url"]),
        ]
    lines += [("SecretId, SecretKey", f"{id_}  {key}") for id_, key in summary["secrets"].items()]
    print_lines(lines)
    if "trust" in summary:
        out.print(f"\n[bold]{tr('What makes an SDK trust this certificate')}[/]", highlight=False)
        print_lines([(tr_message(sdk), tr_message(hint)) for sdk, hint in summary["trust"].items()])
    for one in programs:
        out.print(f"\n[bold]{one.title}[/]", highlight=False)
        sys.stdout.write(one.program)
    others = "|".join(SnippetLanguage)
    said = tr("Programs in other languages: answerback snippet {others} --url {url}", others=others, url=summary["url"])
    out.print(f"\n{said}", soft_wrap=True)
    out.print(
        tr("Numbers ending in 000 answer, those ending in 002 do not; for all endings: answerback emulate --numbers"),
        soft_wrap=True,
    )
