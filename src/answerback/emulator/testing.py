"""The cloud inside of somebody's tests: on HTTP for the SDKs, with time that passes only when the test says so."""

import asyncio
import inspect
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from time import perf_counter
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec

from answerback.emulator.callback_sender import CallbackSender, ReceiverResponse, classify_response
from answerback.emulator.clock import VirtualClock
from answerback.emulator.cloud import Cloud
from answerback.emulator.faults import FaultProfile, OutgoingCallback
from answerback.emulator.limits import NO_LIMITS, Limits
from answerback.emulator.serving import BackgroundCloud
from answerback.emulator.settings import DEFAULT_CREDENTIALS, EmulatorSettings
from answerback.emulator.views import EmulatedCallView, view_of
from answerback.errors import ConfigError

ReceiverFunction = Callable[[bytes], Any]
"""Takes a callback's body; gives the answer: bytes, text, or what becomes JSON. Raising is not taking it."""

_TURNS = 10  # of the event loop, from the end of a wait to the callback on its way


class VoiceCloud:
    """An emulator in a thread of this process, with one application.

    Point the SDK at `url` with `app_id` and `app_key`, or `secret_id` and `secret_key`; say where callbacks go by
    `callback_url` or `deliver_to`; `finish` plays all calls to their end at once, and `call` returns the result of one.
    """

    app_id = DEFAULT_CREDENTIALS["app_id"]
    app_key = DEFAULT_CREDENTIALS["app_key"]
    secret_id = DEFAULT_CREDENTIALS["secret_id"]
    secret_key = DEFAULT_CREDENTIALS["secret_key"]

    def __init__(self, *, faults: FaultProfile | None = None, limits: Limits = NO_LIMITS, seed: int | None = 0) -> None:
        self._clock = VirtualClock()
        self._sender = _CountingSender()
        settings = EmulatorSettings()

        def make() -> Cloud:
            return Cloud(
                settings.account(),
                self._clock,
                faults=faults,
                limits=limits,
                shares=settings.shares,
                seed=seed,
                sender=self._sender,
            )

        self._background = BackgroundCloud(make)
        self._cloud = self._background.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where both APIs are; API 3.0 wants it without http://, which is `host`."""
        return self._background.url

    @property
    def host(self) -> str:
        """Name and port, as the SDKs for API 3.0 want them."""
        return self.url.removeprefix("http://")

    @property
    def callback_url(self) -> str:
        return self._cloud.account.applications[self.app_id].callback_url

    @callback_url.setter
    def callback_url(self, url: str) -> None:
        self._sender.receiver = None
        self._cloud.account.applications[self.app_id].callback_url = url

    def deliver_to(self, receiver: Any, path: str | None = None) -> None:
        """Hand callbacks to a function of yours, sync or async, or to a test client of FastAPI, Starlette, Flask or Django, in place of a URL.

        A function is called with the body, in another thread. A client POSTs to `path`, in the thread that calls `finish` or `advance`.
        """
        self._sender.receiver = client_receiver(receiver, path) if hasattr(receiver, "post") else receiver

    def finish(self) -> Sequence[EmulatedCallView]:
        """Let every call live to its end, with every callback and every retry; all calls, in the order of their sends."""
        self._run(lambda cloud: self._pass_until(cloud, None))
        return [view_of(call) for call in self._cloud.calls.values()]

    def advance(self, seconds: float) -> None:
        """Let so many of the cloud's seconds pass."""
        self._run(lambda cloud: self._pass_until(cloud, self._clock.now_s() + seconds))

    def call(self, callid: str) -> EmulatedCallView:
        """What became of a call, so far. Raises KeyError."""
        return view_of(self._cloud.calls[callid])

    def close(self) -> None:
        """End; calls that live are cut short."""
        self._background.stop()

    def _run(self, work: Callable[[Cloud], object]) -> None:
        """Have the cloud do `work`, and meanwhile POST here what it hands to a test client: a database may be this thread's alone."""
        self._sender.is_served = True
        try:
            ended = self._background.submit(work)
            ended.add_done_callback(lambda _: self._sender.posts.put(None))
            while (post := self._sender.posts.get(timeout=60)) is not None:
                post()
            ended.result()
        finally:
            self._sender.is_served = False

    async def _pass_until(self, cloud: Cloud, until_s: float | None) -> None:
        """Move the clock from wait to wait, each time after all that the last one set off was answered."""
        while True:
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            next_s = self._clock.next_s
            if self._sender.in_flight:
                await asyncio.sleep(0.0005)
            elif next_s is not None and (until_s is None or next_s <= until_s):
                self._clock.move_to(next_s)
            elif until_s is not None:
                self._clock.move_to(until_s)
                return
            elif not cloud.active:
                return


class _CountingSender:
    """The post that knows how much is on its way, and brings it to a function or a test client where there is one."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.receiver: ReceiverFunction | ClientReceiver | None = None
        self.is_served = False
        self.posts: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._sender = CallbackSender()

    async def send(self, url: str, callback: OutgoingCallback) -> ReceiverResponse:
        self.in_flight += 1
        try:
            if self.receiver is None or callback.drop_halfway:
                return await self._sender.send(url, callback)
            return await self._hand_over(self.receiver, callback)
        finally:
            self.in_flight -= 1

    async def close(self) -> None:
        await self._sender.close()

    async def _hand_over(
        self, receiver: "ReceiverFunction | ClientReceiver", callback: OutgoingCallback
    ) -> ReceiverResponse:
        """Call somebody's function or client as if it were a server: what it raises is a 500."""
        began_s = perf_counter()
        try:
            if isinstance(receiver, ClientReceiver):
                status, answer = await self._in_test(partial(receiver.post, callback))
            else:
                status, answer = 200, await asyncio.to_thread(receiver, callback.body)
            if inspect.isawaitable(answer):
                answer = await answer
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  # the receiver's error is its response, and pytest.fail's no Exception
            return ReceiverResponse(
                seconds=perf_counter() - began_s, status=500, error=f"raised {type(error).__name__}: {error}"
            )
        try:
            answer = answer if isinstance(answer, bytes) else _encode(answer)
        except (TypeError, ValueError) as error:
            return ReceiverResponse(seconds=perf_counter() - began_s, status=status, error=f"answered no JSON: {error}")
        return classify_response(status, answer, perf_counter() - began_s)

    async def _in_test(self, post: Callable[[], tuple[int, bytes]]) -> tuple[int, bytes]:
        """POST in the thread of the test if it waits for the cloud, else in another, as for a callback that overtakes the send's answer."""
        if not self.is_served:
            return await asyncio.to_thread(post)
        posted: Future[tuple[int, bytes]] = Future()

        def do() -> None:
            try:
                posted.set_result(post())
            except Exception as error:  # noqa: BLE001  # raised to the cloud
                posted.set_exception(error)

        self.posts.put(do)
        return await asyncio.wrap_future(posted)


def _encode(answer: object) -> bytes:
    """What a function returned, as a server would send it. Raises TypeError or ValueError."""
    return answer.encode() if isinstance(answer, str) else msgspec.json.encode(answer)


class ClientReceiver(NamedTuple):
    """A test client of a framework, and how it POSTs."""

    request: Callable[..., Any]
    body_name: str
    content_type_name: str
    path: str

    def post(self, callback: OutgoingCallback) -> tuple[int, bytes]:
        """POST once; status and body of the answer."""
        content_type: Any = callback.content_type or ""
        if self.content_type_name == "headers":
            content_type = {} if callback.content_type is None else {"content-type": content_type}
        response = self.request(self.path, **{self.body_name: callback.body, self.content_type_name: content_type})
        return response.status_code, response.data if hasattr(response, "data") else response.content


def client_receiver(client: Any, path: str | None) -> ClientReceiver:
    """What POSTs by `client`: that of Starlette takes `content`, those of Flask and Django `data`. Raises ConfigError for an async one, and without a path."""
    if path is None:
        raise ConfigError("path: expected that of the callback URL, such as /voice/callback/TOKEN, for a test client")
    if inspect.iscoroutinefunction(client.post):
        raise ConfigError("receiver: an async client cannot be called here: pass an async function that posts the body")
    parameters = inspect.signature(client.post).parameters
    names = ("content", "headers") if "content" in parameters else ("data", "content_type")
    return ClientReceiver(client.post, *names, path)
