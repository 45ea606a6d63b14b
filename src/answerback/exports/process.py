"""Exports for a server: each in a process of its own, so that neither the loop nor Python's lock is held up by one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Self, TypeVar

import structlog

from answerback.domain.phone_numbers import mask_text
from answerback.errors import ExportFailed, LedgerUnavailable, TooManyExports, UnavailableReason
from answerback.exports.spec import Export, ExportJob, require_extra
from answerback.ledger import LedgerConfig
from answerback.ledger.admin.audit import Actor, AuditAction
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import RecordAuditEvent
from answerback.worker_process import CHUNK_BYTES, pipes, read_failure, start_worker

T = TypeVar("T")

MAX_CONCURRENT = 4
"""Exports at a time, one for each key."""

log = structlog.get_logger("answerback.exports")


class ExportManager:
    """The exports of one gateway, `MAX_CONCURRENT` at a time, and one for each key: nobody takes all the room."""

    def __init__(self, ledger_config: LedgerConfig, writer: LedgerClient) -> None:
        self._ledger_config = ledger_config
        self._writer = writer
        self._streams: dict[str, ExportProcess] = {}

    async def open(self, export: Export, actor: Actor) -> "ExportProcess":
        """Begin an export for `actor`, which is an audit event; its bytes come from the stream.

        Returns when the first of them are there. Close the stream whatever happens.
        Raises TooManyExports, MissingExtra, LedgerUnavailable, ExportFailed.
        """
        require_extra(export.format)
        who = actor.name
        if who in self._streams:
            raise TooManyExports(f"an export with the key {who} is already running: try again when it has finished")
        if len(self._streams) >= MAX_CONCURRENT:
            raise TooManyExports(f"{MAX_CONCURRENT} exports are already running: try again later")
        stream = self._streams[who] = ExportProcess(lambda: self._remove(who, stream))
        try:
            await stream.start(self._ledger_config, export)
            await self._writer.execute(RecordAuditEvent(actor, AuditAction.EXPORTED, (export.audit_summary,)))
        except BaseException:
            await stream.aclose()
            raise
        return stream

    def _remove(self, who: str, stream: "ExportProcess") -> None:
        if self._streams.get(who) is stream:
            del self._streams[who]

    def stop(self) -> None:
        """End them all, broken off as they are: the gateway begins to stop, and may take long to export."""
        for stream in self._streams.values():
            stream.kill()


class ExportProcess:
    """The bytes of one export, as they come. It ends its process when it is closed."""

    def __init__(self, on_closed: Callable[[], None]) -> None:
        self._on_closed = on_closed
        self._process: asyncio.subprocess.Process | None = None
        self._first = b""

    async def start(self, ledger_config: LedgerConfig, export: Export) -> None:
        """Start the process and wait for its first bytes."""
        self._process = await start_worker("answerback.exports.worker", ExportJob(ledger_config, export))
        self._first = await self._read()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks()

    async def _chunks(self) -> AsyncIterator[bytes]:
        """Every chunk. Raises ExportFailed, LedgerUnavailable: then what came so far is not whole."""
        chunk, self._first = self._first, b""
        try:
            while chunk:
                yield chunk
                chunk = await self._read()
        except (ExportFailed, LedgerUnavailable) as error:
            log.error("export_aborted", reason=str(error), detail=getattr(error, "detail", ""))  # noqa: TRY400  # the words are enough
            raise

    async def _read(self) -> bytes:
        """The next chunk, or none at the end of a whole export."""
        assert self._process is not None  # noqa: S101  # start comes first
        chunks, _, _ = pipes(self._process)
        if chunk := await chunks.read(CHUNK_BYTES):
            return chunk
        if (failure := await read_failure(self._process)) is None:
            self._on_closed()  # before the client can know that it has all, and ask for the next
            return b""
        kind, _, words = failure.partition(": ")
        if kind == LedgerUnavailable.__name__:
            reason, _, detail = words.partition(": ")
            raise LedgerUnavailable(UnavailableReason[reason], detail)
        log.error("export_ended", status=self._process.returncode, error=mask_text(f"{kind}: {words}"))
        raise ExportFailed("the export stopped before its end: see the gateway's log")

    async def aclose(self) -> None:
        """End the process if it still runs, and let the next export begin."""
        self._on_closed()
        self.kill()
        if self._process is not None:
            await asyncio.shield(self._process.wait())

    def kill(self) -> None:
        """End the process if it still runs, and do not wait."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()
