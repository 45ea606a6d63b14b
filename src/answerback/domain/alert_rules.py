"""What people are alerted of: the rules of `[alerts.rules.<name>]`, one model for each `when`. Pure."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

MARGIN = 0.05
"""How far above `below` an answer rate is clearly better."""

SHARE = 0.8
"""The share of `above` at which a count is clearly over."""

MOST_CALLS = 10_000

_Pause = Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False)]
_Span = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
_Above = Annotated[int, Field(ge=0, le=2**31)]


class AnyRule(BaseModel):
    """What all rules have."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, hide_input_in_errors=True)

    channel: str | None = Field(None, description="only this channel; all of them where none is named")
    for_s: _Pause = Field(0.0, description="how long it has to hold until people are told")
    quiet_s: _Pause = Field(60.0, description="how long it has to be clearly over until people are told of the end")
    remind_s: _Pause = Field(21_600.0, description="people are told again after this long while it lasts; 0: never")


class AnswerRateRule(AnyRule):
    """Too few of the newest calls were answered."""

    when: Literal["answer_rate"] = Field("answer_rate", description="what is measured")
    below: float = Field(gt=0, le=1, allow_inf_nan=False, description="share of answered calls that is too low")
    calls: int = Field(
        100, ge=1, le=MOST_CALLS, description="over so many of the newest calls with an outcome; with fewer it rests"
    )
    clear: float | None = Field(None, ge=0, le=1, description="it ends at this share; by default `below` and 0.05 more")

    @field_validator("clear")
    @classmethod
    def _check_clear(cls, clear: float | None, info: ValidationInfo) -> float | None:
        if clear is not None and clear < info.data.get("below", 0):
            raise ValueError("is less than below: it would end while it lasts")
        return clear

    def is_over(self, rate: float) -> bool:
        """Whether people are to be told."""
        return rate < self.below

    def is_clear(self, rate: float) -> bool:
        """Whether it is clearly over."""
        return rate >= (min(1.0, self.below + MARGIN) if self.clear is None else self.clear)


class CountRule(AnyRule):
    """More than `above` of something within a time."""

    above: _Above = Field(0, description="people are told of more than so many")
    within_s: _Span = Field(3_600.0, description="within the last so many seconds")
    clear: float | None = Field(None, ge=0, description="it ends at so many or fewer; by default 80 % of `above`")

    @field_validator("clear")
    @classmethod
    def _check_clear(cls, clear: float | None, info: ValidationInfo) -> float | None:
        if clear is not None and clear > info.data.get("above", clear):
            raise ValueError("is more than above: it would end while it lasts")
        return clear

    def is_over(self, count: float) -> bool:
        """Whether people are to be told."""
        return count > self.above

    def is_clear(self, count: float) -> bool:
        """Whether it is clearly over."""
        return count <= (self.above * SHARE if self.clear is None else self.clear)


class FailuresRule(CountRule):
    """Many calls failed for certain reasons."""

    when: Literal["failures"] = Field("failures", description="what is measured")
    codes: Annotated[tuple[int, ...], Field(min_length=1, max_length=50)] = Field(
        description="failure codes, as 8 for a number that does not exist"
    )


class QuarantineRule(CountRule):
    """Bodies come in that cannot be understood."""

    when: Literal["quarantine"] = Field("quarantine", description="what is measured")


class FeesRule(CountRule):
    """Billed minutes are not the due ones; `above` counts minutes, too many and too few."""

    when: Literal["fees"] = Field("fees", description="what is measured")


class OverdueRule(CountRule):
    """Calls of which nothing came in time."""

    when: Literal["overdue"] = Field("overdue", description="what is measured")


class EndpointRule(AnyRule):
    """An endpoint is paused, was switched off by its own answer, or is not told in time."""

    when: Literal["endpoint"] = Field("endpoint", description="what is measured")
    endpoint: str | None = Field(None, description="the endpoint's name; any of them where none is named")
    pending_s: _Span = Field(300.0, description="people are told if a delivery has been pending for longer")
    dead: _Above | None = Field(None, description="people are told of more dead deliveries than this; unset: never")


Rule = Annotated[
    AnswerRateRule | FailuresRule | QuarantineRule | FeesRule | OverdueRule | EndpointRule, Field(discriminator="when")
]
RULES: tuple[type[AnyRule], ...] = (
    AnswerRateRule,
    FailuresRule,
    EndpointRule,
    QuarantineRule,
    FeesRule,
    OverdueRule,
)
"""Every model, in the order of the documents."""

MEASURED = tuple(str(rule.model_fields["when"].default) for rule in RULES)
"""What `when` may be."""
