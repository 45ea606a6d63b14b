"""A flood of bodies that are no callbacks."""

from answerback.domain.batches import BatchItem
from answerback.intake.metrics import IntakeMetrics
from answerback.intake.rejections import RejectionLimiter


def test_as_many_a_minute_as_the_quarantine_takes() -> None:
    """Past that they are counted, and not kept."""
    metrics = IntakeMetrics()
    limiter = RejectionLimiter(metrics, 3, 10_000, lambda: None)
    admitted = [limiter.admit(BatchItem("default", b"{", n), 3003, "no JSON") for n in range(5)]
    assert (admitted, metrics.rejections_dropped) == ([True, True, True, False, False], 2)


def test_bytes_count_until_they_are_recorded() -> None:
    """What waits in the log is bounded, one by one as it is recorded there is room again."""
    recorded_us = 0
    limiter = RejectionLimiter(IntakeMetrics(), 1000, 250, lambda: recorded_us)

    def admit(received_us: int) -> bool:
        return limiter.admit(BatchItem("default", bytes(100), received_us), 3003, "no JSON")

    assert [admit(1), admit(2), admit(3)] == [True, True, False]
    recorded_us = 2
    assert [admit(4), admit(5)] == [True, False]
