"""`answerback demo`: a gateway to look at, with nothing to set up and nothing left behind."""

import logging
import os
import signal
import sys
import threading
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer
from rich.cells import cell_len
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from answerback.cli.browser import Open, is_desktop, open_browser
from answerback.cli.language import tr
from answerback.cli.output import err, out
from answerback.ledger.writer.spawning import spawn_writer

if TYPE_CHECKING:
    from answerback.demo.home import DemoHome
    from answerback.service.gateway import StartupInfo

_PREFIX = "ANSWERBACK_"


def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; if it is taken, another one.")] = 8000,
    open_: Open = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="Days of history.")] = 30,
    seed: Annotated[int, typer.Option(help="Seed of the random choices: another seed, another history.")] = 7,
) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    if ignored := sorted(name for name in os.environ if name.startswith(_PREFIX)):
        for name in ignored:
            del os.environ[name]
        err.print(tr("ignored, as the demo has settings of its own: {names}", names=", ".join(ignored)), soft_wrap=True)
    spawned = spawn_writer()  # first, as in `serve`
    try:
        from answerback.demo.home import DemoHome

        with DemoHome(port=port, days=days, seed=seed) as home, ExitStack() as stack:
            from answerback.logs import configure_logs
            from answerback.service.serving import serve

            settings = home.settings()
            configure_logs(settings.log.level, settings.log.format)
            logging.getLogger("answerback.relay").setLevel(logging.CRITICAL)  # an endpoint fails on purpose

            def show(info: "StartupInfo") -> None:
                """Show it in a thread: the loop is the gateway's."""
                wants_browser = is_desktop() if open_ is None else open_
                threading.Thread(
                    target=_show, args=(info, home, stack, seed), kwargs={"wants_browser": wants_browser}, daemon=True
                ).start()

            serve(settings, show, spawned, sign_in_link=True)
    finally:
        spawned.process.kill()
        spawned.process.wait()


def _stop(number: int, _frame: object) -> None:
    """End as after Ctrl-C. While the gateway runs, SIGTERM is its own."""
    if number == signal.SIGHUP:
        signal.raise_signal(signal.SIGTERM)
    else:
        sys.exit(128 + number)


def _show(info: "StartupInfo", home: "DemoHome", stack: ExitStack, seed: int, *, wants_browser: bool) -> None:
    """The link first; then what takes longer."""
    link = info.sign_in_url or info.url
    _print_fields(
        {tr("Console"): f"[bold]{link}[/]", tr("Data"): tr("{directory}, removed at the end", directory=home.directory)}
    )
    if wants_browser:
        open_browser(link)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{info.url}/console/sign-in/link"):
        pass  # the page is made before anything else takes the time of this process
    from answerback.demo.live_calls import LiveCalls

    calls = LiveCalls(info.callback_urls, seed)
    stack.callback(calls.stop)
    _print_fields(
        {
            tr("Emulator"): tr("{url}: place a call to any number, and watch it", url=calls.url),
            tr("Overview"): tr(
                "choose 30 days: when people pick up, why calls fail, what they cost, carriers, regions"
            ),
            tr("Calls"): tr("open one with a key pressed: its timeline, its callbacks byte by byte, its deliveries"),
            tr("Live"): tr("calls of every sort, as they come in"),
            tr("Endpoints"): tr("crm and duty-roster work; billing answers 503 and is paused, and its deliveries wait"),
            tr("Alerts"): tr("the rule billing-is-down fires within half a minute"),
        }
    )
    out.print(
        tr("More commands: add --config {file}, as in `answerback console` for another link.", file=home.config),
        soft_wrap=True,
    )
    out.print(tr("Ctrl-C ends the demo and removes everything."), soft_wrap=True)
    _show_progress(home)


def _print_fields(fields: dict[str, str]) -> None:
    for name, value in fields.items():
        out.print(f"[dim]{name + ' ' * (10 - cell_len(name))}[/]{value}", soft_wrap=True)
    sys.stdout.flush()


def _show_progress(home: "DemoHome") -> None:
    columns, done, total = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()), 0, None
    with Progress(*columns, console=err, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(tr("recording the history"), total=None)
        for done, total in home.recorded():
            progress.update(task, completed=done, total=total)
    if done == total:  # else the demo was ended before
        out.print(tr("The history is complete: {count} callbacks.", count=f"{done:,}"))
        sys.stdout.flush()
