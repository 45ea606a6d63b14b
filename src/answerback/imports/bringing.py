"""Old callbacks into the ledger, a batch at a time, beside a gateway that goes on."""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from answerback.errors import CallbackRejected
from answerback.imports.lines import Found, find
from answerback.ledger import Ledger, Taken
from answerback.model import Arrival, Received, Status
from answerback.reading import read

LINES_SHOWN = 5
BATCH = 512

_MASK = "**"
_CHANNEL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class Skip(msgspec.Struct, frozen=True):
    """A line without a callback that could be taken."""

    file: str
    line: int
    reason: str


class Tally(msgspec.Struct, kw_only=True):
    """What became of the lines. `examples` are the first that were skipped."""

    lines: int = 0
    callbacks: int = 0
    stored: int = 0
    repeated: int = 0
    skipped: int = 0
    examples: list[Skip] = []


class Bringing:
    """One import: what it reads it records, unless `ledger` is None; endpoints are told only where `tell`.

    A line that names no channel belongs to that of its URL's token, else to `channel`.
    """

    def __init__(
        self, ledger: Ledger | None, tokens: Mapping[str, str], channel: str, *, tell: bool, pause: bool = True
    ) -> None:
        self.tally = Tally(examples=[])
        self._ledger = ledger
        self._tokens = tokens
        self._channel = channel
        self._tell = tell
        self._pauses = pause
        self._batch: list[Received] = []

    def take(self, name: str, lines: Iterable[bytes], progress: Callable[[], object] = lambda: None) -> None:
        """Take the lines of one file. Raises LedgerUnavailable: what was recorded stays, run it again for the rest."""
        for number, line in enumerate(lines, 1):
            self.tally.lines += 1
            if not line.strip():
                continue
            item = self._read(line)
            if isinstance(item, str):
                self._skip(Skip(name, number, item))
                continue
            self.tally.callbacks += 1
            self._batch.append(item)
            if len(self._batch) == BATCH:
                self._record()
                progress()
        self._record()
        progress()

    def _read(self, line: bytes) -> Received | str:
        """The callback of a line, or why there is none."""
        found = find(line)
        if found is None:
            return "no callback in it"
        if found.channel is None and found.token is not None and found.token not in self._tokens:
            return "the token in its URL is of no channel: add the channel to the config file first"
        if found.channel is not None and not _CHANNEL_NAME.fullmatch(found.channel):
            return "its channel is no name: small letters, digits, - and _"
        channel = found.channel or self._tokens.get(found.token or "") or self._channel
        try:
            received = read(Arrival(channel, found.raw, found.at or datetime.now(UTC)))
        except CallbackRejected as rejection:
            return rejection.errmsg
        callback = received.callback
        if found.exported and _MASK in f"{callback.mobile} {callback.call_from}":
            return "its numbers are masked: export the callbacks with full numbers"
        return _in_its_time(received, found)

    def _skip(self, skip: Skip) -> None:
        self.tally.skipped += 1
        if len(self.tally.examples) < LINES_SHOWN:
            self.tally.examples.append(skip)

    def _record(self) -> None:
        """Record a batch in a transaction of its own, and leave the ledger to others for as long as that took."""
        batch, self._batch = self._batch, []
        if self._ledger is None or not batch:
            return
        began_s = time.perf_counter()
        for receipt in self._ledger.take(batch, tell=self._tell).receipts:
            if receipt.taken is Taken.STORED:
                self.tally.stored += 1
            else:
                self.tally.repeated += 1
        if self._pauses:
            time.sleep(time.perf_counter() - began_s)


def _in_its_time(received: Received, found: Found) -> Received:
    """Where no log said when it came in: when the call was over, as far as the callback tells."""
    callback = received.callback
    if found.at is not None or not isinstance(callback, Status):
        return received
    said_at = callback.ended_at or callback.started_at
    return received if said_at is None else msgspec.structs.replace(received, received_at=said_at)
