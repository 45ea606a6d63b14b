import pytest
from hypothesis import given
from hypothesis import strategies as st
from relay.factories import RETRY_POLICY, retry_policy

from answerback.domain.backoff import retry_delay_s
from answerback.domain.delivery_states import DeliveryTransition
from answerback.domain.endpoints import AttemptResult
from answerback.relay.retry_policy import decide_retry

NOW_S = 1_777_000_000.0

schedules = st.lists(st.floats(0.001, 1e6), max_size=12)
waits = st.one_of(st.none(), st.floats(0, 24 * 3600))


def outcome(
    error: str | None = "answered 500 Internal Server Error",
    *,
    gone: bool = False,
    retry_after_s: float | None = None,
) -> AttemptResult:
    """An attempt that failed, unless `error` is None."""
    return AttemptResult(started_us=0, duration_us=1, error=error, gone=gone, retry_after_s=retry_after_s)


ACCEPTED = outcome(None)


@given(st.integers(0, 50), st.one_of(st.none(), st.floats(0, 1e10)))
def test_what_is_accepted_is_at_its_end(failures: int, probe_s: float | None) -> None:
    """However often it failed before, probe or not: accepted, and nothing is spent."""
    cause, _, spent = decide_retry(ACCEPTED, failures, RETRY_POLICY, NOW_S, probe_s)
    assert (cause, spent) == (DeliveryTransition.SUCCEEDED, False)


@pytest.mark.parametrize(("failures", "expected_s"), list(enumerate(RETRY_POLICY.retry_schedule_s)))
def test_a_failure_is_followed_by_the_next_pause(failures: int, expected_s: float) -> None:
    """The first failure by the first pause, and so on; each is spent."""
    assert decide_retry(outcome(), failures, RETRY_POLICY, NOW_S) == (
        DeliveryTransition.ATTEMPT_FAILED,
        NOW_S + expected_s,
        True,
    )


def test_the_last_failure_is_the_end() -> None:
    """After nine pauses and the tenth failure the delivery is dead."""
    cause, _, spent = decide_retry(outcome(), 9, RETRY_POLICY, NOW_S)
    assert (cause, spent) == (DeliveryTransition.EXHAUSTED, True)


@given(schedules, waits)
def test_it_is_dead_exactly_after_so_many_failures(retry_schedule_s: list[float], retry_after_s: float | None) -> None:
    """One failure more than there are pauses, and not one less; whatever Retry-After says."""
    failures, cause = 0, DeliveryTransition.ATTEMPT_FAILED
    while cause is DeliveryTransition.ATTEMPT_FAILED:
        cause, due_s, spent = decide_retry(
            outcome(retry_after_s=retry_after_s), failures, retry_policy(retry_schedule_s=retry_schedule_s), NOW_S
        )
        assert spent
        assert cause is DeliveryTransition.EXHAUSTED or due_s > NOW_S
        failures += 1
    assert cause is DeliveryTransition.EXHAUSTED
    assert failures == len(retry_schedule_s) + 1


@given(st.integers(0, 50), schedules, waits, st.floats(NOW_S, NOW_S + 1e5), st.booleans())
def test_a_probe_spends_nothing(
    failures: int,
    retry_schedule_s: list[float],
    retry_after_s: float | None,
    probe_s: float,
    gone: bool,  # noqa: FBT001  # drawn
) -> None:
    """A probe that fails counts against nobody, even where no attempt was left; the next is at the next probe or later."""
    failed = outcome(retry_after_s=retry_after_s, gone=gone)
    cause, due_s, spent = decide_retry(
        failed, failures, retry_policy(retry_schedule_s=retry_schedule_s), NOW_S, probe_s
    )
    assert (cause, spent) == (DeliveryTransition.ATTEMPT_FAILED, False)
    assert due_s == max(probe_s, NOW_S + (retry_after_s or 0))


@given(st.integers(0, 50), schedules)
def test_an_endpoint_that_is_gone_spends_nothing(failures: int, retry_schedule_s: list[float]) -> None:
    """410 disables the endpoint: its deliveries wait, with all their attempts."""
    cause, due_s, spent = decide_retry(
        outcome(gone=True), failures, retry_policy(retry_schedule_s=retry_schedule_s), NOW_S
    )
    assert (cause, spent) == (DeliveryTransition.ATTEMPT_FAILED, False)
    assert due_s == NOW_S


@given(st.integers(0, 8), st.floats(0, 24 * 3600))
def test_retry_after_only_puts_off(failures: int, retry_after_s: float) -> None:
    """The next attempt is when the endpoint asks for it or when the schedule says, whichever is later."""
    cause, due_s, _ = decide_retry(outcome(retry_after_s=retry_after_s), failures, RETRY_POLICY, NOW_S)
    planned_s = retry_delay_s(RETRY_POLICY.retry_schedule_s, failures + 1)
    assert planned_s is not None
    assert cause is DeliveryTransition.ATTEMPT_FAILED
    assert due_s == NOW_S + max(planned_s, retry_after_s)


@given(st.integers(0, 8), st.floats(0, 0.99))
def test_jitter_bounds_the_pause(failures: int, jitter: float) -> None:
    """By the share that is set, and by no more."""
    _, due_s, _ = decide_retry(outcome(), failures, retry_policy(jitter=jitter), NOW_S)
    planned_s = RETRY_POLICY.retry_schedule_s[failures]
    assert planned_s * (1 - jitter) - 0.001 <= due_s - NOW_S <= planned_s * (1 + jitter) + 0.001


def test_without_pauses_one_attempt_is_all() -> None:
    """An empty schedule: the first failure is the last, but a probe is still none."""
    once = retry_policy(retry_schedule_s=())
    assert decide_retry(outcome(), 0, once, NOW_S).transition is DeliveryTransition.EXHAUSTED
    assert decide_retry(outcome(), 0, once, NOW_S, NOW_S + 5).transition is DeliveryTransition.ATTEMPT_FAILED
