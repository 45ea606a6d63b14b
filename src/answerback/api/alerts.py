"""/v1/alerts: what people are alerted of."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from answerback.alerts import AlertManager
from answerback.api.dependencies import PROBLEMS
from answerback.api.routes import Routes
from answerback.domain.models import AlertState
from answerback.schemas.view import PageView


class AlertView(BaseModel):
    """A rule of the config file, as it stands."""

    rule: str = Field(description="its name", examples=["few-answers"])
    metric: str = Field(description="what it measures", examples=["answer_rate"])
    firing: bool = Field(description="whether it is as bad as the rule says")
    since: datetime | None = Field(description="when it last began or ended; null: not measured yet")
    value: float | None = Field(description="what was measured last; null: too little is known", examples=[0.41])
    en: str = Field(
        description="the same in words", examples=["41 % of the last 100 calls were answered; the limit is 60 %"]
    )
    zh: str = Field(description="and in Chinese", examples=["最近 100 通通话的接通率为 41 %，下限为 60 %"])
    notified_at: datetime | None = Field(description="when people were last told")
    error: str | None = Field(
        description="what kept a word from arriving; it is tried again", examples=["notify[1] jsons answered 500"]
    )

    @classmethod
    def of(cls, state: AlertState) -> Self:
        """The view of a rule."""
        return cls(**{name: getattr(state, name) for name in AlertState.__struct_fields__})


def build_routes(alerts: AlertManager) -> Routes:
    """The route /v1/alerts."""
    router = Routes("alerts")

    @router.get("/v1/alerts", summary="The rules of the config file, and which of them hold now", responses=PROBLEMS)
    def list_alerts() -> PageView[AlertView]:
        return PageView(items=[AlertView.of(state) for state in alerts.states()])

    return router
