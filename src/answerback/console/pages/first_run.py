"""What the Overview is as long as no call has come in: how to begin, step by step, down to the first callback as it arrives."""

import shlex

from starlette.responses import Response

from answerback.console.context import RequestContext
from answerback.console.model.callback_urls import show_callback_urls
from answerback.console.pages.live import feed_values
from answerback.domain.models import Role
from answerback.ledger.read.activity import BEGINNING

_EXAMPLE = '{"voiceprompt_callback":{"result":"0","callid":"hello","mobile":"13788888888"}}'


def is_first_run(context: RequestContext) -> bool:
    """Whether no call has ever come in. Raises LedgerUnavailable."""
    return not context.deps.ledger.calls(limit=1).items


def show_first_run(context: RequestContext) -> Response:
    urls = show_callback_urls(context.deps.callback_urls, is_admin=context.has_role(Role.ADMIN))
    url = next(iter(context.deps.callback_urls.values()))
    values = {
        "urls": urls,
        "command": f"curl -sS -d {shlex.quote(_EXAMPLE)} {shlex.quote(url)}" if urls.in_full else None,
    }
    return context.render("first_run.html", feed_values(context, [], BEGINNING) | values)
