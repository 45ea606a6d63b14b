"""`answerback erase`: erase one person's number from everything that is stored."""

import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from answerback.cli.language import tr, tr_all, tr_message
from answerback.cli.options import AsJson
from answerback.cli.output import err, fail, out, print_table
from answerback.cli.plain_output import print_json
from answerback.cli.progress import ProgressBars
from answerback.cli.target import GatewayTarget, for_gateway
from answerback.domain.number_finder import NumberFinder
from answerback.errors import ConfigError
from answerback.schemas.erasures import ErasureView

if TYPE_CHECKING:
    from answerback.client import Client
    from answerback.config import Settings

_POLL_S = 0.2
_BEGIN_S = 90.0
"""After a minute the gateway says what an erasure waits for."""


@for_gateway
def erase(
    target: GatewayTarget,
    number: Annotated[
        str,
        typer.Option("--number", help="The number, in any notation; without a country code it is a Chinese number."),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show how many rows contain it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    try:
        number = NumberFinder(number).number
    except ValueError as error:
        raise ConfigError(f"--number: {error}") from error
    if dry_run:
        if target.remote is not None:
            raise ConfigError("--dry-run: rows are counted where the ledger is, not by a remote gateway")
        _print_counts(_count(target.settings, number), as_json=as_json)
        return
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError("--yes: there is no terminal to ask at; add this option to erase the number for good")
        typer.confirm(_question(target), abort=True, err=True)
    with ExitStack() as stack:
        inbox = None if target.remote is not None else _inbox(target.settings)
        if target.remote is not None or _is_served(target.settings, inbox, stack):
            done = _erase_there(stack.enter_context(target.client()), number)
        else:
            done = _erase_here(target.settings, inbox, number)
    if as_json:
        print_json(done)
        return
    _print_counts(done.erased, as_json=False)
    if done.kept_in:
        out.print(
            tr("your own settings still contain it: {names}", names=escape(", ".join(done.kept_in))), soft_wrap=True
        )
    out.print(tr("erased: receipt {id}", id=done.id), highlight=False)


def _question(target: GatewayTarget) -> str:
    if target.remote is None:
        return tr("Erase this number for good? This cannot be undone")
    url = target.remote.profile.url
    return tr("Erase this number at {url} for good? This cannot be undone", url=url)


def _count(settings: "Settings", number: str) -> dict[str, int]:
    from answerback.erasures.erasure_run import count_rows
    from answerback.service.ledger_config import open_for_reading

    with open_for_reading(settings) as ledger, _progress() as progress:
        progress.add_task(tr("searching all rows"), total=None)
        return count_rows(ledger, _inbox(settings), number)


def _is_served(settings: "Settings", inbox: Path | None, stack: ExitStack) -> bool:
    """Whether a gateway runs here, which has callbacks in its memory; else none can start before the end of `stack`."""
    from answerback.inbox import lock_inbox
    from answerback.service.urls import URL_NAME

    if inbox is None:
        return (settings.server.data_dir / URL_NAME).exists()
    try:
        stack.callback(os.close, lock_inbox(inbox.parent))
    except ConfigError:
        return True
    return False


def _erase_there(client: "Client", number: str) -> ErasureView:
    """Have the gateway erase it, and wait for it. Raises ApiError."""
    done = client.erasures.create(number)
    err.print(tr("receipt {id}: the gateway continues even if this command is stopped", id=done.id), soft_wrap=True)
    began_s = time.monotonic()
    with _progress() as progress:
        task = progress.add_task(tr("erasing"), total=None)
        while done.state in ("erasing", "compacting"):
            time.sleep(_POLL_S)
            done = client.erasures.get(done.id)
            if done.failure is not None:
                break
            if not done.tries and time.monotonic() - began_s > _BEGIN_S:
                fail(tr("erasure {id}: no process has started it: start one with the role relay", id=done.id))
            rows = f"{sum(done.erased.values()):,}"
            words = (
                tr("erasing: {rows} rows so far", rows=rows) if done.state == "erasing" else tr("rewriting the files")
            )
            progress.update(task, description=words)
    if done.failure is not None:
        why = tr_message(done.failure)
        if done.state == "failed":
            fail(escape(tr("erasure {id} has failed: {failure}", id=done.id, failure=why)))
        fail(
            escape(
                tr(
                    "erasure {id} is not done: {failure}; the gateway keeps trying, and answerback status shows the progress",
                    id=done.id,
                    failure=why,
                )
            )
        )
    return done


def _progress() -> ProgressBars:
    """That something is going on, and for how long: a large ledger takes minutes."""
    return ProgressBars(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())


def _erase_here(settings: "Settings", inbox: Path | None, number: str) -> ErasureView:
    """Erase it without a gateway; what waits in the inbox is recorded later, without it. Raises AnswerbackError."""
    from answerback.auth.server_secret import ServerSecret
    from answerback.erasures.erasure_run import erase as run
    from answerback.erasures.sealing import seal
    from answerback.ledger.admin.audit import CLI_ACTOR
    from answerback.ledger.commands import RequestErasure
    from answerback.service.ledger_config import open_for_reading

    with open_for_reading(settings) as ledger, _progress() as progress:
        progress.add_task(tr("erasing"), total=None)
        key = ServerSecret.load_or_create(settings.server.data_dir, settings.server.secret).erasure_key
        asked = RequestErasure(CLI_ACTOR, seal(key, number)).run(ledger)
        return ErasureView.read_from(run(ledger, inbox, asked.id, number))


def _inbox(settings: "Settings") -> Path | None:
    """The inbox of this machine, where there is one."""
    from answerback.inbox import INBOX_FILE
    from answerback.service.factories import inbox_config

    path = inbox_config(settings).directory / INBOX_FILE
    return path if path.exists() else None


def _print_counts(counts: dict[str, int], *, as_json: bool) -> None:
    if as_json:
        print_json({"rows": counts})
    else:
        shown = [(table, f"{rows:,}") for table, rows in counts.items()]
        print_table(tr_all("table", "rows"), shown, tr("the number is not stored"))
