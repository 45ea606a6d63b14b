"""SIGKILL at any moment: what was answered is there, once and in order, and the next start goes on."""

import random
import subprocess
import sys
from pathlib import Path

from ending import ending
from inbox.harness import config, in_file

from answerback.inbox import Inbox

APPENDS = """
import asyncio, os, sys
from pathlib import Path
from inbox.harness import config, items, started

async def append(inbox, queue):
    number = 0
    while True:
        number += 1
        await inbox.append(items(f"{queue} {number} ".encode() * (300 if number % 9 == 0 else 10)))
        os.write(1, f"{queue} {number}\\n".encode())
        if number % 50 == 0:
            await asyncio.sleep(0.001)

async def main():
    async with started(config(Path(sys.argv[1]), max_bytes=16 * 1024 * 1024)) as inbox:
        await asyncio.gather(*(append(inbox, queue) for queue in range(3)))

asyncio.run(main())
"""
"""Appends without end, three at a time, and says what was answered."""


def test_sigkill(tmp_path: Path) -> None:
    """Again and again on the same file; each life is a generation of its own."""
    answered: list[list[list[str]]] = []
    for _ in range(4):
        with subprocess.Popen(
            ending(sys.executable, "-c", APPENDS, tmp_path),
            env={"PYTHONPATH": str(Path(__file__).parents[1])},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(random.randrange(20, 400))]
            process.kill()
            lines += process.stdout.readlines()
        answered.append([line.split() for line in lines if line.endswith("\n")])
    Inbox.open(config(tmp_path)).close()
    for generation, lines_of_start in enumerate(answered, 1):
        rows = in_file(tmp_path)[generation]
        found = [row[0].decode().split()[:2] if row else None for row in rows]
        for queue in "012":
            numbers = [int(each[1]) for each in found if each is not None and each[0] == queue]
            assert numbers == [*range(1, len(numbers) + 1)], "each once, in order, none torn"
            assert len(numbers) >= max((int(number) for at, number in lines_of_start if at == queue), default=0)
        assert None not in found
