import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ending import ending
from forking import Forked

TESTS = Path(__file__).parents[1]

STARTS = """
import os, signal, subprocess, time
from pathlib import Path
from ending import ending
from forking import RECEIVER, launch

for executed in (False, True):
    with open(os.devnull, "wb") as nothing:
        given = ["--port=0", f"--log={executed}.log"]
        started = launch(
            given, cwd=Path.cwd(), env=os.environ, stdout=nothing, stderr=nothing, executed=executed, program=RECEIVER
        )
    print(started.pid, flush=True)
asleep = subprocess.Popen(ending("sleep", "1000"), stdout=subprocess.DEVNULL)
while Path(f"/proc/{asleep.pid}/comm").read_text() != "sleep\\n":  # before, it has not asked for its end yet
    time.sleep(0.01)
print(asleep.pid, flush=True)
signal.pause()
"""


@pytest.mark.parametrize("how", [pytest.param(signal.SIGTERM, marks=pytest.mark.soak), signal.SIGKILL])
def test_what_the_tests_started_does_not_outlive_them(tmp_path: Path, how: signal.Signals) -> None:
    """However their process ends, and whether it had the program forked, executed by what was forked, or executed at once."""
    command, variables = [sys.executable, "-c", STARTS], os.environ | {"PYTHONPATH": str(TESTS)}
    with subprocess.Popen(ending(*command), cwd=tmp_path, env=variables, stdout=subprocess.PIPE) as tests:
        assert tests.stdout is not None
        started = [os.pidfd_open(int(tests.stdout.readline())) for _ in range(3)]
        try:
            assert select.select(started, [], [], 0)[0] == []
            tests.send_signal(how)
            for one in started:
                assert select.select([one], [], [], 20)[0] == [one]  # a busy machine takes its time
        finally:
            for one in started:
                os.close(one)
            tests.kill()


def test_a_program_may_end_before_its_number_is_read() -> None:
    """Both messages of the process that forks are there at once then, and are still two."""
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(b"12\n0\n")
        forked = Forked(ours)
        assert (forked.pid, forked.wait(0)) == (12, 0)
