"""A process for long work, beside the gateway that started it: the job is a line of JSON on its input, a failure the last line of its errors.

It gives way to whoever answers callbacks, and ends with its gateway: then its input ends.
"""

import asyncio
import os
import select
import signal
import sys
from typing import TypeVar

import msgspec

T = TypeVar("T")

CHUNK_BYTES = 256 * 1024
"""What is read of its output at a time."""

_MAX_ERROR_BYTES = 4096
_NICENESS = 10


# The side of the gateway.


async def start_worker(module: str, job: msgspec.Struct) -> asyncio.subprocess.Process:
    """Start `python -m module` with a job; all its standard files are pipes."""
    process = await spawn(module)
    _, jobs, _ = pipes(process)
    try:
        jobs.write(msgspec.json.encode(job) + b"\n")
        await jobs.drain()
    except ConnectionError:  # it has ended: its errors say why
        pass
    except BaseException:
        process.kill()
        raise
    return process


async def spawn(module: str) -> asyncio.subprocess.Process:
    """Start `python -m module`, which does not know its job yet."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=CHUNK_BYTES,
        start_new_session=True,
    )


def pipes(
    process: asyncio.subprocess.Process,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, asyncio.StreamReader]:
    """Its output, its input, and its errors."""
    assert process.stdout is not None  # noqa: S101  # all three are pipes
    assert process.stdin is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    return process.stdout, process.stdin, process.stderr


async def read_failure(process: asyncio.subprocess.Process) -> str | None:
    """Wait for its end; why it failed, None if it did not."""
    _, _, errors = pipes(process)
    last = (await errors.read())[-_MAX_ERROR_BYTES:].decode("utf-8", "replace").strip().rpartition("\n")[2]
    status = await process.wait()
    return None if status == 0 else last or f"status {status}"


# The side of the process.


def receive_job(kind: type[T]) -> T:
    """Give way to others, and read the job."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # whoever stops the gateway lets it end us
    os.nice(_NICENESS)
    line = b""
    while not line.endswith(b"\n") and (piece := os.read(0, 65_536)):
        line += piece
    return msgspec.json.decode(line, type=kind)


def is_wanted() -> bool:
    """Whether the gateway is still there: nothing more ever comes in, so what can be read is the end."""
    return not select.select([0], [], [], 0)[0]
