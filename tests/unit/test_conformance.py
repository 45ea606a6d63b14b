"""The rules of `answerback conform`, its judgement and its reports, without a receiver."""

import io
import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from rich.console import Console

from answerback.cli.conform import table_of
from answerback.domain.failure_reasons import FAILURE_REASONS
from answerback.domain.models import CallbackKind, Failure, KeyPress, Status
from answerback.emulator.conformance import fixes
from answerback.emulator.conformance.checking import RuleResult, evaluate
from answerback.emulator.conformance.evaluation import (
    ConformanceLevel,
    Expectation,
    NoResponse,
    ReceivedResponse,
    excerpt,
    find_problems,
)
from answerback.emulator.conformance.reports import Report, build_report, encode_junit, summary
from answerback.emulator.conformance.requests import EXAMPLE, CallbackRequest, CallFactory
from answerback.emulator.conformance.rules import RULES
from answerback.emulator.conformance.scenarios import NO_LABEL, Rule, RuleStep
from answerback.errors import CallbackRejected
from answerback.i18n import Language, Text, locale_language
from answerback.tencent.callbacks import parse

DOCS = Path(__file__).parents[2] / "docs"
RUN = uuid.UUID("7b0f1a52-9d3c-11f0-8c2e-0242ac120002")
OTHER_RUN = uuid.UUID("9b0f1a52-9d3c-11f0-8c2e-0242ac120002")
BY_ID = {rule.id: rule for rule in RULES}
TIMEOUT_S = 5.0


def steps(run: uuid.UUID = RUN, rule_id: str | None = None) -> Iterator[tuple[Rule, RuleStep]]:
    """Everything that a run sends, or that it sends for a rule."""
    for number, rule in enumerate(RULES):
        if rule_id in {None, rule.id}:
            for step in rule.steps(CallFactory(run, number)):
                yield rule, step


def callids(run: uuid.UUID, rule_id: str | None = None) -> set[str]:
    """The callids of all callbacks of a run, or of a rule."""
    taken = [step for _, step in steps(run, rule_id) if step.expected is Expectation.TAKEN]
    return {parse(step.request.body).callid for step in taken}


# The rules.


@pytest.mark.parametrize(("page", "section"), [("conform.md", "## The rules"), ("conform.zh-CN.md", "## 规则")])
def test_the_document_lists_the_rules(page: str, section: str) -> None:
    """Each language's table is the rules', in their order."""
    rows = re.findall(r"^\| `(.+?)` \| (.+) \|$", (DOCS / page).read_text().partition(section)[2], re.MULTILINE)
    assert rows == [(rule.id, rule.zh if "zh" in page else rule.en) for rule in RULES]


def test_a_rule_has_one_id_and_both_languages() -> None:
    """Ids are unique and plain; what is sent and what to fix is said in Chinese as well."""
    assert len(BY_ID) == len(RULES)
    for rule in RULES:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.id)
        assert rule.en.isprintable()
        assert all(
            words.en != words.zh for words in (rule.words, rule.fix) if not words.en.startswith("Content-Type: app")
        )
        assert re.search(r"[\u4e00-\u9fff]", rule.fix.zh)


def test_the_gateway_s_parser_agrees_with_the_rules() -> None:
    """What is to be taken is a callback for the parser, what is to be refused is none."""
    for rule, step in steps():
        if step.expected is Expectation.TAKEN:
            parse(step.request.body)
        elif step.expected is Expectation.REFUSED:
            with pytest.raises(CallbackRejected):
                parse(step.request.body)
        else:
            assert rule.id in {"method-get", "body-huge", "connection-dropped"}


def test_every_kind_result_and_failure_code_is_sent() -> None:
    """Nothing of the contract's tables is left out."""
    reported = [parse(step.request.body) for _, step in steps() if step.expected is Expectation.TAKEN]
    for kind in (CallbackKind.PROMPT, CallbackKind.CODE):
        assert {one.result.value for one in reported if isinstance(one, Status) and one.kind is kind} == {0, 1, 2}
    reasons = {
        one.code: one.reason for one in reported if isinstance(one, Failure) and one.reason not in {"其他", "未知"}
    }
    assert reasons == {code: reason.zh for code, reason in FAILURE_REASONS.items()}
    assert {one.key for one in reported if isinstance(one, KeyPress)} >= {"0", "1", "*", "#"}
    assert (11, "其他") in {(one.code, one.reason) for one in reported if isinstance(one, Failure)}
    types = {step.request.content_type for _, step in steps()}
    assert types >= {None, "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8"}
    assert EXAMPLE in {step.request.body for _, step in steps()}


def test_the_same_run_sends_the_same_bytes_and_another_run_other_calls() -> None:
    """Requests are a function of the run's id; only the documentation's example is the same in every run."""
    assert [step.request for _, step in steps(RUN)] == [step.request for _, step in steps(RUN)]
    assert callids(RUN) & callids(OTHER_RUN) == {"xxxxxx"}


def test_rules_do_not_share_calls() -> None:
    """Each rule tells of calls of its own, under UUIDv1 as in the field."""
    seen: set[str] = set()
    for rule in RULES:
        mine = callids(RUN, rule.id)
        assert not mine & seen
        seen |= mine
    assert {uuid.UUID(callid).version for callid in seen - {"xxxxxx"}} == {1}
    assert {len(callid) for callid in callids(RUN, "callid-hex")} == {32}


def test_a_status_is_of_a_call_that_ended_when_the_run_began() -> None:
    """Times are those of the run, as the cloud would send them now."""
    status = parse(CallFactory(RUN, 0).status())
    assert isinstance(status, Status)
    assert status.ended_at == datetime.fromtimestamp((RUN.time - 0x01B21DD213814000) // 10_000_000, UTC)
    assert status.answered_at is not None
    assert status.started_at is not None
    assert status.started_at < status.answered_at < status.ended_at


# Judging.

OK = b'{"result":0,"errmsg":"OK"}'
REFUSED = b'{"result":3003,"errmsg":"not JSON"}'


def answer(
    body: bytes = OK, status: int = 200, seconds: float = 0.01, content_type: str = "application/json"
) -> ReceivedResponse:
    """An answer that is fine, but for what is given."""
    return ReceivedResponse(seconds=seconds, status=status, content_type=content_type, body=body)


def level(expected: Expectation, given: ReceivedResponse) -> ConformanceLevel:
    """How bad `given` is."""
    found = find_problems(expected, given, TIMEOUT_S)
    return max((one.level for one in found), key=list(ConformanceLevel).index, default=ConformanceLevel.OK)


@pytest.mark.parametrize(
    ("given", "taken", "refused"),
    [
        (answer(), "ok", "failed"),
        (answer(b'{"errmsg": "", "result": 0.0, "more": 1}', 204), "ok", "failed"),
        (answer(REFUSED), "failed", "ok"),
        (answer(REFUSED, 400), "failed", "ok"),
        (answer(b'{"result":-1,"errmsg":"no"}', 422), "failed", "ok"),
        (answer(OK, 400), "failed", "failed"),
        (answer(REFUSED, 500), "failed", "failed"),
        (answer(REFUSED, 302), "failed", "failed"),
        (answer(b"OK"), "failed", "failed"),
        (answer(b""), "failed", "failed"),
        (answer(b"[0]"), "failed", "failed"),
        (answer(b"\xff"), "failed", "failed"),
        (answer(b"[" * 100_000), "failed", "failed"),
        (answer(b"\xef\xbb\xbf" + OK), "failed", "failed"),
        (answer(b"{}"), "failed", "failed"),
        (answer(b'{"result":"0","errmsg":"OK"}'), "failed", "failed"),
        (answer(b'{"result":false,"errmsg":"OK"}'), "failed", "failed"),
        (answer(b'{"result":true,"errmsg":"no"}', 400), "failed", "failed"),
        (answer(b'{"result":0}'), "failed", "failed"),
        (answer(b'{"result":1}', 400), "failed", "failed"),
        (answer(b'{"result":0,"errmsg":null}'), "failed", "failed"),
        (answer(b'{"detail":"Not Found"}', 404), "failed", "failed"),
        (answer(seconds=1.5), "warning", "failed"),
        (answer(REFUSED, 400, seconds=1.5), "failed", "warning"),
        (answer(content_type="application/json; charset=utf-8"), "ok", "failed"),
        (answer(content_type="Application/JSON"), "ok", "failed"),
        (answer(content_type="text/html"), "warning", "failed"),
        (answer(REFUSED, 400, content_type=""), "failed", "warning"),
        (ReceivedResponse(seconds=5.0, no_response=NoResponse.TIMED_OUT), "failed", "failed"),
        (ReceivedResponse(seconds=0.1, no_response=NoResponse.HUNG_UP), "failed", "failed"),
        (ReceivedResponse(seconds=0.1, no_response=NoResponse.UNREACHED), "failed", "failed"),
        (ReceivedResponse(seconds=0.1, no_response=NoResponse.NOT_HTTP), "failed", "failed"),
    ],
    ids=lambda value: str(value)[:120],
)
def test_an_answer_is_judged_by_what_it_answers(given: ReceivedResponse, taken: str, refused: str) -> None:
    """The same answer to a callback and to a mistake."""
    assert (level(Expectation.TAKEN, given), level(Expectation.REFUSED, given)) == (taken, refused)
    assert level(Expectation.NOTHING, given) == "ok"


@pytest.mark.parametrize(
    ("given", "not_taken", "bounded"),
    [
        (answer(REFUSED, 405), "ok", "ok"),
        (answer(b"<html>405</html>", 405, content_type="text/html"), "warning", "warning"),
        (answer(b"hello", 200), "failed", "failed"),
        (answer(OK), "failed", "warning"),
        (answer(OK, 405), "failed", "failed"),
        (answer(b"oops", 500), "failed", "failed"),
        (ReceivedResponse(seconds=0.1, no_response=NoResponse.HUNG_UP), "failed", "warning"),
        (ReceivedResponse(seconds=5.0, no_response=NoResponse.TIMED_OUT), "failed", "failed"),
    ],
    ids=str,
)
def test_a_server_in_front_may_refuse_in_its_own_words(given: ReceivedResponse, not_taken: str, bounded: str) -> None:
    """GET and a huge body may be refused by what stands before the receiver; that is a warning."""
    assert (level(Expectation.NOT_TAKEN, given), level(Expectation.BOUNDED, given)) == (not_taken, bounded)


def test_a_quoted_answer_is_one_bounded_line() -> None:
    """However long and wild an answer is, the report stays a line a rule."""
    seen = excerpt(answer(b'{"detail":"\x1b[31m\r\n\x00' + b"x" * 5000)).en
    assert seen.isprintable()
    assert len(seen) < 150


def rule_of(*expected: Expectation) -> tuple[Rule, list[RuleStep]]:
    """A rule with so many steps."""
    made = [RuleStep(CallbackRequest(b""), one, Text(f"step {n}", f"第 {n} 步")) for n, one in enumerate(expected, 1)]
    return BY_ID["repeat"]._replace(steps=lambda _: made), made


def test_a_rule_is_as_bad_as_its_worst_answer() -> None:
    """A failure is reported before a warning, the first with its step, the others counted."""
    rule, made = rule_of(*[Expectation.TAKEN] * 4)
    answers = [answer(content_type=""), answer(), answer(REFUSED, 400), answer(b"", 502)]
    verdict = evaluate(rule, list(zip(made, answers, strict=True)), TIMEOUT_S, 1.0)
    assert verdict.level is ConformanceLevel.FAILED
    assert verdict.seen.en.startswith("step 3: 400, result 3003 “not JSON”")
    assert verdict.seen.en.endswith("(and 1 more)")
    assert verdict.seen.zh.startswith("第 3 步：400")
    assert verdict.fix == rule.fix


def test_the_fix_is_that_of_what_was_found() -> None:
    """What any answer can get wrong has its own advice; else the rule's."""
    rule, (step,) = rule_of(Expectation.TAKEN)
    for given, fix in (
        (answer(b"OK"), fixes.ANSWER),
        (answer(status=301), fixes.EXACT_URL),
        (answer(content_type=""), fixes.CONTENT_TYPE),
        (answer(seconds=2), fixes.SLOW),
        (answer(REFUSED), rule.fix),
        (answer(), None),
    ):
        assert evaluate(rule, [(step, given)], TIMEOUT_S, 1.0).fix == fix


def test_a_connection_that_does_not_stay_is_a_warning() -> None:
    """A receiver may close after each answer, but had better not."""
    rule, made = rule_of(Expectation.TAKEN, Expectation.TAKEN)
    again = ReceivedResponse(seconds=0.01, status=200, content_type="application/json", body=OK, reconnected=True)
    verdict = evaluate(rule, list(zip(made, [answer(), again], strict=True)), TIMEOUT_S, 1.0)
    assert (verdict.level, verdict.fix) == (ConformanceLevel.WARNING, fixes.KEEP_ALIVE)


# Reports.


def report(*found: tuple[ConformanceLevel, str], lang: Language = Language.EN) -> Report:
    """A report on rules of which this was seen."""
    verdicts = [
        RuleResult(
            rule=RULES[number],
            level=one,
            seen=Text(seen, f"看到 {seen}"),
            fix=None if one is ConformanceLevel.OK else fixes.ANSWER,
            sent=1,
            seconds=1234.5678,
            slowest_s=0.25,
        )
        for number, (one, seen) in enumerate(found)
    ]
    return build_report(
        verdicts,
        receiver="http://127.0.0.1:8000",
        run=str(RUN),
        started_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        seconds=12.3456,
        lang=lang,
    )


MIXED = (
    (ConformanceLevel.OK, "200"),
    (ConformanceLevel.WARNING, "slow"),
    (ConformanceLevel.FAILED, '<&>"\x00\x1b\ud800\uffff “中文”'),
    (ConformanceLevel.FAILED, "500"),
)


def test_a_report_counts() -> None:
    """Failures and warnings are counted; a warning alone conforms."""
    mixed = report(*MIXED)
    assert (mixed.conforms, mixed.rules, mixed.failures, mixed.warnings) == (False, 4, 2, 1)
    assert summary(mixed) == (
        "does not conform: 4 rules, 2 failed, 1 warnings",
        "不符合约定：4 条规则，2 条失败，1 条警告",
    )
    assert report(*MIXED[:2]).conforms


@pytest.mark.parametrize("width", [60, 100, 240])
def test_nothing_of_the_table_is_cut(width: int) -> None:
    """Chinese, which has no blank to break at, is wrapped and not shortened."""
    seen = "应" * 80
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(table_of(report((ConformanceLevel.FAILED, seen), lang=Language.ZH), Language.ZH))
    shown = console.export_text()
    assert shown.count("应") == 80 + fixes.ANSWER.zh.count("应")
    assert "…" not in shown


def test_junit_xml_is_well_formed_and_true() -> None:
    """Whatever a receiver answered, the file is XML 1.0, and its counts are those of the cases in it."""
    written = encode_junit(report(*MIXED))
    root = ET.fromstring(written)
    (suite,) = root
    cases = suite.findall("testcase")
    assert (root.tag, suite.tag, len(cases)) == ("testsuites", "testsuite", 4)
    for element in (root, suite):
        assert (element.get("tests"), element.get("failures"), element.get("errors")) == ("4", "2", "0")
    assert [len(case.findall("failure")) for case in cases] == [0, 0, 1, 1]
    assert (cases[1].findtext("system-out") or "").startswith("warning: status: not answered\nslow\n")
    assert cases[2][0].get("message") == '<&>"��\ufffd\ufffd “中文”'
    assert "中文".encode() in written


def test_junit_xml_holds_what_the_common_schemas_allow() -> None:
    """No element and no attribute that the schema of Jenkins' xUnit plugin does not list; times as it writes them."""
    root = ET.fromstring(encode_junit(report(*MIXED)))
    allowed = {
        "testsuites": {"name", "time", "tests", "failures", "errors"},
        "testsuite": {"name", "tests", "failures", "errors", "time", "skipped", "timestamp"},
        "properties": set(),
        "property": {"name", "value"},
        "testcase": {"name", "time", "classname"},
        "failure": {"type", "message"},
        "system-out": set(),
    }
    for element in root.iter():
        assert set(element.keys()) <= allowed[element.tag]
        if (time := element.get("time")) is not None:
            assert re.fullmatch(r"[0-9]+\.[0-9]{3}", time)
    assert root[0].get("timestamp") == "2026-01-02T03:04:05"


def test_a_report_is_json_with_a_line_for_each_rule() -> None:
    """What programs read."""
    document = json.loads(msgspec.json.encode(report(*MIXED[:2])))
    assert document["items"][1] == {
        "rule": "status-unanswered",
        "level": "warning",
        "what": "status: not answered",
        "seen": "slow",
        "fix": fixes.ANSWER.en,
        "requests": 1,
        "seconds": 1234.568,
        "slowest_seconds": 0.25,
    }


@pytest.mark.parametrize(
    ("environ", "lang"),
    [
        ({}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "zh_TW"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "de_DE"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, "zh"),
    ],
    ids=str,
)
def test_the_language_is_the_locale_s(environ: dict[str, str], lang: str) -> None:
    """LC_ALL, then LC_MESSAGES, then LANG, as everywhere; an empty one counts as none."""
    assert locale_language(environ) == lang
    assert NO_LABEL.translate(lang) == ""
