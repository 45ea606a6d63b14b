"""The erasures of a ledger: one process at a time has them done, one after the other, and goes on with those that a kill left."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from answerback.domain.phone_numbers import mask_text
from answerback.erasures.erasure_run import ErasureJob
from answerback.erasures.sealing import unseal
from answerback.errors import LedgerUnavailable
from answerback.ledger import LedgerConfig
from answerback.ledger.admin.instances import recorded_as_of
from answerback.ledger.client import LedgerClient, LedgerReader
from answerback.ledger.commands import ReportErasure
from answerback.ledger.write.erasures import Erasure, find_unfinished
from answerback.worker_process import read_failure, start_worker

_POLL_S = 1.0
_RETRY_S = 60.0
_OTHERS_DELAY = timedelta(seconds=15)
"""By then every process has said what it had answered, and not recorded, when the erasure was asked for."""
_LONG = timedelta(minutes=1)
_NOT_RECORDED = "callbacks that were answered before are not recorded yet"

log = structlog.get_logger("answerback.erasures")


class ErasureManager:
    """Starts a worker for each erasure that was asked for, once all callbacks from before are recorded."""

    def __init__(
        self,
        ledger: LedgerReader,
        writer: LedgerClient,
        ledger_config: Callable[[], LedgerConfig],
        inbox: Path | None,
        key: bytes,
        recorded_us: Callable[[], int | None],
        on_erased: Callable[[], None],
        *,
        is_alone: bool,
    ) -> None:
        self._ledger = ledger
        self._writer = writer
        self._ledger_config = ledger_config
        self._inbox = inbox
        self._key = key
        self._recorded_us = recorded_us
        self._on_erased = on_erased
        self._delay = timedelta() if is_alone else _OTHERS_DELAY
        self._retry_s: dict[int, float] = {}
        """By id: from when on one that failed is tried again."""

    async def run_forever(self) -> None:
        """Have what is asked for done, until cancelled."""
        while True:
            with contextlib.suppress(LedgerUnavailable):  # what stops the recorder is logged by that
                for erasure in await asyncio.to_thread(self._ledger.read, find_unfinished):
                    await self._continue(erasure)
            await asyncio.sleep(_POLL_S)

    async def _continue(self, erasure: Erasure) -> None:
        """Have it done, unless it has to wait; of one that waits for long, write down what for."""
        if time.monotonic() < self._retry_s.get(erasure.id, 0.0):
            return
        if not await asyncio.to_thread(self._is_recorded, erasure):
            if datetime.now(UTC) - erasure.requested_at > _LONG and erasure.failure is None:
                log.warning("erasure_waits", erasure=erasure.id, reason=_NOT_RECORDED)
                await self._writer.execute(ReportErasure(erasure.id, erasure.tries, _NOT_RECORDED))
            return
        tries = erasure.tries + 1
        await self._writer.execute(ReportErasure(erasure.id, tries, erasure.failure if erasure.tries else None))
        if (complaint := await self._erase(erasure)) is not None:
            self._retry_s[erasure.id] = time.monotonic() + _RETRY_S
            await self._writer.execute(ReportErasure(erasure.id, tries, complaint))

    def _is_recorded(self, erasure: Erasure) -> bool:
        """Whether the ledger holds all callbacks that were answered before it was asked for."""
        recorded_us = self._recorded_us()
        if datetime.now(UTC) - erasure.requested_at < self._delay:
            return False
        return self._ledger.read(recorded_as_of, datetime.now(UTC), recorded_us) >= erasure.requested_at

    async def _erase(self, erasure: Erasure) -> str | None:
        """Have it done; why it was not, None if it was."""
        began_s = time.monotonic()
        number = None if erasure.sealed_number is None else unseal(self._key, erasure.sealed_number)
        job = ErasureJob(
            ledger_config=self._ledger_config(),
            inbox=None if self._inbox is None else str(self._inbox),
            erasure_id=erasure.id,
            number=number,
            is_unreadable=number is None and erasure.sealed_number is not None,
        )
        complaint = await _run_worker(job)
        self._on_erased()
        if complaint is not None:
            complaint = mask_text(complaint)
            log.error("erasure_failed", erasure=erasure.id, reason=complaint, tries_again_in_s=_RETRY_S)
        elif job.is_unreadable:
            log.error(
                "erasure_unreadable", erasure=erasure.id, reason="the server secret has changed", todo="ask again"
            )
        else:
            log.info("erasure_done", erasure=erasure.id, seconds=round(time.monotonic() - began_s, 1))
        return complaint


async def _run_worker(job: ErasureJob) -> str | None:
    """Run a worker to its end; why it failed, None if it did not. It ends with us."""
    process = await start_worker("answerback.erasures.worker", job)
    try:
        return await read_failure(process)
    finally:
        if process.returncode is None:
            process.kill()
            await asyncio.shield(process.wait())
