"""Notification targets: one for each Apprise URL. A URL is a secret: a target is known by its place and its scheme.

Apprise blocks, and some of its services wait long, so each message goes out in a thread that nobody has to wait for.
"""

import asyncio
import contextlib
import logging
import re
import threading
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from answerback.alerts.messages import AlertMessage
from answerback.errors import ConfigError, MissingExtra

_TIMEOUT_S = 20.0
_STATUS = re.compile(r"\berror=(\d{3})\b")


class Target:
    """One notification target; messages go one after the other."""

    def __init__(self, name: str, apprise: Any) -> None:
        self.name = name
        self._apprise = apprise
        self._lock = asyncio.Lock()
        self._pending: asyncio.Future[str | None] | None = None

    async def send(self, message: AlertMessage) -> str | None:
        """Send a message; None once the service has taken it, else what went wrong in plain words, without the URL."""
        async with self._lock:
            if self._pending is not None and not self._pending.done():
                return "is still busy with the message before"
            self._pending = _run_in_thread(lambda: self._send(message))
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    return await asyncio.shield(self._pending)
            except TimeoutError:
                return f"did not answer within {_TIMEOUT_S:.0f} s"

    def _send(self, message: AlertMessage) -> str | None:
        try:
            result = self._apprise.notify(
                body=message.body, title=message.title, notify_type=message.severity.value, body_format="text"
            )
        except Exception as error:  # noqa: BLE001  # any of a hundred services' code
            return f"failed with {type(error).__name__}"
        if result:
            return None
        status = _STATUS.search(" ".join(entry.message for entry in result.logs()))
        return f"answered {status.group(1)}" if status else "could not be reached, or refused the message"


def open_targets(urls: Sequence[str]) -> list[Target]:
    """A target for each URL. Raises ConfigError that names the one Apprise cannot read, MissingExtra without Apprise."""
    if not urls:
        return []
    if find_spec("apprise") is None:
        raise MissingExtra('alerts.notify needs Apprise: pip install "answerback[alerts]"')
    for library in ("apprise", "urllib3", "requests"):
        logger = logging.getLogger(library)
        logger.propagate = False  # they log URLs; what went wrong is read from the result
        logger.addHandler(logging.NullHandler())
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # what it imports is its own affair
        return [_open_target(place, url) for place, url in enumerate(urls)]


def _open_target(place: int, url: str) -> Target:
    from apprise import Apprise, AppriseAsset  # half a second that only who has rules pays

    asset = AppriseAsset(
        service_timeout=0,  # else it takes threads for which the program's end waits; the time is kept here
        async_mode=False,
        storage_mode="memory",
        app_id="Answerback",
        app_desc="Answerback",
    )
    service = Apprise.instantiate(url, asset=asset)
    if service is None:
        raise ConfigError(f"alerts.notify[{place}]: is not a URL that Apprise can read: docs/alerts.md has examples")
    apprise = Apprise(asset=asset)
    apprise.add(service)
    return Target(f"notify[{place}] {_scheme(url)}", apprise)


def _scheme(url: str) -> str:
    return url.partition("://")[0].strip().lower()


def _run_in_thread(work: Callable[[], str | None]) -> "asyncio.Future[str | None]":
    """Do `work` in a thread of its own, which neither the loop's end nor the program's waits for."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str | None] = loop.create_future()

    def settle(result: str | None) -> None:
        if not future.done():
            future.set_result(result)

    def run() -> None:
        result = work()
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=run, name="alert", daemon=True).start()
    return future
