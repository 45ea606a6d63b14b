"""What a demo's gateway has around it: a temporary directory, settings, endpoints, and the process that records its past."""

import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from answerback.demo.companion import remove
from answerback.demo.receivers import receiver
from answerback.emulator.history import CHANNELS

if TYPE_CHECKING:
    from answerback.config import Settings

_HOST = "127.0.0.1"
_COMPANION_STOP_S = 1.0
_CONFIG = """# The settings of a demo of Answerback.
[server]
data_dir = "{data_dir}"
port = {port}

[ledger]
allow_unsafe_filesystem = true  # a demo may lose everything

[log]
level = "error"

[relay]
retry_schedule_s = [2, 5, 10, 30, 60, 300]
breaker_threshold = 3
breaker_cooldowns_s = [10, 20]
{channels}
[endpoints.crm]
url = "{obeying}"
channel = "default"

[endpoints.duty-roster]
url = "{obeying}"
channel = "alerts"
format = "tencent"

[endpoints.billing]
url = "{failing}"
channel = "default"
outcomes = ["answered"]

[alerts]
evaluation_interval_s = 2

[alerts.rules.billing-is-down]
metric = "endpoint"
endpoint = "billing"
pending_s = 30

[alerts.rules.few-answered]
metric = "answer_rate"
below = 0.3

[alerts.rules.dead-numbers]
metric = "failures"
codes = [8, 15, 30]
above = 50
"""


class DemoHome:
    """As a context manager it is made, and removed at the end with all that runs in it."""

    def __init__(self, *, port: int, days: int, seed: int) -> None:
        self._port = port
        self._days = days
        self._seed = seed

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.directory = Path(tempfile.mkdtemp(prefix="answerback-demo-"))
            stack.callback(remove, self.directory)
            self._companion = subprocess.Popen(  # noqa: S603  # our own module
                [sys.executable, "-m", "answerback.demo.companion", self._data_dir, str(self._days), str(self._seed)],
                cwd=self.directory,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,  # Ctrl-C is for this process
            )
            stack.callback(self._end_companion)
            self._obeying = stack.enter_context(receiver(200, b'{"result":0,"errmsg":"OK"}'))
            self._failing = stack.enter_context(receiver(503, b'{"error":"database is locked"}'))
            self._running = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def _end_companion(self) -> None:
        assert self._companion.stdin is not None  # noqa: S101  # it is a pipe
        self._companion.stdin.close()
        with suppress(subprocess.TimeoutExpired):  # it may be recording still: the directory is removed all the same
            self._companion.wait(_COMPANION_STOP_S)
        self._companion.kill()
        self._companion.wait()

    @property
    def config(self) -> Path:
        """The gateway's config file."""
        return self.directory / "answerback.toml"

    @property
    def _data_dir(self) -> Path:
        return self.directory / "data"

    def settings(self) -> "Settings":
        """The gateway's settings, as they are in the config file. Raises ConfigError."""
        from answerback.config import load_settings  # which takes a while: the past is begun before

        channels = "".join(f'\n[channels.{name}]\ntoken = "{secrets.token_urlsafe(18)}"\n' for name in CHANNELS)
        self.config.write_text(
            _CONFIG.format(
                data_dir=self._data_dir,
                port=_free_port(self._port),
                channels=channels,
                obeying=self._obeying,
                failing=self._failing,
            )
        )
        return load_settings(self.config)

    def recorded(self) -> Iterator[tuple[int, int]]:
        """How many of how many callbacks of the past are recorded, as it goes on."""
        assert self._companion.stdout is not None  # noqa: S101  # it is a pipe
        for line in self._companion.stdout:
            done, _, total = line.partition(" ")
            yield int(done), int(total)


def _free_port(port: int) -> int:
    """`port`, or 0 where it is taken: any other."""
    try:
        with socket.create_server((_HOST, port)):
            return port
    except OSError:
        return 0
