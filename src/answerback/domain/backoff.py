"""How long to wait after failures; pure."""

from collections.abc import Sequence
from random import random


def retry_delay_s(
    schedule_s: Sequence[float], failures: int, jitter: float = 0.0, jitter_fraction: float | None = None
) -> float | None:
    """Seconds to wait after the `failures`-th failure (from 1 on), or None where `schedule_s` has no more.

    Up to `jitter`, a share, more or less; `jitter_fraction`, from 0 to 1, says where in that range, by chance if it is not given.
    """
    if failures > len(schedule_s):
        return None
    where = random() if jitter_fraction is None else jitter_fraction  # noqa: S311  # spreads load, keeps no secret
    return schedule_s[failures - 1] * (1 + jitter * (2 * where - 1))


def repeating_delay_s(
    schedule_s: Sequence[float], failures: int, jitter: float = 0.0, jitter_fraction: float | None = None
) -> float:
    """Seconds to wait after a failure, with `failures` before it (from 0 on): the last of `schedule_s` comes again and again."""
    pause = retry_delay_s(schedule_s, min(failures + 1, len(schedule_s)), jitter, jitter_fraction)
    assert pause is not None, "the schedule is not empty"  # noqa: S101  # the number was cut to its length
    return pause
