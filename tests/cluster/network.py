"""Machines as network namespaces, each at the end of a cable that can be pulled out: packets vanish, nobody is told."""

import os
import random
import shutil
import subprocess
from contextlib import ExitStack
from types import TracebackType
from typing import Self

POSSIBLE = os.geteuid() == 0 and shutil.which("ip") is not None
"""Only root may make network namespaces, by the command `ip`."""


class Network:
    """`size` hosts that reach one another and this machine; as a context manager it is made, and removed at the end.

    `prefixes[n]` in front of a command runs it on host `n`, whose address is `hosts[n]`.
    """

    def __init__(self, size: int) -> None:
        chance = random.SystemRandom()
        self._name = f"ab{chance.randrange(16**6):06x}"
        self._subnet = f"10.{chance.randrange(128, 255)}.{chance.randrange(255)}"
        self.hosts = [f"{self._subnet}.{n + 2}" for n in range(size)]
        self.prefixes = [["ip", "netns", "exec", f"{self._name}-{n}"] for n in range(size)]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        bridge = self._name
        with self._stack as making:
            _made(making, f"link add {bridge} type bridge", f"link del {bridge}")
            _ip(f"addr add {self._subnet}.1/24 dev {bridge}")
            _ip(f"link set {bridge} up")
            for n, host in enumerate(self.hosts):
                namespace = f"{bridge}-{n}"
                _made(making, f"netns add {namespace}", f"netns del {namespace}")
                cable = f"link add {self._cable(n)} type veth peer name eth0 netns {namespace}"
                _made(making, cable, f"link del {self._cable(n)}")  # else it stays as long as a socket is closing
                _ip(f"link set {self._cable(n)} master {bridge} up")
                _ip(f"-n {namespace} addr add {host}/24 dev eth0")
                _ip(f"-n {namespace} link set eth0 up")
                _ip(f"-n {namespace} link set lo up")
            self._stack = making.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def cut(self, n: int) -> None:
        """Pull the cable of host `n` out: nobody hears from it any more, and it from nobody."""
        _ip(f"link set {self._cable(n)} down")

    def heal(self, n: int) -> None:
        """Put the cable in again."""
        _ip(f"link set {self._cable(n)} up")

    def _cable(self, n: int) -> str:
        return f"{self._name}v{n}"


def _made(stack: ExitStack, make: str, remove: str) -> None:
    _ip(make)
    stack.callback(_ip, remove)


def _ip(arguments: str) -> None:
    done = subprocess.run(["ip", *arguments.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {arguments}: {done.stderr}"
