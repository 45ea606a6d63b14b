"""Alert rules: the settings of `[alerts.rules.<name>]`, one model for each `metric`. Pure."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

RATE_HYSTERESIS = 0.05
"""An answer rate rule resolves this far above `below`, unless `resolve_above` is set."""

COUNT_HYSTERESIS = 0.8
"""A count rule resolves at this fraction of `above`, unless `resolve_below` is set."""

MAX_CALLS = 10_000

_Duration = Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False)]
_Window = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
_Above = Annotated[int, Field(ge=0, le=2**31)]


class BaseRule(BaseModel):
    """The settings that all rules share."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, hide_input_in_errors=True)

    channel: str | None = Field(None, description="only this channel; all channels by default")
    for_s: _Duration = Field(0.0, description="how long the condition must hold before the rule fires")
    keep_firing_for_s: _Duration = Field(
        60.0, description="how long the value must be back to normal before the rule resolves"
    )
    repeat_interval_s: _Duration = Field(
        21_600.0, description="while the rule fires, notify again after this time; 0: never"
    )


class AnswerRateRule(BaseRule):
    """Too few of the newest calls were answered."""

    metric: Literal["answer_rate"] = Field("answer_rate", description="what is measured")
    below: float = Field(gt=0, le=1, allow_inf_nan=False, description="fire when the answer rate is lower than this")
    calls: int = Field(
        100,
        ge=1,
        le=MAX_CALLS,
        description="measured over this many of the newest calls with an outcome; not measured while there are fewer",
    )
    resolve_above: float | None = Field(
        None, ge=0, le=1, description="resolve at this answer rate; `below` + 0.05 by default"
    )

    @field_validator("resolve_above")
    @classmethod
    def _check_resolve_above(cls, resolve_above: float | None, info: ValidationInfo) -> float | None:
        if resolve_above is not None and resolve_above < info.data.get("below", 0):
            raise ValueError("is less than below: the rule would resolve while it fires")
        return resolve_above

    def is_breached(self, rate: float) -> bool:
        return rate < self.below

    def is_resolved(self, rate: float) -> bool:
        """Whether it is clearly over."""
        return rate >= (min(1.0, self.below + RATE_HYSTERESIS) if self.resolve_above is None else self.resolve_above)


class CountRule(BaseRule):
    """More than `above` of something within `within_s`."""

    above: _Above = Field(0, description="fire at more than this many")
    within_s: _Window = Field(3_600.0, description="count over the last so many seconds")
    resolve_below: float | None = Field(
        None, ge=0, description="resolve at this many or fewer; 80 % of `above` by default"
    )

    @field_validator("resolve_below")
    @classmethod
    def _check_resolve_below(cls, resolve_below: float | None, info: ValidationInfo) -> float | None:
        if resolve_below is not None and resolve_below > info.data.get("above", resolve_below):
            raise ValueError("is more than above: the rule would resolve while it fires")
        return resolve_below

    def is_breached(self, count: float) -> bool:
        return count > self.above

    def is_resolved(self, count: float) -> bool:
        """Whether it is clearly over."""
        return count <= (self.above * COUNT_HYSTERESIS if self.resolve_below is None else self.resolve_below)


class FailuresRule(CountRule):
    """Many calls failed for certain reasons."""

    metric: Literal["failures"] = Field("failures", description="what is measured")
    codes: Annotated[tuple[int, ...], Field(min_length=1, max_length=50)] = Field(
        description="failure codes, such as 8 for a number that does not exist"
    )


class QuarantineRule(CountRule):
    """Callbacks are quarantined because they cannot be parsed."""

    metric: Literal["quarantine"] = Field("quarantine", description="what is measured")


class FeesRule(CountRule):
    """Billed minutes differ from those due; `above` counts minutes, too many and too few."""

    metric: Literal["fees"] = Field("fees", description="what is measured")


class OverdueRule(CountRule):
    """Calls are overdue: their outcome did not come in time."""

    metric: Literal["overdue"] = Field("overdue", description="what is measured")


class EndpointRule(BaseRule):
    """An endpoint is paused, was disabled by its own response, or is behind."""

    metric: Literal["endpoint"] = Field("endpoint", description="what is measured")
    endpoint: str | None = Field(None, description="only the endpoint of this name; any endpoint by default")
    pending_s: _Window = Field(300.0, description="fire if a delivery has been pending for longer than this")
    dead: _Above | None = Field(None, description="fire at more dead deliveries than this; unset: never")


class RecorderLagRule(BaseRule):
    """The ledger is behind what was answered. Evaluated by each process that records, also while the ledger is away."""

    metric: Literal["recorder_lag"] = Field("recorder_lag", description="what is measured")
    above_s: _Window = Field(60.0, description="fire if a callback has waited to be recorded for longer than this")

    @field_validator("channel")
    @classmethod
    def _check_channel(cls, channel: str | None) -> str | None:
        if channel is not None:
            raise ValueError("has no effect: the ledger is behind for all channels alike")
        return channel

    def is_breached(self, lag_s: float) -> bool:
        return lag_s > self.above_s

    def is_resolved(self, lag_s: float) -> bool:
        """Whether it is clearly over."""
        return lag_s <= self.above_s * COUNT_HYSTERESIS


AlertRule = Annotated[
    AnswerRateRule | FailuresRule | QuarantineRule | FeesRule | OverdueRule | EndpointRule | RecorderLagRule,
    Field(discriminator="metric"),
]
RULES: tuple[type[BaseRule], ...] = (
    AnswerRateRule,
    FailuresRule,
    EndpointRule,
    QuarantineRule,
    FeesRule,
    OverdueRule,
    RecorderLagRule,
)
"""Every model, in the order of the documents."""

METRICS = tuple(str(rule.model_fields["metric"].default) for rule in RULES)
"""The values that `metric` may have."""
