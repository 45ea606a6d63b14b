"""Alerts: the rules of the config file, those that fire first, and what to do about them."""

from starlette.responses import Response
from starlette.routing import Route

from answerback.console.context import RequestContext
from answerback.console.routing import PageRouter

_LOOK_AT = {
    "answer_rate": "failures",
    "failures": "failures",
    "endpoint": "endpoints",
    "quarantine": "quarantine",
    "fees": "fees",
    "overdue": "live",
}
"""The page that shows what a metric measures; the recorder has none."""


def build_routes(router: PageRouter) -> list[Route]:
    return [router.page("/alerts", _show)]


def _show(context: RequestContext) -> Response:
    alerts = sorted(context.deps.alerts.states(), key=lambda alert: not alert.firing)
    values = {"alerts": alerts, "look_at": _LOOK_AT, "documents": context.deps.documents}
    return context.render("alerts.html", values)
