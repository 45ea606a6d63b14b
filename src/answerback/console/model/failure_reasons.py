"""Why calls failed, in numbers; pure."""

from collections.abc import Mapping
from typing import NamedTuple

from answerback.domain.failure_reasons import FAILURE_REASONS
from answerback.domain.statistics import Statistics


class FailureReasonCount(NamedTuple):
    """A failure code and how often it came; `calls` have it, `share` is of all that came, `bar` of the most frequent one.

    `change` is by which share of itself it grew since the range before; None where it did not come then.
    """

    code: int
    text: str
    calls: int
    share: float
    bar: float
    change: float | None = None


def count_failure_reasons(
    statistics: Statistics, language: str, unlisted: str, before: Mapping[int, int] | None = None
) -> list[FailureReasonCount]:
    """Every code that came, the most frequent first."""
    ordered = sorted(statistics.codes.items(), key=lambda one: (-one[1], one[0]))
    whole = sum(statistics.codes.values())
    earlier = before or {}
    return [
        FailureReasonCount(
            code,
            failure_reason_text(code, None, language) or unlisted,
            count,
            count / whole,
            100 * count / ordered[0][1],
            count / earlier[code] - 1 if earlier.get(code) else None,
        )
        for code, count in ordered
    ]


def failure_reason_text(code: int | None, reported: str | None, language: str) -> str:
    """The words for a failure code; of one that the vendor does not list, those that came with it."""
    if code is None:
        return ""
    listed = FAILURE_REASONS.get(code)
    if listed is None:
        return reported or ""
    return listed.zh if language == "zh" else listed.en[:1].upper() + listed.en[1:]
