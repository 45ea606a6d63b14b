"""Several processes of Answerback that serve one ledger, a receiver of webhooks, and the check of all of it."""

import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from cluster.checking import Rows, check_ledger, check_taken, kept, missing, overtaken, undelivered
from cluster.load import Load
from gateway import Gateway
from receivers.process import Receiver, await_true
from receivers.webhook_receiver import Business, relaying

ROUNDS = int(os.environ.get("ROUNDS", "1"))
ALL = "intake,recorder,relay,api,console"
SETTLE_TIMEOUT_S = 60.0


class Endpoints(NamedTuple):
    """The receivers: one that accepts everything, one that accepts every second attempt."""

    obeying: Receiver
    flapping: Receiver


class Deployment:
    """Processes of Answerback by name, each with roles of its own; as a context manager they are started, and killed.

    `roles` names them: `{"all": ALL}`, or `{"intake-0": "intake", "recorder-0": "recorder", "relay-0": "relay,api"}`. The
    first one with the role `api` is asked to tell the receivers. `rows` asks the ledger that they share. `in_order`: the
    callbacks of a call come into the ledger as they are answered, which they do not where several streams are before it.
    """

    def __init__(
        self,
        home: Path,
        roles: Mapping[str, str],
        rows: Rows,
        settings: Mapping[str, str] | None = None,
        *,
        in_order: bool = True,
    ) -> None:
        self.rows = rows
        self.in_order = in_order
        common = relaying(str([0.1] * 100), breaker_cooldowns_s="[0.1]") | dict(settings or {})
        self.roles = {name: each.split(",") for name, each in roles.items()}
        self.gateways = {
            name: Gateway(home / name, settings=common | {"ANSWERBACK_SERVER__ROLES": each})
            for name, each in roles.items()
        }
        self.endpoints = Endpoints(Receiver(home, "obeying"), Receiver(home, "flapping", behaviour="flapping"))
        self._taken = [0, 0]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack as starting:
            for receiver in self.endpoints:
                starting.enter_context(receiver)
            first, *others = self.gateways.values()
            starting.enter_context(first.start())  # it makes the schema
            with ThreadPoolExecutor() as pool:
                for gateway in pool.map(Gateway.start, others):
                    starting.enter_context(gateway)
            business = Business(self.having("api")[0])
            for receiver in self.endpoints:
                business.add(receiver.name, receiver.url, concurrency=16)
            self._stack = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def having(self, role: str) -> list[Gateway]:
        """The processes with that role."""
        return [gateway for name, gateway in self.gateways.items() if role in self.roles[name]]

    def load(self) -> Load:
        """The cloud, which knows every intake."""
        self._taken = [len(receiver.taken) for receiver in self.endpoints]
        return Load(self.having("intake"))

    def await_settled(self, load: Load) -> None:
        """Wait until everything answered is in the ledger and nothing more can go out."""
        await_true(lambda: not missing(self.rows, load), lambda: self._lacks(load), SETTLE_TIMEOUT_S, 0.1)
        await_true(
            lambda: not undelivered(self.rows),
            lambda: f"{undelivered(self.rows)} deliveries stay",
            SETTLE_TIMEOUT_S,
            0.1,
        )

    def _lacks(self, load: Load) -> str:
        lost = missing(self.rows, load)
        return f"{len(lost)} of {len(load.answered)} stay out of the ledger, as {next(iter(lost), None)}: {load}"

    def check(self, load: Load) -> str:
        """Check everything that `load` sent; return what happened in words."""
        began_s = time.monotonic()
        self.await_settled(load)
        settled_s = time.monotonic() - began_s
        ranks = check_ledger(self.rows, load, in_order=self.in_order)
        repeats = [
            check_taken(receiver.taken[before:], load, ranks)
            for receiver, before in zip(self.endpoints, self._taken, strict=True)
        ]
        assert not self._complaints(), self._complaints()
        reported = f"{load}; settled in {settled_s:.1f} s, told again {repeats},"
        return f"{reported} overtaken {overtaken(kept(self.rows, load))}"

    def _complaints(self) -> list[str]:
        """Faults of the program that it logged: there are none that it expects."""
        lines = [line for gateway in self.gateways.values() for line in gateway.stderr.splitlines()]
        return [line for line in lines if "Traceback" in line or "an internal error" in line]


def say(line: str) -> None:
    """Show how it went; `make cluster` shows each round."""
    print(line)  # noqa: T201
