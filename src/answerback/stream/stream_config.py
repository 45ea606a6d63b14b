"""Pure: what a stream and its consumer have to be so that an answered callback cannot be lost.

They are looked at as the server tells them, so that what a newer server can do is seen as well.
"""

from collections.abc import Callable, Mapping
from operator import not_
from typing import Any, NamedTuple

from answerback.errors import StreamUnsafe

Config = Mapping[str, Any]
"""What the server tells of a stream or a consumer: the JSON of its API."""

CONSUMER = "recorders"
ACK_WAIT_S = 10.0
MAX_ACK_PENDING = 1024

_ENVELOPE_BYTES = 1024  # more than a message takes besides one body
_LARGEST_MESSAGE = 1024 * 1024
_NANOSECONDS = 1_000_000_000
_REMAKE = "once it is empty: nats stream rm {stream}; the next start makes it anew"


class Shard(NamedTuple):
    """One of the streams over which the callbacks are spread."""

    stream: str
    subject: str


class Wanted(NamedTuple):
    """What the settings ask of the streams; `largest_body` is what a callback may have, in bytes."""

    name: str
    shards: int
    replicas: int
    max_bytes: int
    largest_body: int
    fewer_replicas: bool = False

    @property
    def least_message(self) -> int:
        """The size of a message that holds the largest body: the servers have to take it."""
        return self.largest_body + _ENVELOPE_BYTES

    @property
    def largest_message(self) -> int:
        """How large messages are made where the servers take it."""
        return max(self.least_message, _LARGEST_MESSAGE)

    def all(self) -> list[Shard]:
        """Every shard."""
        return [Shard(f"{self.name}-{n}", f"{self.name}.{n}") for n in range(1, self.shards + 1)]


class Demand(NamedTuple):
    """A property, what it may be, how that is said, and how it is mended."""

    property: str
    missing: object
    fits: Callable[[Any], bool]
    must: str
    mend: str


def stream_config(shard: Shard, wanted: Wanted, replicas: int) -> dict[str, Any]:
    """The stream as it is made."""
    return {
        "name": shard.stream,
        "description": "callbacks that were answered, on their way into Answerback's ledger",
        "subjects": [shard.subject],
        "storage": "file",
        "num_replicas": replicas,
        "retention": "workqueue",
        "discard": "new",
        "max_bytes": wanted.max_bytes,
        "max_msgs": -1,
        "max_age": 0,
        "max_msgs_per_subject": -1,
        "max_msg_size": -1,
        "max_consumers": -1,
        "deny_delete": True,
        "deny_purge": True,
    }


def consumer_config() -> dict[str, Any]:
    """The consumer that all recorders share, as it is made."""
    return {
        "durable_name": CONSUMER,
        "description": "Answerback's recorders",
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": round(ACK_WAIT_S * _NANOSECONDS),
        "max_deliver": -1,
        "max_ack_pending": MAX_ACK_PENDING,
        "replay_policy": "instant",
    }


def check_stream(shard: Shard, config: Config, wanted: Wanted) -> None:
    """Raises StreamUnsafe that names the first property by which an answered callback could be lost."""
    least = 1 if wanted.fewer_replicas else wanted.replicas
    edit = "nats stream edit {stream} "
    demands = [
        Demand("storage", None, _is("file"), "file", _REMAKE),
        Demand("num_replicas", 1, _at_least(least), f"{least} or more", f"{edit}--replicas {least}"),
        Demand("retention", None, _is("workqueue"), "workqueue", _REMAKE),
        Demand("discard", None, _is("new"), "new", f"{edit}--discard new"),
        Demand("max_age", 0, _is(0), "0, no limit", f"{edit}--max-age=0s"),
        Demand("max_msgs_per_subject", -1, _no_limit, "-1, no limit", f"{edit}--max-msgs-per-subject=-1"),
        Demand(
            "max_msg_size",
            -1,
            _none_below(wanted.largest_message),
            f"-1, or {wanted.largest_message} or more",
            f"{edit}--max-msg-size=-1",
        ),
        Demand("no_ack", None, not_, "false", f"{edit}--ack"),
        Demand("sealed", None, not_, "false", _REMAKE),
        Demand("mirror", None, _is(None), "not set", _REMAKE),
        Demand("subject_transform", None, _is(None), "not set", _REMAKE),
        Demand("persist_mode", "default", _one_of("", "default"), "default", _REMAKE),
        Demand("allow_msg_counter", None, not_, "false", _REMAKE),
        Demand("subjects", None, _is([shard.subject]), f'["{shard.subject}"]', f"{edit}--subjects {shard.subject}"),
    ]
    _check(f"stream {shard.stream}", config, demands, shard)


def check_consumer(shard: Shard, config: Config) -> None:
    """Raises StreamUnsafe that names the first property by which an answered callback would not reach the ledger."""
    mend = "nats consumer rm {stream} " + CONSUMER + "; it is made anew"
    demands = [
        Demand("ack_policy", None, _is("explicit"), "explicit", mend),
        Demand("deliver_policy", "all", _is("all"), "all", mend),
        Demand("max_deliver", -1, _no_limit, "-1, no limit", mend),
        Demand("deliver_subject", "", _is(""), "not set: recorders pull", mend),
        Demand("headers_only", None, not_, "false", mend),
        Demand("filter_subject", "", _one_of("", shard.subject), "not set", mend),
        Demand("filter_subjects", None, _one_of(None, [], [shard.subject]), "not set", mend),
    ]
    _check(f"consumer {CONSUMER} of stream {shard.stream}", config, demands, shard)


def _check(whose: str, config: Config, demands: list[Demand], shard: Shard) -> None:
    for demand in demands:
        found = config.get(demand.property, demand.missing)
        if not demand.fits(found):
            mend = demand.mend.format(stream=shard.stream)
            raise StreamUnsafe(f"{whose}: {demand.property} is {_told(found)}, it must be {demand.must}: {mend}")


def _is(value: object) -> Callable[[Any], bool]:
    return lambda found: found == value


def _one_of(*values: object) -> Callable[[Any], bool]:
    return lambda found: found in values


def _at_least(least: int) -> Callable[[Any], bool]:
    return lambda found: found >= least


def _no_limit(found: int) -> bool:
    return found <= 0


def _none_below(least: int) -> Callable[[Any], bool]:
    return lambda found: found <= 0 or found >= least


def _told(found: object) -> str:
    match found:
        case None:
            return "not set"
        case bool():
            return str(found).lower()
        case dict() if "name" in found:
            return str(found["name"])
        case _:
            return str(found)
