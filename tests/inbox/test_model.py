"""Any sequence of appends, reads, records, restarts and deaths, beside a model of what must be there."""

import asyncio
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from inbox.harness import ALL, bodies, config, items

from answerback.errors import LedgerUnavailable, UnavailableReason
from answerback.inbox import Inbox, InboxRow

MAX_BYTES = 400_000
Rows = dict[int, list[bytes]]

row_bodies = st.lists(st.integers(0, 9000), min_size=1, max_size=3)


class InboxFull(Exception):
    """It was refused, and rightly."""


class InboxMachine(RuleBasedStateMachine):
    """One gateway after the other on one directory, which is copied as it is where one dies."""

    def __init__(self) -> None:
        super().__init__()
        self._home = Path(tempfile.mkdtemp())
        self._runner = asyncio.Runner()
        self._lives = 0
        self._rows: dict[bytes, Rows] = {}
        self._recorded: dict[bytes, int] = {}
        self._highest: dict[bytes, int] = {}
        self._appended = 0

    @initialize()
    def begin(self) -> None:
        """The first gateway starts."""
        self._directory = self._home / "0"
        self._start()

    @rule(batches=st.lists(row_bodies, min_size=1, max_size=5))
    def append(self, batches: list[list[int]]) -> None:
        """Several at once: each is stored, or refused because the inbox is full and then not there."""

        async def append_all() -> list[tuple[list[bytes], asyncio.Future[None]]]:
            stored = []
            for sizes in batches:
                self._appended += 1
                content = [
                    (b"%d/%d " % (self._appended, number)).ljust(size, b".") for number, size in enumerate(sizes)
                ]
                with suppress(InboxFull):
                    stored.append((content, self._append(content)))
            for _, future in stored:
                await future
            return stored

        rows = self._rows[self._inbox.present.id]
        for content, _ in self._runner.run(append_all()):
            rows[len(rows) + 1] = content

    def _append(self, content: list[bytes]) -> "asyncio.Future[None]":
        try:
            return self._inbox.append(items(*content))
        except LedgerUnavailable as error:
            if error.reason is UnavailableReason.INBOX_FULL and self._inbox.waiting().bytes > MAX_BYTES / 4:
                raise InboxFull from error
            raise

    @rule(data=st.data(), callbacks=st.sampled_from([1, 5, ALL]), size_bytes=st.sampled_from([1, 20_000, ALL]))
    def read(self, data: st.DataObject, callbacks: int, size_bytes: int) -> None:
        """A part of a generation, from anywhere in it."""
        generation = data.draw(st.sampled_from([each.id for each in self._inbox.generations]))
        after = data.draw(st.integers(0, len(self._rows[generation])))
        found = self._runner.run(self._inbox.read(generation, after, callbacks, size_bytes))
        self._check(generation, after, found)
        assert (found == []) == (after == len(self._rows[generation]))
        if callbacks == size_bytes == ALL:
            assert not found or found[-1].position == len(self._rows[generation])

    @rule(data=st.data())
    def record(self, data: st.DataObject) -> None:
        """A part of a generation is recorded, or the ledger went back to it."""
        generation = data.draw(st.sampled_from([each.id for each in self._inbox.generations]))
        position = data.draw(st.integers(0, len(self._rows[generation])))
        self._recorded[generation] = position
        self._highest[generation] = max(self._highest[generation], position)
        self._inbox.mark_recorded(generation, position)

    @rule(dies=st.booleans())
    def restart(self, *, dies: bool) -> None:
        """A gateway ends, and the next one starts.

        Where it dies nothing is closed, nobody tidies up, and the memory that it shared is lost.
        """
        file = self._inbox._file  # noqa: SLF001  # closed by whoever dies, and by nobody else
        close = file.close
        if dies:
            file.close = lambda: None  # type: ignore[method-assign]
        self._runner.run(self._inbox.stop(10))
        if dies:
            self._lives += 1
            died, self._directory = self._directory, self._home / str(self._lives)
            shutil.copytree(died, self._directory, ignore=shutil.ignore_patterns("*-shm"))
            close()
        self._start()

    @invariant()
    def what_waits_is_counted(self) -> None:
        """Exactly, and whatever waits has a generation that is listed."""
        if not self._rows:
            return
        listed = [each.id for each in self._inbox.generations]
        waiting = self._inbox.waiting()
        assert waiting.rows == sum(len(self._rows[generation]) - self._recorded[generation] for generation in listed)
        assert (waiting.oldest_us is None) == (waiting.rows == 0)
        never_recorded = {each for each, rows in self._rows.items() if len(rows) > self._highest[each]}
        assert never_recorded <= {*listed}
        assert [each for each in self._rows if each in listed] == listed
        if waiting.rows == 0:
            assert (waiting.callbacks, waiting.bytes) == (0, 0)

    def teardown(self) -> None:
        """Every row that was not recorded is there at the end."""
        with suppress(AttributeError):
            for generation in self._inbox.generations:
                self._check(generation.id, 0, self._runner.run(self._inbox.read(generation.id, 0, ALL, ALL)))
            self._runner.run(self._inbox.stop(10))
        self._runner.close()
        shutil.rmtree(self._home)

    def _start(self) -> None:
        async def start() -> None:
            self._inbox = Inbox.open(config(self._directory, max_bytes=MAX_BYTES, keep_s=0))
            self._inbox.start()

        self._runner.run(start())
        assert self._inbox.present.id not in self._rows
        self._rows[self._inbox.present.id] = {}
        self._recorded[self._inbox.present.id] = self._highest[self._inbox.present.id] = 0
        known = sum(each.last - max(self._recorded[each.id], each.deleted) for each in self._inbox.generations)
        assert self._inbox.waiting().rows == known, "before anybody has asked the ledger"
        for generation in self._inbox.generations:  # as the recorder does, from the ledger
            self._inbox.mark_recorded(generation.id, self._recorded[generation.id])

    def _check(self, generation: bytes, after: int, found: list[InboxRow]) -> None:
        """Rows are those that were appended, without a hole but for what was recorded."""
        for row in found:
            if row.payload is None:
                assert row.position <= self._highest[generation]
            else:
                assert row.position == after + 1
                assert bodies(row) == self._rows[generation][row.position]
            after = row.position


def test_any_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    """With bounds so small that each is reached."""
    monkeypatch.setattr("answerback.inbox.tidier._DELETED_ROWS", 2)
    monkeypatch.setattr("answerback.inbox.file._DELETED_ROWS", 3)
    monkeypatch.setattr("answerback.inbox.backlog._TAIL_BYTES", 20_000)
    monkeypatch.setattr("answerback.inbox.backlog._DROPPED_ROWS", 4)
    monkeypatch.setattr("answerback.inbox.appender._MOST_ROWS", 3)
    run_state_machine_as_test(InboxMachine)
