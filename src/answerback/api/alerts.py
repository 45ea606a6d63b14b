"""/v1/alerts: the alert rules and their state."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from answerback.alerts import AlertManager
from answerback.api.dependencies import PROBLEMS
from answerback.api.routes import Routes
from answerback.domain.models import AlertState
from answerback.schemas.view import PageView


class AlertView(BaseModel):
    """An alert rule of the config file and its state."""

    rule: str = Field(description="the rule's name", examples=["few-answers"])
    metric: str = Field(description="the metric", examples=["answer_rate"])
    firing: bool = Field(description="whether the rule fires")
    since: datetime | None = Field(description="when it last fired or resolved; null: not measured yet")
    value: float | None = Field(description="the value measured last; null: too little data", examples=[0.41])
    en: str = Field(
        description="the value in words", examples=["41 % of the last 100 calls were answered; the limit is 60 %"]
    )
    zh: str = Field(
        description="the value in words, in Chinese", examples=["最近 100 通通话的接通率为 41 %，下限为 60 %"]
    )
    notified_at: datetime | None = Field(description="when a notification was last sent")
    error: str | None = Field(
        description="why the last notification could not be sent; it is retried",
        examples=["notify[1] jsons answered 500"],
    )

    @classmethod
    def of(cls, state: AlertState) -> Self:
        """The view of a rule."""
        return cls(**{name: getattr(state, name) for name in AlertState.__struct_fields__})


def build_routes(alerts: AlertManager) -> Routes:
    """The route /v1/alerts."""
    router = Routes("alerts")

    @router.get("/v1/alerts", summary="List alert rules and their state", responses=PROBLEMS)
    def list_alerts() -> PageView[AlertView]:
        return PageView(items=[AlertView.of(state) for state in alerts.states()])

    return router
