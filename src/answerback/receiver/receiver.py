"""The receiver: bytes in, a response by the contract out, and events to the handlers."""

import asyncio
import inspect
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING, TypeVar

from answerback.domain.arguments import require_number
from answerback.domain.calls import fold
from answerback.domain.channels import ChannelTokens, check_channels
from answerback.domain.endpoints import EventType
from answerback.domain.models import DEFAULT_CHANNEL, Call, ParsedCallback, RawCallback, RejectedCallback
from answerback.errors import ConfigError, LedgerUnavailable, UnavailableReason
from answerback.receiver.committer import Committer
from answerback.receiver.dispatcher import EventDispatcher, deliver_due
from answerback.receiver.event import make_event
from answerback.receiver.handlers import EVENT_NAMES, Function, Handler, Handlers, ends_process, ends_request
from answerback.receiver.log import ReceiverLog
from answerback.receiver.sql_store import SQLStore
from answerback.receiver.sqlite_store import SQLiteStore
from answerback.receiver.store import EventBacklog, ReadableStore, Store
from answerback.tencent.parsing import parse_callback, parse_or_reject
from answerback.tencent.response import OK, UNKNOWN_CHANNEL, WRONG_METHOD, Response, too_large, unavailable

if TYPE_CHECKING:
    from django.urls import URLPattern
    from fastapi import APIRouter
    from flask import Blueprint
    from starlette.routing import Route

RETRY_SCHEDULE_S = (1, 5, 30, 120, 600, 1800)
"""Seconds to wait after each failure of a handler; the last again and again."""

_NEW_TOKEN = "`python3 -c 'import secrets; print(secrets.token_urlsafe(24))'` makes one"  # noqa: S105  # no token
_SQLITE = "sqlite:"
_NO_STORE = "store: expected sqlite:FILE, such as sqlite:voice.db or sqlite:/srv/voice.db, or a store"

F = TypeVar("F", bound=Function)


class Receiver:
    """A callback URL in your own web application.

    `token` ends the callback URL of a single voice application; for several, `channels` has the token of each by a name of yours, and one that is
    None has the URL without a token, which anybody may use. `store` is `sqlite:FILE`, or anything with the two methods of `Store`: a callback is answered
    once it is kept there, and handlers are called behind that. Without one, a callback is answered once the handlers have returned.
    """

    def __init__(
        self,
        *,
        token: str | None = None,
        channels: Mapping[str, str | None] | None = None,
        store: Store | str | None = None,
        max_body_bytes: int = 65_536,
        commit_timeout_s: float = 5.0,
        retry_schedule_s: Sequence[float] = RETRY_SCHEDULE_S,
        threads: int = 1,
        poll_s: float = 1.0,
    ) -> None:
        """With `threads`, so many handlers run at a time in each process, and none where it is 0: `dispatch` calls them then.

        What became due without this process's doing is looked for every `poll_s`. Raises ConfigError, and what the store raises that cannot be opened.
        """
        if not isinstance(retry_schedule_s, Sequence) or not retry_schedule_s:
            raise ConfigError(
                f"retry_schedule_s: expected at least one number of seconds in a list, got {retry_schedule_s!r}"
            )
        for retry_s in retry_schedule_s:
            require_number("retry_schedule_s", retry_s, or_zero=True)
        require_number("threads", threads, or_zero=True)
        require_number("max_body_bytes", max_body_bytes)
        require_number("commit_timeout_s", commit_timeout_s)
        require_number("poll_s", poll_s)
        self._tokens = ChannelTokens(_check_tokens(token, channels))
        self._store = _open_store(store) if isinstance(store, str) else _check_store(store)
        self.max_body_bytes = max_body_bytes
        self._commit_timeout_s = commit_timeout_s
        self._log = ReceiverLog()
        self._handlers = Handlers(retry_schedule_s, self._log)
        self._rejected_functions: list[Function] = []
        self._threads = threads
        self._poll_s = poll_s
        self._running: _ProcessThreads | None = None
        self._starting = threading.Lock()

    def on(self, *names: str, duplicates: bool = False) -> Callable[[F], F]:
        """Have the function called with these events: `answered`, `unanswered`, `failed`, `key_pressed`, `revised`, or `*` for all.

        With `duplicates` it is called with a callback that comes again, too.
        """
        unknown = [str(name) for name in names if name not in EVENT_NAMES]
        if unknown or not names:
            raise ConfigError(f"on: expected some of {', '.join(EVENT_NAMES)}, got {', '.join(unknown) or 'nothing'}")
        return self._add(frozenset(names), frozenset(), duplicates=duplicates)

    def on_key(self, *keys: str, duplicates: bool = False) -> Callable[[F], F]:
        """Have the function called when the callee presses one of these keys; without any, whatever the key."""
        for key in keys:
            if not isinstance(key, str):  # a function where the parentheses were forgotten would never be called
                raise ConfigError(
                    f'on_key: expected keys as text, such as @voice.on_key("1") or @voice.on_key(), got {key!r}'
                )
        return self._add(frozenset({EventType.KEY_PRESSED}), frozenset(keys), duplicates=duplicates)

    def on_rejected(self, function: F) -> F:
        """Have `function`, no coroutine function, called with each RejectedCallback before its sender is answered 400."""
        if inspect.iscoroutinefunction(function):
            raise ConfigError(
                f"on_rejected: expected a function that is called in a thread, got async def {function.__name__}"
            )
        self._rejected_functions.append(function)
        return function

    def receive(self, body: bytes, token: str = "", method: str = "POST") -> Response:
        """The response to one request for the callback URL that ends with `token`.

        Of a body over `max_body_bytes` its first `max_body_bytes` + 1 suffice.
        """
        received, response = self._read(body, token, method)
        if received is None:
            return response
        try:
            if self._store is not None:
                recorded = Future[None]()
                self._start(self._store).committer.submit(received, recorded)
                recorded.result(self._commit_timeout_s)
            elif isinstance(received, ParsedCallback):
                self._handlers.call(make_event([received]))
        except BaseException as error:  # whatever a store or a handler raises is answered by the contract
            if ends_process(error):
                raise
            return self._failure_response(error)
        if isinstance(received, RejectedCallback):
            self._report(received)
        return response

    async def areceive(self, body: bytes, token: str = "", method: str = "POST") -> Response:
        """`receive`, for an event loop, which is not blocked."""
        received, response = self._read(body, token, method)
        if received is None:
            return response
        try:
            if self._store is not None:
                recorded = asyncio.get_running_loop().create_future()
                self._start(self._store).committer.submit(received, recorded)
                async with asyncio.timeout(self._commit_timeout_s):
                    await recorded
            elif isinstance(received, ParsedCallback):
                await self._handlers.call_async(make_event([received]))
        except BaseException as error:  # whatever a store or a handler raises is answered by the contract
            if ends_request(error):
                raise
            return self._failure_response(error)
        if self._rejected_functions and isinstance(received, RejectedCallback):
            await asyncio.to_thread(self._report, received)
        return response

    def call(self, callid: str, channel: str = DEFAULT_CHANNEL) -> Call | None:
        """What the store knows of a call; None where it knows nothing."""
        callbacks = self._readable().callbacks(channel, callid)
        return reduce(fold, map(parse_callback, callbacks), None)

    def backlog(self) -> EventBacklog:
        """How many events wait for the handlers, and for how long the oldest has: for a health check."""
        return self._readable().backlog()

    def start(self) -> None:
        """Begin to call handlers with what waits in the store; the first callback does it, too."""
        if self._store is not None:
            self._start(self._store)

    def dispatch(self) -> int:
        """Call the handlers here with all that is due; how many events there were. For tests, and for a worker of your own."""
        if self._store is None:
            return 0
        with asyncio.Runner() as runner:
            return deliver_due(self._store, self._handlers.deliver, runner, lambda: False)

    def close(self, timeout_s: float = 10.0) -> bool:
        """Stop calling handlers, after the event that each thread is at; whether they have stopped within the time."""
        with self._starting:
            running, self._running = self._running, None
        has_stopped = running is None or running.pid != os.getpid() or running.stop(timeout_s)
        if has_stopped and isinstance(self._store, SQLStore):
            self._store.close()
        return has_stopped

    def fastapi(self) -> "APIRouter":
        """A router for FastAPI: `app.include_router(voice.fastapi())`."""
        from answerback.receiver.fastapi import router

        return router(self)

    def starlette(self) -> "list[Route]":
        """Routes for Starlette: `Starlette(routes=voice.starlette())`."""
        from answerback.receiver.fastapi import routes

        return routes(self)

    def flask(self) -> "Blueprint":
        """A blueprint for Flask: `app.register_blueprint(voice.flask())`."""
        from answerback.receiver.flask import blueprint

        return blueprint(self)

    def django(self) -> "URLPattern":
        """A URL pattern for Django: `urlpatterns = [voice.django()]`. Events are sent as the signal `voice_event`, too."""
        from answerback.receiver.django.views import url_pattern

        return url_pattern(self)

    def _add(self, names: frozenset[str], keys: frozenset[str], *, duplicates: bool) -> Callable[[F], F]:
        def add(function: F) -> F:
            if not callable(function):
                raise ConfigError(f"on: expected a function, got {function!r}")
            self._handlers.add(Handler(function, names, keys, duplicates))
            return function

        return add

    def _read(self, body: bytes, token: str, method: str) -> tuple[ParsedCallback | RejectedCallback | None, Response]:
        """What to keep, and the response if it is kept; None where there is nothing to keep."""
        channel = self._tokens.find(token.strip("/"))
        if channel is None:
            return None, UNKNOWN_CHANNEL
        if method != "POST":
            return None, WRONG_METHOD
        if len(body) > self.max_body_bytes:
            return None, too_large(self.max_body_bytes)
        received = parse_or_reject(RawCallback(channel, body, datetime.now(UTC)))
        if isinstance(received, ParsedCallback):
            return received, OK
        self._log.write(logging.WARNING, f"callback of channel {channel} rejected", received.reason)
        return received, Response(400, received.result, received.reason)

    def _failure_response(self, error: BaseException) -> Response:
        """The response where nothing is known to be kept."""
        if isinstance(error, TimeoutError) and self._store is not None:
            error = LedgerUnavailable(UnavailableReason.STALLED)
        self._log.failure("callback answered 503", error)
        return unavailable(
            error if isinstance(error, LedgerUnavailable) else LedgerUnavailable(UnavailableReason.FAULT)
        )

    def _report(self, rejected: RejectedCallback) -> None:
        """Call the functions of `on_rejected`: the body is rejected whatever they do."""
        for function in self._rejected_functions:
            try:
                function(rejected)
            except BaseException as error:  # it is theirs to know
                if ends_process(error):
                    raise
                self._log.failure("on_rejected", error)

    def _start(self, store: Store) -> "_ProcessThreads":
        running = self._running
        if running is None or running.pid != os.getpid():
            with self._starting:
                running = self._running
                if running is None or running.pid != os.getpid():
                    running = self._running = _ProcessThreads(
                        store, self._log, self._handlers, self._threads, self._poll_s
                    )
        return running

    def _readable(self) -> ReadableStore:
        if not isinstance(self._store, ReadableStore):
            raise ConfigError("store: to read from it takes one with the methods `callbacks` and `backlog`")
        return self._store


class _ProcessThreads:
    """The threads of one process. A fork leaves them behind, so they start with the first use in each."""

    def __init__(self, store: Store, log: ReceiverLog, handlers: Handlers, threads: int, poll_s: float) -> None:
        self.pid = os.getpid()
        self.dispatcher = EventDispatcher(store, log, handlers.deliver, threads, poll_s)
        self.committer = Committer(store, log, self.dispatcher.wake)
        self.committer.start()

    def stop(self, timeout_s: float) -> bool:
        """Let what was submitted be recorded, and each handler that runs return; whether all have within the time."""
        ends_s = time.monotonic() + timeout_s
        self.committer.stop()
        self.committer.join(timeout_s)
        return self.dispatcher.stop(ends_s) and not self.committer.is_alive()


def _check_tokens(token: str | None, channels: Mapping[str, str | None] | None) -> Mapping[str, str | None]:
    """The tokens by the channels' names. Raises ConfigError: where a token was forgotten, the URL must not be open to all."""
    if (token is None) == (channels is None):
        raise ConfigError(
            f"token: expected the secret end of the callback URL, or `channels` with one for each; {_NEW_TOKEN}"
        )
    if channels is not None and not (isinstance(channels, Mapping) and channels):
        raise ConfigError('channels: expected a token for each, such as {"codes": "…"}')
    tokens = {DEFAULT_CHANNEL: token} if channels is None else dict(channels)
    try:
        check_channels(tokens)
    except ValueError as error:
        problem = str(error) if token is None else str(error).removeprefix(f"channels.{DEFAULT_CHANNEL}.")
        raise ConfigError(f"{problem}; {_NEW_TOKEN}" if "token" in problem else problem) from None
    return tokens


def _check_store(store: Store | None) -> Store | None:
    """Raises ConfigError where it is none, such as a Path: else each callback would be answered 503."""
    if store is not None and not (hasattr(store, "record") and hasattr(store, "deliver")):
        raise ConfigError(_NO_STORE)
    return store


def _open_store(url: str) -> SQLiteStore:
    path = url.removeprefix(_SQLITE)
    if path == url or not path or path.startswith(("//", ":")):
        raise ConfigError(_NO_STORE)
    return SQLiteStore(path)
