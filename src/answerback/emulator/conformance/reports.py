"""What a check found, as rows of a table, as values for JSON, and as JUnit XML.

JUnit XML has no standard; this keeps to what the schema of Jenkins' xUnit plugin (junit-10.xsd) allows.
"""

from collections.abc import Sequence
from datetime import datetime
from xml.etree import ElementTree as ET

import msgspec

from answerback.emulator.conformance.checking import RuleResult
from answerback.emulator.conformance.evaluation import ConformanceLevel
from answerback.i18n import Language, Text

HEADINGS = (
    Text("result", "结果"),
    Text("rule", "规则"),
    Text("what is sent", "发送内容"),
    Text("what was seen → what to fix", "所见 → 如何修正"),
)
LEVELS = {
    ConformanceLevel.OK: Text("ok", "通过"),
    ConformanceLevel.WARNING: Text("warning", "警告"),
    ConformanceLevel.FAILED: Text("FAILED", "失败"),
}


class ReportItem(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of a report; `seconds` is what all its requests took, `slowest_seconds` what one answer did."""

    rule: str
    level: ConformanceLevel
    what: str
    seen: str
    fix: str | None
    requests: int
    seconds: float
    slowest_seconds: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole check. `receiver` is the URL without its path, which may hold a secret token; `run` makes the callids."""

    conforms: bool
    receiver: str
    run: str
    started_at: datetime
    seconds: float
    rules: int
    failures: int
    warnings: int
    items: list[ReportItem]


def build_report(
    results: Sequence[RuleResult], *, receiver: str, run: str, started_at: datetime, seconds: float, lang: Language
) -> Report:
    """The report on `results`, in one language."""
    levels = [verdict.level for verdict in results]
    return Report(
        conforms=ConformanceLevel.FAILED not in levels,
        receiver=receiver,
        run=run,
        started_at=started_at,
        seconds=round(seconds, 3),
        rules=len(levels),
        failures=levels.count(ConformanceLevel.FAILED),
        warnings=levels.count(ConformanceLevel.WARNING),
        items=[_item(verdict, lang) for verdict in results],
    )


def _item(verdict: RuleResult, lang: Language) -> ReportItem:
    return ReportItem(
        rule=verdict.rule.id,
        level=verdict.level,
        what=verdict.rule.words.translate(lang),
        seen=verdict.seen.translate(lang),
        fix=verdict.fix.translate(lang) if verdict.fix else None,
        requests=verdict.sent,
        seconds=round(verdict.seconds, 3),
        slowest_seconds=round(verdict.slowest_s, 3),
    )


def summary(report: Report) -> Text:
    """The last line."""
    verdict = Text("conforms", "符合约定") if report.conforms else Text("does not conform", "不符合约定")
    return Text(
        f"{verdict.en}: {report.rules} rules, {report.failures} failed, {report.warnings} warnings",
        f"{verdict.zh}：{report.rules} 条规则，{report.failures} 条失败，{report.warnings} 条警告",
    )


def encode_junit(report: Report) -> bytes:
    """The report as a JUnit XML file: a failed rule is a failure, a warning passes and is reported in `system-out`."""
    counts = {
        "name": "answerback conform",
        "tests": str(report.rules),
        "failures": str(report.failures),
        "errors": "0",
        "time": f"{report.seconds:.3f}",
    }
    root = ET.Element("testsuites", counts)
    started = report.started_at.strftime("%Y-%m-%dT%H:%M:%S")
    suite = ET.SubElement(root, "testsuite", counts | {"skipped": "0", "timestamp": started})
    properties = ET.SubElement(suite, "properties")
    for name in ("receiver", "run"):
        ET.SubElement(properties, "property", name=name, value=_xml_text(getattr(report, name)))
    for item in report.items:
        _add_case(suite, item)
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _add_case(suite: ET.Element, item: ReportItem) -> None:
    time = f"{item.seconds:.3f}"
    case = ET.SubElement(suite, "testcase", classname="answerback.conform", name=item.rule, time=time)
    text = _xml_text("\n".join(filter(None, [item.what, item.seen, item.fix])))
    if item.level is ConformanceLevel.FAILED:
        ET.SubElement(case, "failure", type="failed", message=_xml_text(item.seen)).text = text
    elif item.level is ConformanceLevel.WARNING:
        ET.SubElement(case, "system-out").text = f"warning: {text}"


def _xml_text(text: str) -> str:
    """The text without the characters that XML 1.0 has no way to write."""
    return "".join(
        letter if letter in "\t\n" or _is_char(ord(letter)) else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def _is_char(code: int) -> bool:
    """Production 2 of XML 1.0, but for the white space below U+0020."""
    return 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or 0x10000 <= code <= 0x10FFFF  # noqa: PLR2004
