"""For all suites: a PostgreSQL for who asks for one; Hypothesis without a clock, the machine may be busy; no skips in CI."""

import atexit
import gc
import os
import signal
import threading
from collections.abc import Generator

import pytest
from forking import WriterProcess
from hypothesis import HealthCheck, settings
from layers import pytest_terminal_summary
from postgresql import postgresql_server, postgresql_url
from skips import pytest_make_collect_report, pytest_runtest_makereport
from small_disk import small_disk, small_disks

from answerback.ledger.writer import spawning

__all__ = [
    "postgresql_server",
    "postgresql_url",
    "pytest_make_collect_report",
    "pytest_runtest_makereport",
    "pytest_terminal_summary",
    "small_disk",
    "small_disks",
]

pytest_plugins = ["pytester"]

settings.register_profile(
    "test",
    deadline=None,
    max_examples=40,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
settings.register_profile(
    "soak", settings.get_profile("test"), max_examples=1000, stateful_step_count=100, derandomize=False, print_blob=True
)
settings.load_profile("test")  # `--hypothesis-profile soak` comes after it


vars(spawning)["subprocess"] = WriterProcess


def pytest_xdist_auto_num_workers() -> int:
    """Four on two cores, which leaves little idle, for some of them wait; on a larger machine one for each core."""
    return max(4, os.cpu_count() or 1)


def pytest_configure(config: pytest.Config) -> None:
    """What a process of several holds need not be taken apart at its end: that takes a second of each."""
    if hasattr(config, "workerinput"):
        atexit.register(os._exit, 0)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays until the end: the garbage collector need not look through it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # the interpreter's own end takes apart what it finds
        gc.enable()


# A run in the background of a shell ignores Ctrl-C, and so would all that it starts; some tests send it to what they started.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)
