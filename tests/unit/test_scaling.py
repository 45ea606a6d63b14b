"""The plan of docs/scaling.md: its arithmetic, and that the pages hold exactly its tables."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "bench"))
from scaling_model import DAY, bottlenecks, costs, limits, plan, share_at, simulate
from simulate_scaling import ASSUMED, LOADS, MEASURED, TABLES, filled, rendered, stale

sys.path.pop()  # its `cluster` would hide that of the tests


def test_pages_hold_the_tables_of_the_simulation() -> None:
    """Neither page tells another figure than the simulation."""
    assert stale() == []


def test_page_without_a_place_for_a_table_is_an_error() -> None:
    """A mark that was lost is named, with what to write."""
    with pytest.raises(ValueError, match=r"no place for the table node: write <!-- table node -->"):
        filled("# Scaling\n", "en")


@pytest.mark.parametrize("name", TABLES)
def test_both_languages_show_the_same_figures(name: str) -> None:
    """The tables of both pages have as many rows and cells, and each has a head."""
    english, chinese = (rendered(TABLES[name](), language).splitlines() for language in ("en", "zh"))
    assert [line.count("|") for line in english] == [line.count("|") for line in chinese]
    assert len({line.count("|") for line in english}) == 1


def test_limits_rise_and_the_first_is_one_that_processes_do_not_move() -> None:
    """The order is the one in which a growing load meets them."""
    rates = [limit.per_s for limit in limits(MEASURED, ASSUMED)]
    assert rates == sorted(rates)
    assert not bottlenecks(MEASURED, ASSUMED)[0].movable


def test_faster_ledger_makes_the_endpoint_the_first_bottleneck() -> None:
    """Which one is first follows from the figures."""
    faster = replace(MEASURED, recorded_per_s=2 * MEASURED.delivered_per_s)
    assert bottlenecks(faster, ASSUMED)[0].part == "endpoint"


@pytest.mark.parametrize(("peak_per_s", "calls"), LOADS)
def test_no_part_of_a_plan_is_fuller_than_it_may_be(peak_per_s: int, calls: int) -> None:
    """Each partition, each process and each disk is filled to the assumed share at most."""
    needed = plan(MEASURED, ASSUMED, peak_per_s, calls)
    assert needed.partitions & (needed.partitions - 1) == 0
    assert peak_per_s / needed.partitions <= MEASURED.recorded_per_s * ASSUMED.fill
    assert peak_per_s / needed.relays <= MEASURED.delivered_per_s * ASSUMED.fill
    assert peak_per_s / needed.intakes * MEASURED.intake_us / 1e6 <= ASSUMED.fill
    assert needed.database_tb <= needed.databases * ASSUMED.database_tb
    assert needed.nats_servers % 3 == 0


def test_larger_loads_never_need_less() -> None:
    """More callbacks and more calls cost more."""
    sums = [costs(plan(MEASURED, ASSUMED, *load), ASSUMED).total for load in LOADS]
    assert sums == sorted(sums)


def test_what_waits_is_what_came_while_the_database_was_away() -> None:
    """Without an outage nothing waits; with one it is the busiest hour's callbacks, and they are recorded the same day."""
    assert simulate(1000, 2000, 0).most_behind == 0
    found = simulate(1000, 2000, 3600)
    assert 0.85 * 3_600_000 < found.most_behind <= 3_600_000
    assert found.longest_lag_s == pytest.approx(3600, rel=0.02)
    assert 1800 < found.level_after_s < 7200


def test_day_goes_through_its_hours() -> None:
    """The load at the full hour is that hour's, and half-way it is between two."""
    peak = max(DAY)
    assert [share_at(hour * 3600) for hour in range(24)] == [load / peak for load in DAY]
    assert share_at(23.5 * 3600) == pytest.approx((DAY[23] + DAY[0]) / 2 / peak)
