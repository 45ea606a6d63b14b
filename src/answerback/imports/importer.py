"""Old callbacks into the ledger, a batch at a time, beside a gateway that goes on."""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, tzinfo

import msgspec

from answerback.domain.models import ParsedCallback, RawCallback, Status
from answerback.errors import CallbackRejected
from answerback.imports.lines import ExtractedCallback, extract_callbacks
from answerback.imports.records import split_records
from answerback.imports.texts import TextLine
from answerback.ledger import Disposition, Ledger
from answerback.tencent.parsing import parse_callback

LINES_SHOWN = 3
"""Of each reason."""
BATCH = 512

_MASK = "**"
_MOST_REASONS = 50
_NOTHING = " \t\r\n,[]\ufeff"
_CHANNEL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class SkippedLine(msgspec.Struct, frozen=True):
    """A callback that could not be taken, or a line without one."""

    file: str
    line: int
    reason: str


class ImportSummary(msgspec.Struct, kw_only=True):
    """What became of the lines. `reasons` counts what was skipped, `examples` are the first of each reason."""

    lines: int = 0
    callbacks: int = 0
    stored: int = 0
    repeated: int = 0
    skipped: int = 0
    reasons: dict[str, int] = {}
    examples: list[SkippedLine] = []


class Importer:
    """One import: it records what it reads, unless `ledger` is None; it delivers to endpoints only if asked to.

    A line that names no channel belongs to that of its URL's token, else to `channel`; a time that names no zone to `zone`.
    """

    def __init__(
        self,
        ledger: Ledger | None,
        tokens: Mapping[str, str],
        channel: str,
        *,
        deliver: bool,
        zone: tzinfo = UTC,
    ) -> None:
        self.summary = ImportSummary(reasons={}, examples=[])
        self._ledger = ledger
        self._tokens = tokens
        self._channel = channel
        self._deliver = deliver
        self._zone = zone
        self._batch: list[ParsedCallback] = []

    def import_lines(self, name: str, lines: Iterable[TextLine], progress: Callable[[], object] = lambda: None) -> None:
        """Take the lines of one file. Raises LedgerUnavailable: what was recorded stays, run it again for the rest."""
        in_line = 0  # callbacks found so far in a line that comes in parts
        for number, text, is_last in split_records(self._count_lines(lines)):
            found, broken = extract_callbacks(text, self._zone)
            in_line += len(found) + broken
            for one in found:
                self._add_callback(name, number, one)
                if len(self._batch) == BATCH:
                    self._flush()
                    progress()
            for _ in range(broken):
                self._skip(SkippedLine(name, number, "a callback begins in it, but is cut off or no JSON"))
            if is_last:
                if not in_line and text.strip(_NOTHING):
                    self._skip(SkippedLine(name, number, "no callback in it"))
                in_line = 0
        self._flush()
        progress()

    def _count_lines(self, lines: Iterable[TextLine]) -> Iterator[TextLine]:
        for line in lines:
            self.summary.lines += line.is_whole
            yield line

    def _add_callback(self, name: str, number: int, found: ExtractedCallback) -> None:
        item = self._parse(found)
        if isinstance(item, str):
            self._skip(SkippedLine(name, number, item))
        else:
            self.summary.callbacks += 1
            self._batch.append(item)

    def _parse(self, found: ExtractedCallback) -> ParsedCallback | str:
        """The callback, or why there is none."""
        if found.channel is None and found.token is not None and found.token not in self._tokens:
            return "the token in its URL belongs to no channel: add the channel to the config file first"
        if found.channel is not None and not _CHANNEL_NAME.fullmatch(found.channel):
            return "its channel is not a valid name: lowercase letters, digits, - and _"
        channel = found.channel or self._tokens.get(found.token or "") or self._channel
        try:
            received = parse_callback(RawCallback(channel, found.raw, found.at or datetime.now(UTC)))
        except CallbackRejected as rejection:
            return rejection.errmsg
        callback = received.callback
        if found.exported and _MASK in f"{callback.mobile} {callback.call_from}":
            return "its numbers are masked: export the callbacks with full numbers"
        return _with_received_at(received, found)

    def _skip(self, skip: SkippedLine) -> None:
        tally = self.summary
        tally.skipped += 1
        reason = skip.reason if skip.reason in tally.reasons or len(tally.reasons) < _MOST_REASONS else "other reasons"
        times = tally.reasons[reason] = tally.reasons.get(reason, 0) + 1
        if times <= LINES_SHOWN:
            tally.examples.append(skip)

    def _flush(self) -> None:
        """Record a batch in a transaction of its own, and leave the ledger to others for as long as that took."""
        batch, self._batch = self._batch, []
        if self._ledger is None or not batch:
            return
        began_s = time.perf_counter()
        for receipt in self._ledger.record_batch(batch, enqueue_deliveries=self._deliver).receipts:
            if receipt.disposition is Disposition.STORED:
                self.summary.stored += 1
            else:
                self.summary.repeated += 1
        time.sleep(time.perf_counter() - began_s)


def _with_received_at(received: ParsedCallback, found: ExtractedCallback) -> ParsedCallback:
    """The time of a callback without a time in the log: the end of the call, if the callback has it."""
    callback = received.callback
    if found.at is not None or not isinstance(callback, Status):
        return received
    said_at = callback.ended_at or callback.started_at
    return received if said_at is None else msgspec.structs.replace(received, received_at=said_at)
