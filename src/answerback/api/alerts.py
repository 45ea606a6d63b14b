"""/v1/alerts: the alert rules and their state."""

from answerback.alerts import AlertManager
from answerback.api.routes import Routes
from answerback.schemas.alerts import AlertView
from answerback.schemas.view import PageView


def build_routes(alerts: AlertManager) -> Routes:
    router = Routes("alerts")

    @router.get("/v1/alerts", summary="List alert rules and their state")
    def list_alerts() -> PageView[AlertView]:
        return PageView(items=[AlertView.read_from(state) for state in alerts.states()])

    return router
