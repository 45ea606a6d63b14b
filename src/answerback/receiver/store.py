"""What a store does for the receiver: two methods, and two more for those who want to read."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from answerback.domain.models import ParsedCallback, RawCallback, RejectedCallback

MAX_CALLBACKS = 200
"""Of a call so many callbacks are looked at, the first ones: a flood for one call must not cost more with each."""

Handle = Callable[[Sequence[RawCallback], int], float | None]
"""`handle(callbacks, failures)`: have the handlers called with the last of a call's callbacks.

Those before it are the ones that are done, in the order in which they arrived; of more than MAX_CALLBACKS the first ones, and a repeat's own. `failures` is how often the last one has failed by now.
Returns None where it is done, else after how many seconds to try it again. Raises nothing.
"""


class Store(Protocol):
    """Where callbacks are kept before they are answered, and wait for the handlers. Every callback is one event of its call.

    `record` is called by one thread in each process, `deliver` by another or several.
    """

    def record(self, batch: Sequence[ParsedCallback | RejectedCallback]) -> None:
        """Keep all of `batch`, durably, in one transaction; a callback whose fingerprint is there already only as a repeat.

        Rejected bodies need not be kept. Returns only after the commit. Raises anything: nothing of it is kept, and its senders are
        answered that they try again.
        """

    def deliver(self, handle: Handle) -> bool:
        """Take the next event that is due, or some, call `handle` with each, and keep what it returns; False where none was due.

        Of a call only the oldest event that is not done may be taken, and nobody else may take one of it meanwhile. An event whose process
        dies is due again. A repeat is an event, too, with its callback a second time at the end; a store may leave these out.
        """


class EventBacklog(NamedTuple):
    """How many events wait for the handlers, and for how long the oldest has."""

    events: int
    lag_s: float


@runtime_checkable
class ReadableStore(Store, Protocol):
    """A store that can also be asked."""

    def callbacks(self, channel: str, callid: str) -> Sequence[RawCallback]:
        """A call's callbacks in the order of their arrival, the first MAX_CALLBACKS."""

    def backlog(self) -> EventBacklog:
        """What waits for the handlers."""
