"""Calls of several callbacks each, all determined by the callid alone, so that whoever reads one knows its place."""

import json
import random
from functools import lru_cache
from typing import Any, NamedTuple

from gateway import code, failure, key_press, prompt


class Reported(NamedTuple):
    """One callback of a call: the first, the second, ..."""

    callid: str
    step: int

    @property
    def body(self) -> bytes:
        """What the cloud POSTs."""
        return steps_of(self.callid)[self.step]


def steps_of(callid: str) -> list[bytes]:
    """The callbacks of a call, in the order in which they are sent: four kinds of calls, by the callid's first digit."""
    match int(callid[7], 16) % 4:
        case 0:
            return [*[key_press(callid, key) for key in "12#"], prompt(callid)]
        case 1:
            return [prompt(callid, result="1", accept_time="0", fee="0"), failure(callid)]
        case 2:
            return [failure(callid)]
        case _:
            return [key_press(callid), code(callid)]


OUTCOMES = ("answered", "unanswered", "failed", "answered")
"""What becomes of each kind of call once all its callbacks were sent."""


def outcome_of(callid: str) -> str:
    """What becomes of a call once all its callbacks were sent."""
    return OUTCOMES[int(callid[7], 16) % 4]


def keys_of(callid: str) -> list[str]:
    """The keys that the callee presses, in order."""
    return [fields["keypress"] for name, fields in _documents(callid) if name == "voicekey_callback"]


def read(raw: bytes) -> Reported:
    """Which callback `raw` is, however it is spaced. Raises ValueError where nobody has sent it."""
    ((name, fields),) = json.loads(raw).items()
    callid: str = fields["callid"]
    return Reported(callid, _documents(callid).index((name, fields)))


def spaced(body: bytes) -> bytes:
    """The same callback in other bytes: a repeat is known by what it says."""
    return json.dumps(json.loads(body), indent=random.choice([None, 1, 4]), ensure_ascii=random.random() < 0.5).encode()


@lru_cache(maxsize=20_000)
def _documents(callid: str) -> list[tuple[str, dict[str, Any]]]:
    return [next(iter(json.loads(body).items())) for body in steps_of(callid)]
