"""Carries out rules against a receiver, and weighs what it answered."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from time import perf_counter
from typing import NamedTuple
from uuid import UUID

import msgspec

from answerback.emulator.conformance import fixes
from answerback.emulator.conformance.evaluation import (
    ConformanceLevel,
    Deviation,
    Expectation,
    ReceivedResponse,
    excerpt,
    find_problems,
    format_ms,
)
from answerback.emulator.conformance.receiver_client import ReceiverClient
from answerback.emulator.conformance.requests import CallFactory
from answerback.emulator.conformance.rules import RULES
from answerback.emulator.conformance.scenarios import NO_LABEL, Rule, RuleStep, SendMode
from answerback.i18n import Text

_SEVERITY = (ConformanceLevel.OK, ConformanceLevel.WARNING, ConformanceLevel.FAILED)


class RuleResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a rule; `fix` is None where there is nothing to fix. `seconds` is what the whole rule took."""

    rule: Rule
    level: ConformanceLevel
    seen: Text
    fix: Text | None
    sent: int
    seconds: float
    slowest_s: float


class _StepResult(NamedTuple):
    step: RuleStep
    answer: ReceivedResponse


async def check(client: ReceiverClient, rules: Iterable[Rule], run: UUID) -> AsyncIterator[RuleResult]:
    """Check `rules` one after the other, with the callids of `run`, a UUIDv1."""
    for rule in rules:
        began_s = perf_counter()
        steps = rule.steps(CallFactory(run, RULES.index(rule)))
        exchanges = await _send_all(client, rule.mode, steps)
        yield evaluate(rule, exchanges, client.timeout_s, perf_counter() - began_s)


async def _send_all(client: ReceiverClient, mode: SendMode, steps: Sequence[RuleStep]) -> list[_StepResult]:
    requests = [step.request for step in steps]
    if mode is SendMode.AT_ONCE:
        answers = await asyncio.gather(*(client.send(request) for request in requests))
    elif mode is SendMode.ONE_CONNECTION:
        answers = await client.send_on_one_connection(requests)
    else:
        answers = []
        for step in steps:
            answers.append(await client.send(step.request))
            if answers[-1].status is None and step.expected is not Expectation.NOTHING:
                break  # each further one could take as long
    return [_StepResult(step, answer) for step, answer in zip(steps, answers, strict=False)]


def evaluate(
    rule: Rule, exchanges: Sequence[tuple[RuleStep, ReceivedResponse]], timeout_s: float, seconds: float
) -> RuleResult:
    """The verdict on all answers of a rule: the worst of what was found, the first of its kind."""
    found = [
        finding._replace(seen=_with_label(step.label, finding.seen))
        for step, answer in exchanges
        for finding in find_problems(step.expected, answer, timeout_s)
    ]
    if any(answer.reconnected for _, answer in exchanges):
        seen = Text("the connection was closed after an answer", "应答后连接被断开")
        found.append(Deviation(ConformanceLevel.WARNING, seen, fixes.KEEP_ALIVE))
    answers = [answer for step, answer in exchanges if step.expected is not Expectation.NOTHING]
    level = max((finding.level for finding in found), key=_SEVERITY.index, default=ConformanceLevel.OK)
    worst = [finding for finding in found if finding.level is level]
    return RuleResult(
        rule=rule,
        level=level,
        seen=_summarize(worst) if worst else _describe_accepted(answers),
        fix=(worst[0].fix or rule.fix) if worst else None,
        sent=len(exchanges),
        seconds=seconds,
        slowest_s=max((answer.seconds for answer in answers), default=0.0),
    )


def _with_label(label: Text, seen: Text) -> Text:
    return seen if label == NO_LABEL else Text(f"{label.en}: {seen.en}", f"{label.zh}：{seen.zh}")


def _summarize(findings: Sequence[Deviation]) -> Text:
    first, more = findings[0].seen, len(findings) - 1
    return Text(f"{first.en} (and {more} more)", f"{first.zh}（另有 {more} 处）") if more else first


def _describe_accepted(answers: Sequence[ReceivedResponse]) -> Text:
    if len(answers) == 1:
        return excerpt(answers[0])
    slowest = format_ms(max(answer.seconds for answer in answers))
    return Text(f"{len(answers)} answers, the slowest after {slowest}", f"{len(answers)} 个应答，最慢 {slowest}")
