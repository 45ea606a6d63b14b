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
from answerback.ledger.client import LedgerReader
from answerback.ledger.write.erasures import Erasure, find_unfinished
from answerback.worker_process import read_failure, start_worker

_POLL_S = 1.0
_RETRY_S = 60.0
_OTHERS_DELAY = timedelta(seconds=15)
"""By then every process has said what it had answered, and not recorded, when the erasure was asked for."""

log = structlog.get_logger("answerback.erasures")


class ErasureManager:
    """Starts a worker for each erasure that was asked for, once all callbacks from before are recorded."""

    def __init__(
        self,
        ledger: LedgerReader,
        opening: Callable[[], LedgerConfig],
        inbox: Path | None,
        key: bytes,
        recorded_us: Callable[[], int | None],
        *,
        is_alone: bool,
    ) -> None:
        self._ledger = ledger
        self._opening = opening
        self._inbox = inbox
        self._key = key
        self._recorded_us = recorded_us
        self._delay = timedelta() if is_alone else _OTHERS_DELAY

    async def run_forever(self) -> None:
        """Have what is asked for done, until cancelled."""
        while True:
            pause_s = _POLL_S
            with contextlib.suppress(LedgerUnavailable):  # what stops the recorder is logged by that
                for erasure in await asyncio.to_thread(self._ledger.read, find_unfinished):
                    if await asyncio.to_thread(self._is_recorded, erasure) and not await self._erase(erasure):
                        pause_s = _RETRY_S
            await asyncio.sleep(pause_s)

    def _is_recorded(self, erasure: Erasure) -> bool:
        """Whether the ledger holds all callbacks that were answered before it was asked for."""
        recorded_us = self._recorded_us()
        if datetime.now(UTC) - erasure.requested_at < self._delay:
            return False
        return self._ledger.read(recorded_as_of, datetime.now(UTC), recorded_us) >= erasure.requested_at

    async def _erase(self, erasure: Erasure) -> bool:
        """Have it done; whether it was."""
        began_s = time.monotonic()
        number = None if erasure.sealed_number is None else unseal(self._key, erasure.sealed_number)
        job = ErasureJob(
            opening=self._opening(),
            inbox=None if self._inbox is None else str(self._inbox),
            erasure_id=erasure.id,
            number=number,
            is_unreadable=number is None and erasure.sealed_number is not None,
        )
        complaint = await _run_worker(job)
        if complaint is not None:
            log.error("erasure_failed", erasure=erasure.id, reason=mask_text(complaint), tries_again_in_s=_RETRY_S)
            return False
        if job.is_unreadable:
            log.error(
                "erasure_unreadable", erasure=erasure.id, reason="the server secret has changed", todo="ask again"
            )
            return True
        log.info("erasure_done", erasure=erasure.id, seconds=round(time.monotonic() - began_s, 1))
        return True


async def _run_worker(job: ErasureJob) -> str | None:
    """Run a worker to its end; why it failed, None if it did not. It ends with us."""
    process = await start_worker("answerback.erasures.worker", job)
    try:
        return await read_failure(process)
    finally:
        if process.returncode is None:
            process.kill()
            await asyncio.shield(process.wait())
