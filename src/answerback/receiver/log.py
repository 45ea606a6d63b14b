"""What the receiver logs: without anybody's number, and no more than somebody reads."""

import logging
import traceback
from collections import defaultdict
from time import monotonic

from answerback.domain.log_limit import LogLimit
from answerback.domain.phone_numbers import mask_text
from answerback.errors import LedgerUnavailable

_LAST = "; no more of these are logged for a minute"

logger = logging.getLogger("answerback.receiver")


class ReceiverLog:
    """The logger `answerback.receiver`, for one receiver."""

    def __init__(self) -> None:
        self._limits: defaultdict[str, LogLimit] = defaultdict(LogLimit)

    def write(self, level: int, what: str, detail: str) -> None:
        """Log a line, unless there were too many that begin with `what`."""
        if left := self._limits[what].take(monotonic()):
            logger.log(level, "%s%s", mask_text(f"{what}: {detail}"), "" if left > 1 else _LAST)

    def failure(self, what: str, error: BaseException, consequence: str = "") -> None:
        """Log an error: our own by what it says, any other with where it was raised."""
        lines = [error.explanation] if isinstance(error, LedgerUnavailable) else traceback.format_exception(error)
        self.write(logging.ERROR, what, consequence + "".join(lines).rstrip())
