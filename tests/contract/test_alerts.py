"""What alerts go by, and how they are kept, on every backend."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import pytest
from builders import NOON, AnyCallback, failure, key_press, received, rejected, status, unanswered
from contract import delivery_helpers
from contract.backends import OpenLedger
from contract.delivery_helpers import at, us
from contract.test_instances import heartbeat, member
from recorder.harness import InlineClient
from relay.waiting import in_loop

from answerback.alerts.hysteresis import Measurement
from answerback.alerts.measurement import MeasureContext, measure
from answerback.alerts.sources import LedgerSource
from answerback.domain.alert_rules import (
    AnswerRateRule,
    BaseRule,
    EndpointRule,
    FailuresRule,
    FeesRule,
    OverdueRule,
    QuarantineRule,
)
from answerback.ledger import Ledger
from answerback.ledger.admin.alerts import Alert, find_alerts
from answerback.ledger.admin.instances import RECORDED_US
from answerback.ledger.commands import SaveAlerts, decode_command, encode_command
from answerback.ledger.read import alert_metrics
from answerback.ledger.types import EndpointPause

FIRING = Alert(
    rule="few-answers",
    metric="answer_rate",
    since=at(1.5),
    firing=True,
    value=0.41,
    en="41% of the last 100 calls were answered",
    zh="接通率为 41%",
    started_at=at(1.5),
    pending_since=at(2.000001),
    last_sent_at={"notify[0] wecombot": at(3), "notify[1] jsons": None},
    notified_at=at(3),
    error="notify[1] jsons answered 500",
)
QUIET = Alert(rule="junk", metric="quarantine", since=NOON)


def keep(ledger: Ledger, changed: list[Alert], rules: list[str]) -> None:
    """Have alerts kept, as the gateway asks its writer to."""
    decode_command(encode_command(SaveAlerts(changed, rules))).run(ledger)


def look(ledger: Ledger, rule: BaseRule, now: datetime = NOON) -> Measurement:
    """What a rule measures."""
    return ledger.read(lambda connection: measure(rule, MeasureContext(connection, ("default", "a"), now)))


def judged(ledger: Ledger, rule: BaseRule, now: datetime = NOON) -> tuple[float | None, bool, bool]:
    """The number, whether the rule fires, and whether it is clearly over."""
    seen = look(ledger, rule, now)
    return seen.value, seen.breached, seen.resolved


# Kept.


def test_an_alert_is_read_as_it_was_kept(reopen: OpenLedger) -> None:
    """Everything, to the microsecond, after the ledger was closed and opened."""
    keep(reopen(), [FIRING, QUIET], ["few-answers", "junk"])
    assert reopen().read(find_alerts) == [FIRING, QUIET]


def test_an_alert_that_changed_is_kept_in_place_of_what_it_was(ledger: Ledger) -> None:
    """A rule has one alert; the others stay as they are."""
    keep(ledger, [FIRING, QUIET], ["few-answers", "junk"])
    over = msgspec.structs.replace(FIRING, firing=False, since=at(9), last_sent_at={}, error=None)
    keep(ledger, [over], ["few-answers", "junk"])
    assert ledger.read(find_alerts) == [over, QUIET]


def test_a_rule_that_is_no_more_is_forgotten(ledger: Ledger) -> None:
    """Also the last one."""
    keep(ledger, [FIRING, QUIET], ["few-answers", "junk"])
    keep(ledger, [], ["junk"])
    assert ledger.read(find_alerts) == [QUIET]
    keep(ledger, [], [])
    assert ledger.read(find_alerts) == []


# Answer rates.


def calls(ledger: Ledger, *outcomes: str, channel: str = "default", first: int = 0) -> None:
    """Calls with these outcomes, one second after the other."""
    said: dict[str, Callable[..., AnyCallback]] = {
        "answered": status,
        "unanswered": unanswered,
        "failed": failure,
        "pending": key_press,
    }
    ledger.record(
        [
            received(said[outcome](callid=f"{channel}-{n}"), channel=channel, after_s=n)
            for n, outcome in enumerate(outcomes, first)
        ]
    )


def test_the_answer_rate_is_that_of_the_newest_calls_with_an_outcome(ledger: Ledger) -> None:
    """Older ones do not count, nor do those of which no outcome is known; failed ones do."""
    calls(ledger, *["unanswered"] * 5, "answered", "failed", "unanswered", "answered", "pending", "pending")
    assert judged(ledger, AnswerRateRule(below=0.6, calls=4)) == (0.5, True, False)
    assert judged(ledger, AnswerRateRule(below=0.5, calls=4)) == (0.5, False, False)
    assert judged(ledger, AnswerRateRule(below=0.45, calls=4)) == (0.5, False, True)
    assert judged(ledger, AnswerRateRule(below=0.5, calls=9)) == (2 / 9, True, False)


def test_the_answer_rate_rests_until_there_are_calls_enough(ledger: Ledger) -> None:
    """Three calls at night say nothing: neither that it is bad nor that it is over."""
    calls(ledger, "unanswered", "unanswered", "unanswered")
    assert judged(ledger, AnswerRateRule(below=0.6, calls=4)) == (None, False, False)


def test_the_answer_rate_of_a_channel_is_its_own(ledger: Ledger) -> None:
    """The others' calls are not among its newest; without a channel all are."""
    calls(ledger, *["answered"] * 4)
    calls(ledger, *["unanswered"] * 4, channel="a", first=4)
    assert judged(ledger, AnswerRateRule(below=0.6, calls=4, channel="default"))[0] == 1.0
    assert judged(ledger, AnswerRateRule(below=0.6, calls=4, channel="a"))[0] == 0.0
    assert judged(ledger, AnswerRateRule(below=0.6, calls=4))[0] == 0.0
    assert judged(ledger, AnswerRateRule(below=0.6, calls=8))[0] == 0.5


# Counts within a time.


def test_failures_count_by_their_codes_within_the_time(ledger: Ledger) -> None:
    """Other codes, other channels and older calls do not."""
    for n, code in enumerate([8, 8, 15, 1, 11]):
        ledger.record([received(failure(callid=f"call-{n}", code=code), after_s=n)])
    ledger.record([received(failure(callid="theirs", code=8), channel="a", after_s=9)])
    rule = FailuresRule(codes=(8, 15), above=3, within_s=100)
    assert judged(ledger, rule, at(10)) == (4, True, False)
    assert judged(ledger, rule, at(101)) == (3, False, False)
    assert judged(ledger, rule, at(102.5)) == (1, False, True)
    assert judged(ledger, FailuresRule(codes=(8, 15), channel="a"), at(10))[0] == 1
    assert judged(ledger, FailuresRule(codes=(8, 15), channel="default"), at(10))[0] == 3


def test_bodies_in_quarantine_count_within_the_time(ledger: Ledger) -> None:
    """Each body once, however often it comes."""
    for n, raw in enumerate([b"{", b"[", b"{"]):
        ledger.record([rejected(raw, after_s=n)])
    ledger.record([rejected(b"{", channel="a", after_s=3)])
    assert judged(ledger, QuarantineRule(above=2, within_s=60), at(10)) == (3, True, False)
    assert judged(ledger, QuarantineRule(above=0, within_s=60, channel="a"), at(10)) == (1, True, False)
    assert judged(ledger, QuarantineRule(above=0, within_s=60), at(100)) == (0, False, True)


def test_differing_fees_add_up_too_many_and_too_few(ledger: Ledger) -> None:
    """Three minutes too many and one too few are four that differ, of two calls."""
    for n, (fee, channel) in enumerate([(4, "default"), (0, "a"), (1, "default")]):
        ledger.record([received(status(callid=f"call-{n}", fee_minutes=fee), channel=channel, after_s=n)])
    assert judged(ledger, FeesRule(above=3, within_s=60), at(10)) == (4, True, False)
    assert judged(ledger, FeesRule(above=3, within_s=60, channel="a"), at(10)) == (1, False, True)
    assert judged(ledger, FeesRule(above=0, within_s=60), at(100)) == (0, False, True)
    assert ledger.read(lambda c: alert_metrics.sum_fee_mismatches(c, None, NOON)) == (4, 2)


@pytest.mark.parametrize("who", ["this process", "another"])
@in_loop
async def test_rules_are_measured_as_of_what_is_recorded(ledger: Ledger, who: str) -> None:
    """Whoever has more in its log than in the ledger: a minute in which nothing could be recorded looks like none."""
    ledger.record([received(status(fee_minutes=9))])
    recorded_us = us(10)
    if who == "another":
        heartbeat(ledger, member(), **{RECORDED_US: recorded_us})
    source = LedgerSource(
        InlineClient(ledger),
        ledger,
        {"fees": FeesRule(above=3, within_s=60)},
        [],
        lambda: recorded_us if who == "this process" else None,
    )
    assert (await source.measure(at(100)))["fees"].value == 8
    recorded_us = us(100)
    heartbeat(ledger, member(), **{RECORDED_US: recorded_us})
    assert (await source.measure(at(100)))["fees"].value == 0


def test_overdue_calls_count_from_when_they_became_overdue(ledger: Ledger) -> None:
    """Not from when they were due, nor from when they were registered."""
    for n in range(3):
        delivery_helpers.annotate(ledger, f"awaited-{n}", channel="default", due_at=at(10), at_s=-9_000)
    assert judged(ledger, OverdueRule(above=2, within_s=60), at(100)) == (0, False, True)
    assert delivery_helpers.record_overdue(ledger, at_s=100).count == 3
    assert judged(ledger, OverdueRule(above=2, within_s=60), at(130)) == (3, True, False)
    assert judged(ledger, OverdueRule(above=2, within_s=60, channel="a"), at(130))[0] == 0
    assert judged(ledger, OverdueRule(above=2, within_s=60), at(161)) == (0, False, True)


# Endpoints.


def test_an_endpoint_without_a_lag_raises_no_alert(ledger: Ledger) -> None:
    """Nor is one that there is not, nor one that was disabled manually with deliveries pending."""
    delivery_helpers.endpoint(ledger)
    off = delivery_helpers.endpoint(ledger, "off")
    delivery_helpers.change(ledger, msgspec.structs.replace(off, enabled=False, disabled_reason="manually"))
    ledger.record([received(status())])
    for rule in (EndpointRule(), EndpointRule(endpoint="crm"), EndpointRule(endpoint="nobody")):
        assert judged(ledger, rule, at(100)) == (0, False, True)
    assert judged(ledger, EndpointRule(endpoint="off"), at(10_000)) == (0, False, True)


def test_what_is_pending_for_too_long_is_trouble(ledger: Ledger) -> None:
    """Between 80 % of the time and the time it is neither; another attempt does not make it younger."""
    crm = delivery_helpers.endpoint(ledger)
    ledger.record([received(status(callid="late")), received(status(callid="new"), after_s=200)])
    delivery_helpers.refuse(ledger, *delivery_helpers.load(ledger, crm, limit=1), due_s=5_000)
    assert judged(ledger, EndpointRule(pending_s=300), at(240)) == (0, False, True)
    assert judged(ledger, EndpointRule(pending_s=300), at(241)) == (0, False, False)
    assert judged(ledger, EndpointRule(pending_s=300), at(301)) == (1, True, False)
    assert judged(ledger, EndpointRule(pending_s=300, channel="a"), at(301)) == (0, False, True)
    assert "a delivery to endpoint crm has been pending for 5 min" in look(ledger, EndpointRule(), at(301)).en
    delivery_helpers.accept_everything(ledger, crm)
    assert judged(ledger, EndpointRule(pending_s=300), at(301)) == (0, False, True)


def test_a_paused_endpoint_is_trouble(ledger: Ledger) -> None:
    """It is said after how many failures."""
    crm = delivery_helpers.endpoint(ledger)
    delivery_helpers.settle(ledger, pauses=[EndpointPause(crm.id, 10, us(60))])
    seen = look(ledger, EndpointRule(endpoint="crm"))
    assert (seen.value, seen.breached, seen.resolved) == (1, True, False)
    assert (seen.en, seen.zh) == (
        "endpoint crm is paused, consecutive failures: 10",
        "端点 crm 连续失败 10 次，已暂停",
    )
    delivery_helpers.settle(ledger, pauses=[EndpointPause(crm.id, 0, None)])
    assert judged(ledger, EndpointRule(endpoint="crm")) == (0, False, True)


def test_an_endpoint_that_its_own_answer_switched_off_is_trouble(ledger: Ledger) -> None:
    """It is said why, and a number in the reason is masked."""
    crm = delivery_helpers.endpoint(ledger)
    delivery_helpers.change(
        ledger, msgspec.structs.replace(crm, enabled=False, disabled_reason="the endpoint answered 410: 13788888888")
    )
    seen = look(ledger, EndpointRule())
    assert seen.breached
    assert seen.en == "endpoint crm was disabled: the endpoint answered 410: 137****8888"


def test_dead_deliveries_are_trouble_where_the_rule_says_so(ledger: Ledger) -> None:
    """Only where a number is given, and beyond it."""
    crm = delivery_helpers.endpoint(ledger)
    ledger.record([received(status(callid=f"call-{n}")) for n in range(3)])
    delivery_helpers.exhaust(ledger, *delivery_helpers.load(ledger, crm))
    assert judged(ledger, EndpointRule()) == (0, False, True)
    assert judged(ledger, EndpointRule(dead=3)) == (0, False, False)
    assert judged(ledger, EndpointRule(dead=2)) == (1, True, False)
    assert look(ledger, EndpointRule(dead=2)).zh == "端点 crm 有 3 条死信"


def test_many_troubles_are_a_short_message(ledger: Ledger) -> None:
    """Five are named, the rest is counted."""
    for n in range(7):
        one = delivery_helpers.endpoint(ledger, f"crm-{n}")
        delivery_helpers.settle(ledger, pauses=[EndpointPause(one.id, 10, us(60))])
    seen = look(ledger, EndpointRule())
    assert seen.value == 7
    assert seen.en.endswith("endpoint crm-4 is paused, consecutive failures: 10; 2 more")
    assert seen.zh.endswith("；另有 2 项")


@pytest.mark.parametrize(
    "rule",
    [
        AnswerRateRule(below=0.6),
        FailuresRule(codes=(8,)),
        QuarantineRule(),
        FeesRule(),
        OverdueRule(),
        EndpointRule(dead=0),
    ],
)
def test_an_empty_ledger_alarms_nobody(ledger: Ledger, rule: Any) -> None:
    """The first day begins without a message."""
    assert not look(ledger, rule).breached
