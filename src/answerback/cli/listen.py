"""`answerback listen`: a gateway's callbacks as they come in, forwarded to a URL on this machine."""

import time
from pathlib import Path
from typing import Annotated

import httpx2
import typer
from rich.markup import escape

from answerback.cli.language import tr, tr_message
from answerback.cli.options import ByChannel, ByKind, ByOutcome, FullNumbers
from answerback.cli.output import err, out
from answerback.cli.tail import describe_callback
from answerback.cli.target import GatewayTarget, for_gateway
from answerback.client.senders import describe
from answerback.domain.arguments import require_http_url
from answerback.errors import ConfigError, InvalidResponse, describe_os_error
from answerback.schemas.events import CallbackActivityView
from answerback.tencent.response import decode_response

_TIMEOUT_S = 10.0
_SHOWN_LENGTH = 200


@for_gateway
def listen(
    target: GatewayTarget,
    forward_to: Annotated[
        str | None, typer.Option(help="POST each callback to this URL, e.g. http://localhost:3000/voice")
    ] = None,
    channel: ByChannel = None,
    kind: ByKind = None,
    outcome: ByOutcome = None,
    after: Annotated[
        str | None,
        typer.Option(
            help="Begin after the event with this cursor; 0 begins with the first stored event. By default only new events."
        ),
    ] = None,
    cursor_file: Annotated[
        Path | None,
        typer.Option(
            help="Keep the cursor in this file and resume from it the next time; the first run begins at --after."
        ),
    ] = None,
    full_numbers: FullNumbers = False,
) -> None:
    if forward_to is not None:
        require_http_url("--forward-to", forward_to)
    after = _read_cursor(cursor_file) or after
    with (
        target.client(full_numbers=None if forward_to is not None else full_numbers) as client,
        httpx2.Client(timeout=_TIMEOUT_S, trust_env=False) as http,
    ):
        if forward_to is not None and not client.me().full_numbers:
            raise ConfigError(
                "--forward-to: the key may not see full numbers, so it would forward masked bodies; "
                "use a key made with --full-numbers, or leave out --forward-to"
            )
        events = client.events(
            after=after,
            type="callback",
            channel=channel,
            kind=kind,
            outcome=outcome,
        )
        events.begin()
        err.print(f"[dim]{_head(forward_to)}[/]", soft_wrap=True)
        try:
            for event in events:
                assert isinstance(event, CallbackActivityView)  # noqa: S101  # only these were asked for
                shown = describe_callback(event if full_numbers else event.masked())
                if forward_to is not None:
                    shown += f"  -> {_forward(http, forward_to, event.body)}"
                out.print(shown, soft_wrap=True)
                if cursor_file is not None:
                    _write_cursor(cursor_file, event.cursor)
        except KeyboardInterrupt:
            if events.cursor is not None:
                said = tr("To go on from here: --after {cursor}", cursor=events.cursor)
                err.print(f"[dim]{said}[/]", soft_wrap=True)
            raise typer.Exit from None


def _head(forward_to: str | None) -> str:
    if forward_to is None:
        return tr("Showing new callbacks; press Ctrl-C to stop.")
    return tr("Forwarding new callbacks to {url}; press Ctrl-C to stop.", url=escape(forward_to))


def _forward(http: httpx2.Client, url: str, body: bytes) -> str:
    """POST a callback as the cloud does; what was answered, with markup."""
    began_s = time.monotonic()
    try:
        response = http.post(url, content=body, headers={"Content-Type": "application/json"})
    except httpx2.RequestError as error:
        return f"[red]{tr('failed')}[/] {escape(describe(error))}"
    took = f"{(time.monotonic() - began_s) * 1000:.0f} ms"
    try:
        answer = decode_response(response.content, response.charset_encoding)
    except InvalidResponse as error:
        problem = escape(tr_message(str(error)))
    else:
        said = f"result {answer.result} {escape(answer.errmsg[:_SHOWN_LENGTH])}".rstrip()
        if response.is_success and answer.result == 0:
            return f"[green]{response.status_code}[/] {said}  {took}"
        problem = said
    return f"[red]{response.status_code}[/] {problem}  {took}".replace("\n", " ")


def _read_cursor(path: Path | None) -> str | None:
    """What the last run left, if there was one. Raises ConfigError."""
    if path is None or not path.exists():
        return None
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--cursor-file: cannot read a cursor from {path}") from error


def _write_cursor(path: Path, cursor: str) -> None:
    """Keep a cursor; a run that is killed leaves this one or the one before. Raises ConfigError."""
    partial = Path(f"{path}.part")
    try:
        partial.write_text(f"{cursor}\n", encoding="ascii")
        partial.replace(path)
    except OSError as error:
        raise ConfigError(f"--cursor-file: {path}: {describe_os_error(error)}") from error
