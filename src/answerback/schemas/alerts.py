"""Alert rules and their state."""

from datetime import datetime

from pydantic import Field

from answerback.schemas.view import View


class AlertView(View):
    """An alert rule of the config file and its state."""

    rule: str = Field(description="the rule's name", examples=["few-answers"])
    metric: str = Field(description="the metric", examples=["answer_rate"])
    firing: bool = Field(description="whether the rule fires")
    since: datetime | None = Field(description="when it last fired or resolved; null: not measured yet")
    value: float | None = Field(description="the value measured last; null: too little data", examples=[0.41])
    en: str = Field(
        description="the value in words", examples=["41% of the last 100 calls were answered; the limit is 60%"]
    )
    zh: str = Field(
        description="the value in words, in Chinese", examples=["最近 100 通电话的接通率为 41%，下限为 60%"]
    )
    notified_at: datetime | None = Field(description="when a notification was last sent")
    error: str | None = Field(
        description="why the last notification could not be sent; it is retried",
        examples=["notify[1] jsons answered 500"],
    )
