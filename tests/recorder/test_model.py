"""A model of inbox, recorder and ledger beside the real ones: whatever happens in whatever order, each callback is recorded once.

The model knows no rows, positions or transactions: a list of what was answered, in order.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import pytest
from builders import AnyCallback, failure, key_press, status, wire
from contract import delivery_helpers
from contract.backends import BACKENDS, few_examples, in_memory, lent_store
from contract.test_statistics import EVER, everything, recount, said
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from recorder.harness import InlineClient, append, opened, recorded, recording

CALLIDS = ("a", "b")
CALLBACKS: list[AnyCallback] = []
for _callid in CALLIDS:
    CALLBACKS += [status(callid=_callid), failure(callid=_callid)]
    CALLBACKS += [key_press(callid=_callid, key=key) for key in "1234"]


class _Gateway:
    """One start: an inbox and a recorder."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    async def start(self, directory: Any, client: InlineClient) -> None:
        """Open the inbox, and record what is in it."""
        self.inbox = await self._stack.enter_async_context(opened(directory, keep_s=0.0))
        self.recorder, _ = await self._stack.enter_async_context(recording(self.inbox, client))

    async def stop(self) -> None:
        """Record what is left."""
        await self._stack.aclose()

    async def die(self) -> None:
        """End without recording anything more."""
        for task in self.recorder._tasks:  # noqa: SLF001  # nobody else would
            task.cancel()
        await self._stack.aclose()


class RecorderModel(RuleBasedStateMachine):
    """Whatever happens."""

    backend = ""

    def __init__(self) -> None:
        super().__init__()
        self.answered: list[AnyCallback] = []
        self._opened = ExitStack()
        self.runner = self._opened.enter_context(asyncio.Runner())
        self.ledger = self._opened.enter_context(lent_store(self.backend)).ledger
        self.directory = self._opened.enter_context(in_memory())
        delivery_helpers.endpoint(self.ledger, "crm")
        self.client = InlineClient(self.ledger)
        self.start()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Let the gateway go on until `work` is done."""
        self.runner.run(work)

    def start(self) -> None:
        """Start a gateway."""
        self.gateway = _Gateway()
        self.run(self.gateway.start(self.directory, self.client))

    @rule(callbacks=st.lists(st.sampled_from(CALLBACKS), min_size=1, max_size=6), rows=st.integers(1, 3))
    def append(self, callbacks: list[AnyCallback], rows: int) -> None:
        """Callbacks come in and are answered."""
        self.run(append(self.gateway.inbox, callbacks, rows))
        self.answered += callbacks

    @rule(fault=st.sampled_from(["refused", "killed", "lost", "waiting"]))
    def break_next(self, fault: str) -> None:
        """Something will become of the next command."""
        self.client.fault = fault

    @rule()
    def die(self) -> None:
        """The gateway is killed, and starts again."""
        self.run(self.gateway.die())
        self.start()

    @rule()
    def restart(self) -> None:
        """The gateway is stopped, and starts again."""
        self.run(self.gateway.stop())
        self.start()

    @rule()
    def record(self) -> None:
        """All that was answered is recorded, and the ledger says just that."""
        self.run(recorded(self.gateway.recorder))
        times = Counter(map(wire, self.answered))
        first = {wire(callback): callback for callback in self.answered}
        for callid in {callback.callid for callback in self.answered}:
            entries = self.ledger.callbacks(callid).items
            assert {entry.raw: entry.duplicates + 1 for entry in entries} == {
                raw: times[raw] for raw, callback in first.items() if callback.callid == callid
            }
            pressed = [it.key for it in self.answered if it.callid == callid and hasattr(it, "key")]
            assert self.ledger.call(callid).keys == tuple(dict.fromkeys(pressed))
        assert len(delivery_helpers.undelivered(self.ledger)) == len(first)
        assert said(self.ledger.statistics(EVER)) == recount(everything(self.ledger))

    def teardown(self) -> None:
        """At the end nothing is missing."""
        self.record()
        self.run(self.gateway.stop())
        self._opened.close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_callback_is_recorded_once(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For any order of appending, recording, failing, dying, deleting."""
    monkeypatch.setattr("answerback.recorder.recorder._FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr("answerback.inbox.tidier._DELETED_ROWS", 2)  # with each append
    monkeypatch.setattr("answerback.recorder.inbox_recorder.MAX_CALLBACKS", 4)
    monkeypatch.setattr("answerback.ledger.write.log_rows.SLICE_CALLBACKS", 2)
    machine = type("Machine", (RecorderModel,), {"backend": backend})
    run_state_machine_as_test(machine, settings=settings(few_examples(), stateful_step_count=15))
