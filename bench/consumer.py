"""How fast recorders carry the stream into the ledger: alone, and beside the intake whose answers they have to keep up with."""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from engines import CASES, INTAKE_ALONE, Case, consumed, engines, started, used_s
from run import load, running

Report = Callable[[str], None]

CONNECTIONS = 256

_TURNS = 3
_KEPT_UP_S = 0.2


@dataclass(frozen=True)
class ConsumerFigures:
    """What one recorder carried; `cpu_us` is what each party used for a callback."""

    store: str
    callbacks: int
    callbacks_per_s: float
    cpu_us: dict[str, float]


def measure_consumer(given: argparse.Namespace, say: Report) -> list[ConsumerFigures]:
    """Fill the stream with nobody to record, then start a recorder and see how long it takes."""
    say("| recorded into | callbacks/s | callbacks | CPU µs/callback |\n|---|---:|---:|---|")
    found = []
    for store in ("sqlite", "postgresql"):
        rounds = [_measure_consumer(store, given) for _ in range(min(given.rounds, 2))]
        found.append(_median(rounds))
        cpu = ", ".join(f"{party} {used_us:.0f}" for party, used_us in found[-1].cpu_us.items())
        say(f"| {store} | {found[-1].callbacks_per_s:,.0f} | {found[-1].callbacks:,} | {cpu} |")
    say("")
    return found


def _measure_consumer(store: str, given: argparse.Namespace) -> ConsumerFigures:
    with engines(Case(store, nats=3, postgresql=store == "postgresql"), given.where) as place:
        data = place.directory / "data"
        with running("answerback", data, *INTAKE_ALONE, *place.options):
            load(CONNECTIONS, given.seconds, 0)
        with running("answerback", data, *place.options) as (process, _):
            place.add_gateway(process)
            began_s, first, before = time.perf_counter(), consumed(), place.cpu_s()
            place.await_empty()
            took_s, callbacks = time.perf_counter() - began_s, consumed() - first
            used = used_s(before, place.cpu_s())
    cpu_us = {party: used_s * 1e6 / callbacks for party, used_s in used.items()}
    one = ConsumerFigures(store, callbacks, callbacks / took_s, cpu_us)
    print(f"recorder: {one}", file=sys.stderr, flush=True)
    return one


def _median(rounds: list[ConsumerFigures]) -> ConsumerFigures:
    first = rounds[0]
    return ConsumerFigures(
        store=first.store,
        callbacks=round(statistics.median(one.callbacks for one in rounds)),
        callbacks_per_s=statistics.median(one.callbacks_per_s for one in rounds),
        cpu_us={party: statistics.median(one.cpu_us[party] for one in rounds) for party in first.cpu_us},
    )


@dataclass(frozen=True)
class Sustained:
    """One run of wrk against an intake that records, too; `behind` callbacks were answered and not yet in the ledger at its end."""

    case: str
    answers_per_s: float
    recorded_per_s: float
    behind: int
    p50_ms: float
    p99_ms: float

    @property
    def kept_up(self) -> bool:
        """Whether the recorder was never further behind than its usual batches take."""
        return self.behind <= self.answers_per_s * _KEPT_UP_S


def sustained(given: argparse.Namespace, say: Report) -> list[Sustained]:
    """As fast as it goes, which the recorder does not follow; then slower, until it does."""
    say(
        "| answered and recorded at once, 256 connections | answers/s | recorded/s | behind at the end | p50 ms | p99 ms |"
    )
    say("|---|---:|---:|---:|---:|---:|")
    found = []
    for name in ("jetstream, recorded into sqlite", "jetstream, recorded into postgresql"):
        fastest, slower = _sustained(name, given)
        kept_up = "sustained" if slower.kept_up else "slower, not sustained"
        for what, one in (("as fast as it goes", fastest), (kept_up, slower)):
            rates = f"{one.answers_per_s:,.0f} | {one.recorded_per_s:,.0f} | {one.behind:,}"
            say(f"| {name}: {what} | {rates} | {one.p50_ms:.1f} | {one.p99_ms:.1f} |")
            found.append(one)
    say("")
    return found


def _sustained(name: str, given: argparse.Namespace) -> tuple[Sustained, Sustained]:
    """The fastest, and the fastest that the recorder kept up with: the pause between two requests is halved towards it."""
    with started(CASES[name], given.where) as place:
        found = fastest = _measure(name, 2 * given.seconds, 0)
        if not fastest.kept_up:
            place.await_empty()
            low_ms, high_ms = 0, round(CONNECTIONS / fastest.recorded_per_s * 1000)
            for _ in range(_TURNS):
                pause_ms = (low_ms + high_ms) // 2
                one = _measure(name, 2 * given.seconds, pause_ms)
                place.await_empty()
                low_ms, high_ms = (low_ms, pause_ms) if one.kept_up else (pause_ms, high_ms)
                found = max(found, one, key=_worth)
        return fastest, found


def _worth(one: Sustained) -> tuple[bool, float]:
    """The fastest of those that were kept up with; where none was, the one that was least behind."""
    return one.kept_up, one.answers_per_s if one.kept_up else -one.behind


def _measure(name: str, seconds: int, delay_ms: int) -> Sustained:
    before = consumed()
    result = load(CONNECTIONS, seconds, delay_ms)
    carried = consumed() - before
    one = Sustained(
        case=name,
        answers_per_s=result.requests_per_s,
        recorded_per_s=carried * result.requests_per_s / result.requests,
        behind=max(0, result.requests - result.refused - carried),
        p50_ms=result.p50_ms,
        p99_ms=result.p99_ms,
    )
    print(f"sustained, pause {delay_ms} ms: {one}", file=sys.stderr, flush=True)
    return one
