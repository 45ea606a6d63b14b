"""`LocalLedger`: the ledger of this machine for the commands that read it, and the inbox beside it."""

import time
from contextlib import closing
from typing import TYPE_CHECKING

from answerback.api.status_view import build_inbox_view
from answerback.cli.language import tr
from answerback.cli.output import describe_error, describe_waiting, err
from answerback.config import Settings
from answerback.errors import AnswerbackError
from answerback.ledger import Ledger
from answerback.ledger.admin.audit import CLI_ACTOR, AuditAction
from answerback.ledger.commands import LogPositions, RecordAuditEvent
from answerback.schemas.cluster import InboxView

if TYPE_CHECKING:
    from answerback.inbox import InboxLag, RecorderFailure

_POLL_S = 0.01


class LocalLedger:
    """The ledger, the settings, and how numbers are shown."""

    def __init__(self, ledger: Ledger, settings: Settings, *, full_numbers: bool) -> None:
        self.ledger = ledger
        self.settings = settings
        self.full_numbers = full_numbers
        self._has_waited = False

    @property
    def calls_ledger(self) -> Ledger:
        """The ledger, to be asked about calls; the first time as of now, as far as `api.read_wait_ms` goes."""
        if not self._has_waited:
            self._has_waited = True
            self._await_recorded()
        return self.ledger

    def reveal(self, *target: str | int) -> None:
        """Record in the audit log that numbers are shown in full, if they are; they are shown only after this. Raises LedgerUnavailable."""
        if self.full_numbers:
            RecordAuditEvent(CLI_ACTOR, AuditAction.NUMBERS_REVEALED, target).run(self.ledger)

    def inbox(self) -> InboxView | None:
        """What waits in the inbox of this machine; None where there is none, or, as standard error says then, it cannot be read."""
        found = self._read_inbox()
        return None if found is None else build_inbox_view(*found)

    def _await_recorded(self) -> None:
        """Wait for what was answered before this; standard error says what the ledger does not have then."""
        began_us, deadline_s = time.time_ns() // 1000, time.monotonic() + self.settings.api.read_wait_ms / 1000
        while (found := self._read_inbox()) is not None:
            waiting, failure = found
            if waiting.oldest_us is None or waiting.oldest_us > began_us:
                return
            if failure is not None or time.monotonic() >= deadline_s:
                said = describe_waiting(build_inbox_view(waiting, failure))
                err.print(f"{tr('not in the ledger yet:')} {said}", soft_wrap=True)
                return
            time.sleep(_POLL_S)

    def _read_inbox(self) -> "tuple[InboxLag, RecorderFailure | None] | None":
        from answerback.inbox import INBOX_FILE, InboxReader
        from answerback.service.factories import inbox_config

        path = inbox_config(self.settings).directory / INBOX_FILE
        if not path.exists():
            return None
        try:
            with closing(InboxReader(path)) as reader:
                logs = [generation.id for generation in reader.generations()]
                return reader.waiting(LogPositions(logs).run(self.ledger)), reader.failure()
        except AnswerbackError as error:
            said = tr(
                "the inbox cannot be read, what waits in it is not known: {problem}", problem=describe_error(error)
            )
            err.print(said, soft_wrap=True, markup=False)
            return None
