"""What may be deleted: rows that were recorded long enough ago, or at all where their space is needed."""

import threading
from collections import defaultdict, deque

from answerback.inbox.backlog import RecorderFailure

_GRAIN_FRACTION = 100


class Retention:
    """Remembers when rows were recorded, to a hundredth of the time that they stay. The event loop and the appender share it."""

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._grain_s = keep_s / _GRAIN_FRACTION
        self._marks: dict[int, deque[tuple[float, int]]] = defaultdict(deque)
        self._recorded: dict[int, int] = {}
        self._lock = threading.Lock()
        self.failure: RecorderFailure | None = None
        """Why nothing more is recorded now."""

    def mark(self, number: int, position: int, now_s: float) -> None:
        """The rows of a generation are recorded up to `position`, and no others."""
        with self._lock:
            self._recorded[number] = position
            marks = self._marks[number]
            while marks and marks[-1][1] > position:
                marks.pop()
            if marks and now_s <= marks[-1][0]:
                marks[-1] = (marks[-1][0], position)
            else:
                marks.append((now_s + self._grain_s, position))

    def deletable(self, number: int, now_s: float, *, in_need: bool) -> int:
        """The position up to which the rows of a generation may be deleted; 0 where none may."""
        with self._lock:
            if in_need:
                return self._recorded.get(number, 0)
            marks = self._marks[number]
            while len(marks) > 1 and marks[1][0] + self._keep_s <= now_s:
                marks.popleft()
            return marks[0][1] if marks and marks[0][0] + self._keep_s <= now_s else 0

    def recorded(self) -> dict[int, int]:
        """How far each generation is recorded."""
        with self._lock:
            return dict(self._recorded)

    def forget(self, number: int) -> None:
        """The generation has no rows any more."""
        with self._lock:
            self._recorded.pop(number, None)
            self._marks.pop(number, None)
