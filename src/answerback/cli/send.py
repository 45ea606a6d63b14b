"""`answerback send`: callbacks as the cloud would send them."""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from answerback.cli.language import tr, tr_message
from answerback.cli.options import AsJson
from answerback.cli.output import err, out, print_table
from answerback.cli.plain_output import print_json
from answerback.domain.arguments import require_http_url
from answerback.domain.models import CallbackKind, Result
from answerback.emulator.payloads import CallbackFields, body_of

if TYPE_CHECKING:
    from answerback.emulator.callback_sender import ReceiverResponse

_SHOWN_ONE_BY_ONE = 20


def send(
    url: Annotated[str, typer.Argument(help="The callback URL, e.g. http://127.0.0.1:8000/voice/callback")],
    kind: Annotated[CallbackKind, typer.Option(help="The kind of callback.")] = CallbackKind.PROMPT,
    result: Annotated[int, typer.Option(min=0, max=2, help="0 answered, 1 not answered, 2 call error.")] = 0,
    callid: Annotated[str | None, typer.Option(help="The callid; a new one for each callback by default.")] = None,
    mobile: Annotated[str, typer.Option(help="The callee's number.")] = "13788888888",
    key: Annotated[str, typer.Option(help="The key pressed, with --kind key.")] = "1",
    failure_code: Annotated[int, typer.Option(min=0, help="With --kind failure.")] = 5,
    count: Annotated[int, typer.Option(min=1, help="Number of callbacks.")] = 1,
    concurrency: Annotated[int, typer.Option(min=1, max=1024, help="Number of concurrent requests.")] = 1,
    as_json: AsJson = False,
) -> None:
    require_http_url("URL", url)
    callback = CallbackFields(
        kind=kind, result=Result(result), callid=callid, mobile=mobile, key=key, failure_code=failure_code
    )
    replies = asyncio.run(_send(url, (body_of(callback) for _ in range(count)), count, concurrency))
    if as_json:
        print_json(
            {
                "accepted": sum(reply.accepted for reply in replies),
                "sent": len(replies),
                "answers": [_view(reply) for reply in replies],
            }
        )
    else:
        _show(replies)
    if not all(reply.accepted for reply in replies):
        raise typer.Exit(1)


async def _send(url: str, bodies: Iterable[bytes], count: int, concurrency: int) -> "list[ReceiverResponse]":
    from answerback.emulator.callback_sender import send_all

    replies = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    quiet = count <= _SHOWN_ONE_BY_ONE or not sys.stderr.isatty()
    with Progress(*columns, console=err, transient=True, disable=quiet) as progress:
        sending = progress.add_task(tr("sending"), total=count)
        async for reply in send_all(url, bodies, concurrency):
            replies.append(reply)
            progress.advance(sending)
    return replies


def _view(reply: "ReceiverResponse") -> dict[str, object]:
    return {
        "accepted": reply.accepted,
        "status": reply.status,
        "result": reply.result,
        "answer": reply.body.decode("utf-8", "replace"),
        "error": reply.error,
        "seconds": reply.seconds,
    }


def _show(replies: "list[ReceiverResponse]") -> None:
    if len(replies) <= _SHOWN_ONE_BY_ONE:
        each = [
            (_verdict(reply.accepted), reply.status, reply.result, _problem(reply.error), _ms(reply.seconds))
            for reply in replies
        ]
        print_table(("", tr("status"), "result", tr("error"), tr("time")), each, tr("nothing sent"))
        return
    times = sorted(reply.seconds for reply in replies)
    answers = Counter((reply.accepted, reply.status, reply.result, reply.error) for reply in replies)
    rows = [
        (count, _verdict(accepted), status, result, _problem(error))
        for (accepted, status, result, error), count in answers.most_common(_SHOWN_ONE_BY_ONE)
    ]
    print_table((tr("count"), "", tr("status"), "result", tr("error")), rows, tr("nothing sent"))
    middle, late = times[len(times) // 2], times[len(times) * 99 // 100]
    out.print(
        tr(
            "answered in {middle} (median), {late} (99 of 100), {last} (last)",
            middle=_ms(middle),
            late=_ms(late),
            last=_ms(times[-1]),
        )
    )


def _verdict(accepted: bool) -> str:
    return tr("accepted") if accepted else tr("refused")


def _problem(error: str | None) -> str | None:
    return error and tr_message(error)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
