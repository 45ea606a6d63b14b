"""How late the event loop is, and, if enabled, which callback blocks it.

`measure_loop_lag` is for the metric. `Watchdog` is for tests: with ANSWERBACK_WATCHDOG set it logs `event_loop_blocked` with the stack of
any callback that blocks the loop. It counts what the callback took itself, CPU or sleep, and not how long it waited for a CPU,
so that a busy machine raises no alarm.
"""

import asyncio
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import structlog

from answerback.domain.histogram import Histogram

VARIABLE = "ANSWERBACK_WATCHDOG"

_EVERY_S = 0.1
_SAMPLE_S = 0.01
_MAX_CPU_S = 0.05
_MAX_SLEEP_S = 0.25  # other threads may hold Python's lock for a while

log = structlog.get_logger("answerback.service")


async def measure_loop_lag(lag_s: Histogram) -> None:
    """Observe, ten times a second, how much later than asked for the loop comes to something, for ever."""
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + _EVERY_S
        await asyncio.sleep(_EVERY_S)
        lag_s.observe(max(0.0, loop.time() - due_s))


class _Sample(NamedTuple):
    """What the loop's thread has used so far, and the outermost frame of the running callback, if any."""

    at_s: float
    cpu_s: float
    delay_s: float
    callback: FrameType | None


class Watchdog(threading.Thread):
    """Samples the stack of the thread that started it; make it inside the loop."""

    def __init__(self) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._loop = asyncio.get_running_loop()
        self._watched = threading.current_thread()
        self._clock = time.pthread_getcpuclockid(threading.get_ident())
        self._delays = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")

    @classmethod
    def start_if_enabled(cls) -> None:
        """Start to watch, if the environment says so."""
        if os.environ.get(VARIABLE):
            cls().start()

    def run(self) -> None:
        """Watch, for ever."""
        while True:
            turned = threading.Event()
            try:
                self._loop.call_soon_threadsafe(turned.set)
            except RuntimeError:  # the loop is closed
                return
            self._watch(turned)
            time.sleep(_SAMPLE_S)

    def _watch(self, turned: threading.Event) -> None:
        """Until the loop has turned: log a callback that takes too long."""
        first = self._sample()
        logged = False
        while not turned.wait(_SAMPLE_S):
            now = self._sample()
            if now.callback is not first.callback:
                first, logged = now, False
                continue
            cpu_s = now.cpu_s - first.cpu_s
            slept_s = now.at_s - first.at_s - cpu_s - (now.delay_s - first.delay_s)
            if not logged and now.callback is not None and (cpu_s > _MAX_CPU_S or slept_s > _MAX_SLEEP_S):
                logged = True
                stack = "".join(traceback.format_stack(sys._current_frames().get(self._watched.ident or 0)))  # noqa: SLF001
                log.error("event_loop_blocked", cpu_s=round(cpu_s, 3), slept_s=round(slept_s, 3), stack=stack)

    def _sample(self) -> _Sample:
        callback = None
        frame = sys._current_frames().get(self._watched.ident or 0)  # noqa: SLF001  # there is no other way to it
        while frame is not None and not _runs_the_loop(frame):
            callback, frame = frame, frame.f_back
        delay_s = int(self._delays.read_text().split()[1]) / 1e9
        return _Sample(time.monotonic(), time.clock_gettime(self._clock), delay_s, callback if frame else None)


def _runs_the_loop(frame: FrameType) -> bool:
    return frame.f_code.co_name == "run" and frame.f_code.co_filename.endswith("asyncio/runners.py")
