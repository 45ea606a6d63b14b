"""At the end of a run, what it did: how many tests of each layer, and how long its processes were at them."""

from collections import Counter, defaultdict

import pytest
from _pytest.terminal import TerminalReporter


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Layer by layer, the slowest first; fixtures count for the test that asked for them first."""
    tests, seconds = Counter[str](), defaultdict[str, float](float)
    for report in (report for reports in terminalreporter.stats.values() for report in reports):
        if isinstance(report, pytest.TestReport):
            layer = report.nodeid.removeprefix("tests/").split("/")[0]
            tests[layer] += report.when == "call"
            seconds[layer] += report.duration
    if not tests:
        return
    terminalreporter.section("layers")
    for layer in sorted(seconds, key=seconds.__getitem__, reverse=True):
        terminalreporter.write_line(_line(layer, tests[layer], seconds[layer]))
    terminalreporter.write_line(_line("together", tests.total(), sum(seconds.values())))


def _line(layer: str, tests: int, seconds: float) -> str:
    return f"{layer:12} {tests:6,} tests {seconds:8,.0f} s"
