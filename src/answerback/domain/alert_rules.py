"""What people are alerted of: the rules of `[alerts.rules.<name>]`, one model for each `metric`. Pure."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

RATE_HYSTERESIS = 0.05
"""How far above `below` an answer rate is clearly better."""

COUNT_HYSTERESIS = 0.8
"""The share of `above` at which a count is clearly over."""

MAX_CALLS = 10_000

_Duration = Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False)]
_Window = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
_Above = Annotated[int, Field(ge=0, le=2**31)]


class BaseRule(BaseModel):
    """What all rules have."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, hide_input_in_errors=True)

    channel: str | None = Field(None, description="only this channel; all of them where none is named")
    for_s: _Duration = Field(0.0, description="how long it has to hold until people are told")
    keep_firing_for_s: _Duration = Field(
        60.0, description="how long it has to be clearly over until people are told of the end"
    )
    repeat_interval_s: _Duration = Field(
        21_600.0, description="people are told again after this long while it lasts; 0: never"
    )


class AnswerRateRule(BaseRule):
    """Too few of the newest calls were answered."""

    metric: Literal["answer_rate"] = Field("answer_rate", description="what is measured")
    below: float = Field(gt=0, le=1, allow_inf_nan=False, description="share of answered calls that is too low")
    calls: int = Field(
        100, ge=1, le=MAX_CALLS, description="over so many of the newest calls with an outcome; with fewer it rests"
    )
    resolve_above: float | None = Field(
        None, ge=0, le=1, description="it ends at this share; by default `below` and 0.05 more"
    )

    @field_validator("resolve_above")
    @classmethod
    def _check_resolve_above(cls, resolve_above: float | None, info: ValidationInfo) -> float | None:
        if resolve_above is not None and resolve_above < info.data.get("below", 0):
            raise ValueError("is less than below: it would end while it lasts")
        return resolve_above

    def is_breached(self, rate: float) -> bool:
        """Whether people are to be told."""
        return rate < self.below

    def is_resolved(self, rate: float) -> bool:
        """Whether it is clearly over."""
        return rate >= (min(1.0, self.below + RATE_HYSTERESIS) if self.resolve_above is None else self.resolve_above)


class CountRule(BaseRule):
    """More than `above` of something within a time."""

    above: _Above = Field(0, description="people are told of more than so many")
    within_s: _Window = Field(3_600.0, description="within the last so many seconds")
    resolve_below: float | None = Field(
        None, ge=0, description="it ends at so many or fewer; by default 80 % of `above`"
    )

    @field_validator("resolve_below")
    @classmethod
    def _check_resolve_below(cls, resolve_below: float | None, info: ValidationInfo) -> float | None:
        if resolve_below is not None and resolve_below > info.data.get("above", resolve_below):
            raise ValueError("is more than above: it would end while it lasts")
        return resolve_below

    def is_breached(self, count: float) -> bool:
        """Whether people are to be told."""
        return count > self.above

    def is_resolved(self, count: float) -> bool:
        """Whether it is clearly over."""
        return count <= (self.above * COUNT_HYSTERESIS if self.resolve_below is None else self.resolve_below)


class FailuresRule(CountRule):
    """Many calls failed for certain reasons."""

    metric: Literal["failures"] = Field("failures", description="what is measured")
    codes: Annotated[tuple[int, ...], Field(min_length=1, max_length=50)] = Field(
        description="failure codes, as 8 for a number that does not exist"
    )


class QuarantineRule(CountRule):
    """Bodies come in that cannot be understood."""

    metric: Literal["quarantine"] = Field("quarantine", description="what is measured")


class FeesRule(CountRule):
    """Billed minutes are not the due ones; `above` counts minutes, too many and too few."""

    metric: Literal["fees"] = Field("fees", description="what is measured")


class OverdueRule(CountRule):
    """Calls of which nothing came in time."""

    metric: Literal["overdue"] = Field("overdue", description="what is measured")


class EndpointRule(BaseRule):
    """An endpoint is paused, was switched off by its own answer, or is not told in time."""

    metric: Literal["endpoint"] = Field("endpoint", description="what is measured")
    endpoint: str | None = Field(None, description="the endpoint's name; any of them where none is named")
    pending_s: _Window = Field(300.0, description="people are told if a delivery has been pending for longer")
    dead: _Above | None = Field(None, description="people are told of more dead deliveries than this; unset: never")


Rule = Annotated[
    AnswerRateRule | FailuresRule | QuarantineRule | FeesRule | OverdueRule | EndpointRule,
    Field(discriminator="metric"),
]
RULES: tuple[type[BaseRule], ...] = (
    AnswerRateRule,
    FailuresRule,
    EndpointRule,
    QuarantineRule,
    FeesRule,
    OverdueRule,
)
"""Every model, in the order of the documents."""

METRICS = tuple(str(rule.model_fields["metric"].default) for rule in RULES)
"""What `metric` may be."""
