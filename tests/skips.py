"""With CI=true a test that is skipped has failed, unless its reason is one that no installation can mend."""

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

ALLOWED = (
    "only root may",
    "this file system has no immutable files",
    "a small file system cannot be mounted here",
    "no /dev/shm on this system",
    "this machine lets nobody mount",
    "this machine gives nobody a network of its own",
)
"""What a kernel or a file system does not have. A missing program is none of these: tools/bring.sh brings it."""

_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge a test's own skip, and its fixtures'."""
    return _judged((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Judge the skip of a whole module."""
    return _judged((yield))


def _judged(report: _Report) -> _Report:
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(allowed in reason for allowed in ALLOWED):
            report.outcome = "failed"
            report.longrepr = (
                f"{reason}\nWith CI=true this is a failure: install what is missing, or list the reason in {__file__}"
            )
    return report
