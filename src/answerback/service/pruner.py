"""Retention by age: once a day all that is older than the settings say is deleted, in small steps beside the work."""

import asyncio
import contextlib
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import structlog

from answerback.domain.retention import RetentionPolicy, deleted_words
from answerback.errors import LedgerUnavailable
from answerback.ledger.admin.audit import GATEWAY, AuditAction
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import Prune, RecordAuditEvent
from answerback.ledger.write.retention import PrunePosition

_EVERY_S = 86_400.0
_RETRY_S = 60.0
_REST_FACTOR = 9
"""So many times as long as a step took, the writer is the others'."""
_MIN_REST_S = 0.02
_MAX_YIELDS = 100

log = structlog.get_logger("answerback.service")


class Pruner:
    """Deletes what is too old, as the one process of the ledger that does."""

    def __init__(self, ledger: LedgerClient, policy: RetentionPolicy) -> None:
        self._ledger = ledger
        self._policy = policy
        self._changed = asyncio.Event()
        self.deleted: Counter[str] = Counter()
        """Rows since the start, by table."""
        self._passed: dict[str, Any] | None = None

    @property
    def status(self) -> dict[str, Any] | None:
        """When the last pass ended, and how much it deleted; None where none did."""
        return self._passed

    def reload(self, policy: RetentionPolicy) -> None:
        """Delete by another policy, now and then once a day."""
        if policy != self._policy:
            self._policy = policy
            self._changed.set()

    async def run_forever(self) -> None:
        """Run a pass a day, or none while nothing is too old ever, until cancelled."""
        while True:
            self._changed.clear()
            wait_s = None if self._policy.is_empty else _EVERY_S
            try:
                if not self._policy.is_empty:
                    await self._run_pass()
            except LedgerUnavailable as error:
                log.warning("retention_failed", reason=str(error), detail=error.detail, tries_again_in_s=_RETRY_S)
                wait_s = _RETRY_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()

    async def _run_pass(self) -> None:
        """Delete all that is too old as of now. Raises LedgerUnavailable: what was deleted stays so."""
        began_s, cutoffs = time.monotonic(), self._policy.cutoffs(datetime.now(UTC))
        deleted: Counter[str] = Counter()
        position: PrunePosition | None = PrunePosition()
        yields = 0
        try:
            while position is not None:
                step_s = time.monotonic()
                result = await self._ledger.execute(Prune(cutoffs, position, insists=yields >= _MAX_YIELDS))
                yields = yields + 1 if result.position == position and not result.deleted else 0
                position = result.position
                deleted.update(result.deleted)
                self.deleted.update(result.deleted)
                await asyncio.sleep(max(_MIN_REST_S, (time.monotonic() - step_s) * _REST_FACTOR))
        finally:
            self._passed = {"ended_at": datetime.now(UTC).isoformat(), "deleted": dict(+deleted)}
            if +deleted:
                log.info("retention_pass", seconds=round(time.monotonic() - began_s, 1), deleted=dict(+deleted))
        if +deleted:
            await self._ledger.execute(RecordAuditEvent(GATEWAY, AuditAction.LEDGER_PRUNED, deleted_words(deleted)))
