"""Calls as one watches: the emulator plays them, a few times faster than real ones."""

import itertools
import random
import threading
from collections.abc import Mapping
from functools import partial

from answerback.domain.models import CallbackKind
from answerback.emulator.clock import FastClock
from answerback.emulator.cloud import Cloud
from answerback.emulator.faults import FaultProfile
from answerback.emulator.history import random_mobile
from answerback.emulator.limits import NO_LIMITS
from answerback.emulator.outcomes import SCRIPT_ROWS
from answerback.emulator.send_requests import SendRequest
from answerback.emulator.serving import BackgroundCloud
from answerback.emulator.settings import DEFAULT_CREDENTIALS, ApplicationSettings, EmulatorSettings

_SPEED = 8.0
_CALLS_AT_ONCE = 6  # at the start, so that there is something to see soon
_CALLS_PER_S = 0.7
_TABLE_SHARE = 0.4  # of the calls go as the emulator's table says, one row after the other; the others by chance
_TEXTS = {CallbackKind.PROMPT: "告警：磁盘将满，请尽快处理。", CallbackKind.CODE: "284913"}


class LiveCalls:
    """An emulator with an application for each channel, and somebody who places calls by it until `stop`."""

    def __init__(self, callback_urls: Mapping[str, str], seed: int) -> None:
        first_id = int(DEFAULT_CREDENTIALS["app_id"])
        self._apps = {channel: str(first_id + number) for number, channel in enumerate(callback_urls)}
        self._chance = random.Random(seed)  # noqa: S311  # chance, no secret
        self._endings = itertools.cycle(row.ending for row in SCRIPT_ROWS)
        self._stopped = threading.Event()
        key = DEFAULT_CREDENTIALS["app_key"]
        settings = EmulatorSettings(
            applications={
                self._apps[channel]: ApplicationSettings(app_key=key, callback_url=url, name=channel)
                for channel, url in callback_urls.items()
            }
        )
        self._cloud = BackgroundCloud(
            lambda: Cloud(
                settings.account(),
                FastClock(_SPEED),
                faults=FaultProfile(duplicates=0.05),
                limits=NO_LIMITS,
                seed=seed,
            )
        )
        self.url = self._cloud.url
        self._cloud.start()
        self._thread = threading.Thread(target=self._place_calls, name="live-calls", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; calls that live are cut short."""
        self._stopped.set()
        self._thread.join()
        self._cloud.stop()

    def _place_calls(self) -> None:
        placed = 0
        while not self._stopped.is_set():
            self._cloud.run(partial(Cloud.place, request=self._next_request()))
            placed += 1
            self._stopped.wait(0 if placed < _CALLS_AT_ONCE else self._chance.expovariate(_CALLS_PER_S))

    def _next_request(self) -> SendRequest:
        channel, app_id = self._chance.choice(list(self._apps.items()))
        kind = CallbackKind.CODE if channel == "codes" else CallbackKind.PROMPT
        mobile = random_mobile(self._chance)
        if self._chance.random() < _TABLE_SHARE:
            mobile = mobile[:-3] + next(self._endings)
        return SendRequest(app_id=app_id, kind=kind, nationcode="86", mobile=mobile, text=_TEXTS[kind], plays=2)
