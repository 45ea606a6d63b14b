"""The rounds of `make soak`, and what it says of them."""

from itertools import islice
from pathlib import Path

from soak import PARTS, Run, read, schedule, summarize

FAILED = "..F\nFAILED tests/faults/test_faults.py::test_full - assert 1 == 2\n1 failed, 20 passed in 9 s\nmake: *** [crash] Error 1"


def test_each_round_has_a_seed_of_its_own() -> None:
    """Every part has its turn; what is done once is done in the first round."""
    rounds = list(islice(schedule(7), 2 * len(PARTS)))
    assert rounds[: len(PARTS)] == [(part, 7) for part in PARTS]
    again = [part for part in PARTS if not part.once]
    assert rounds[len(PARTS) :][: len(again)] == [(part, 8) for part in again]


def test_a_failure_is_reported_with_the_command_that_repeats_it() -> None:
    """And each part with what it did, also one that had no time."""
    passed, failures = read(FAILED, 2)
    assert (passed, failures) == (20, [FAILED.splitlines()[1], FAILED.splitlines()[3]])
    first, second = PARTS[:2]
    report = summarize(
        [
            Run(first, "pytest --seed 7", Path("000.log"), 5000, [], 600),
            Run(second, "make crash SEED=7", Path("001.log"), passed, failures, 9),
            Run(first, "pytest --seed 8", Path("002.log"), 5000, [], 600),
        ]
    )
    table, repeat = report.split("\n\n")
    assert [line.split()[-4:] for line in table.splitlines()[1:4]] == [
        ["2", "0", "10,000", "1,200"],
        ["1", "1", "20", "9"],
        ["0", "0", "0", "0"],
    ]
    assert repeat.splitlines() == ["make crash SEED=7    # 001.log", *(f"    {failure}" for failure in failures)]


def test_a_command_that_fails_without_a_word_has_failed() -> None:
    """As one that was killed."""
    assert read("", -9) == (0, ["exit status -9"])
    assert read("FAILED in the name of a test that passed", 0) == (0, [])
