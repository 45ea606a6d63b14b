"""The functions that are called with events: which of them asked for which, and how they are run."""

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from answerback.domain.backoff import repeating_delay_s
from answerback.domain.endpoints import EventType
from answerback.domain.models import KeyPress, RawCallback
from answerback.domain.phone_numbers import mask_phone_like
from answerback.receiver.event import Event, make_event
from answerback.receiver.log import ReceiverLog

ANY = "*"
EVENT_NAMES = (ANY, *(str(one) for one in EventType if one is not EventType.OVERDUE))  # an overdue call has no callback

_JITTER = 0.1

Function = Callable[[Any], Awaitable[object] | object]
Run = Callable[[Coroutine[Any, Any, None]], None]
"""Runs a coroutine to its end."""


class Handler(NamedTuple):
    """A function, and the events that it is called with; empty `keys` are all."""

    function: Function
    names: frozenset[str]
    keys: frozenset[str]
    duplicates: bool

    def matches(self, event: Event) -> bool:
        """Whether it asked for `event`."""
        if event.is_duplicate and not self.duplicates:
            return False
        if self.keys and not (isinstance(event.callback, KeyPress) and event.callback.key in self.keys):
            return False
        return ANY in self.names or not self.names.isdisjoint(event.names)


class Handlers:
    """All handlers of a receiver, in the order in which they were added. An event is handed to each that asked for it, or it has failed."""

    def __init__(self, retry_schedule_s: Sequence[float], log: ReceiverLog) -> None:
        self._log = log
        self._retry_schedule_s = retry_schedule_s
        self._handlers: list[Handler] = []

    def add(self, handler: Handler) -> None:
        """Add one more."""
        self._handlers.append(handler)

    def deliver(self, callbacks: Sequence[RawCallback], failures: int, run: Run) -> float | None:
        """What a store calls with an event: None where it is done, else after how many seconds to try again."""
        try:
            self.call(make_event(callbacks), run)
        except BaseException as error:  # whatever a handler raises, such as gevent's Timeout: the thread has to live on
            if ends_process(error):
                raise  # out of `dispatch`
            retry_s = repeating_delay_s(self._retry_schedule_s, failures, _JITTER)
            self._log.failure("event not handled", error, f"tried again in {retry_s:.1f} s: ")
            return retry_s
        return None

    async def call_async(self, event: Event) -> None:
        """Call who asked for `event`: a coroutine function in this event loop, any other in a thread."""
        for function in self._functions(event):
            with _annotate_errors(function, event):
                is_async = inspect.iscoroutinefunction(function)
                result = function(event) if is_async else await asyncio.to_thread(function, event)
                if inspect.isawaitable(result):
                    await result

    def call(self, event: Event, run: Run = asyncio.run) -> None:
        """Call who asked for `event` here; what a function returns to be awaited is run by `run`."""
        for function in self._functions(event):
            with _annotate_errors(function, event):
                result = function(event)
                if inspect.isawaitable(result):
                    run(_wait(result))

    def _functions(self, event: Event) -> list[Function]:
        return [handler.function for handler in self._handlers if handler.matches(event)]


def ends_process(error: BaseException) -> bool:
    """Whether it is not a handler's: in the main thread it may come from a signal, as when gunicorn ends its sync worker."""
    return isinstance(error, KeyboardInterrupt | SystemExit) and threading.current_thread() is threading.main_thread()


def ends_request(error: BaseException) -> bool:
    """Whether it is not a handler's, in a task: there a signal comes in otherwise, and nobody is to end the event loop."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0  # else it is that of something the handler waited for
    return isinstance(error, GeneratorExit) or (isinstance(error, KeyboardInterrupt) and ends_process(error))


@contextmanager
def _annotate_errors(function: Function, event: Event) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        name = getattr(function, "__qualname__", repr(function))
        error.add_note(f"in {name}, with the event {event.type} of callid {mask_phone_like(event.call.callid)}")
        raise


async def _wait(result: Awaitable[object]) -> None:
    await result
