"""The required configuration of a stream and its consumer, so that no answered callback can be lost; pure.

It is checked as the server's JSON, so that settings of newer servers are seen as well.
"""

from collections.abc import Callable, Mapping
from operator import not_
from typing import Any, NamedTuple

from answerback.errors import UnsafeStream

Config = Mapping[str, Any]
"""A stream's or consumer's configuration, as the JSON of the server's API."""

CONSUMER = "recorders"
ACK_WAIT_S = 10.0
MAX_ACK_PENDING = 1024

_ENVELOPE_BYTES = 1024  # more than a message takes besides one body
_MAX_MESSAGE_BYTES = 1024 * 1024
_NANOSECONDS = 1_000_000_000
_RECREATE = "once it is empty: nats stream rm {stream}; the next start makes it anew"


class Shard(NamedTuple):
    """One of the streams over which the callbacks are spread."""

    stream: str
    subject: str


class StreamSpec(NamedTuple):
    """The streams that the settings ask for; `max_body_bytes` is the largest callback body."""

    name: str
    shards: int
    replicas: int
    max_bytes: int
    max_body_bytes: int
    fewer_replicas: bool = False

    @property
    def min_message_bytes(self) -> int:
        """The size of a message that holds the largest body: the servers have to take it."""
        return self.max_body_bytes + _ENVELOPE_BYTES

    @property
    def max_message_bytes(self) -> int:
        """How large messages are made where the servers take it."""
        return max(self.min_message_bytes, _MAX_MESSAGE_BYTES)

    def all_shards(self) -> list[Shard]:
        return [Shard(f"{self.name}-{n}", f"{self.name}.{n}") for n in range(1, self.shards + 1)]


class Requirement(NamedTuple):
    """A property, its default, the check, the expected value in words, and how to fix it."""

    property: str
    default: object
    check: Callable[[Any], bool]
    expected: str
    fix: str


def stream_config(shard: Shard, spec: StreamSpec, replicas: int) -> dict[str, Any]:
    """The stream as it is made."""
    return {
        "name": shard.stream,
        "description": "callbacks that were answered, on their way into Answerback's ledger",
        "subjects": [shard.subject],
        "storage": "file",
        "num_replicas": replicas,
        "retention": "workqueue",
        "discard": "new",
        "max_bytes": spec.max_bytes,
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


def check_stream(shard: Shard, config: Config, spec: StreamSpec) -> None:
    """Raises UnsafeStream that names the first property by which an answered callback could be lost."""
    least = 1 if spec.fewer_replicas else spec.replicas
    edit = "nats stream edit {stream} "
    requirements = [
        Requirement("storage", None, _is("file"), "file", _RECREATE),
        Requirement("num_replicas", 1, _at_least(least), f"{least} or more", f"{edit}--replicas {least}"),
        Requirement("retention", None, _is("workqueue"), "workqueue", _RECREATE),
        Requirement("discard", None, _is("new"), "new", f"{edit}--discard new"),
        Requirement("max_age", 0, _is(0), "0, no limit", f"{edit}--max-age=0s"),
        Requirement("max_msgs_per_subject", -1, _no_limit, "-1, no limit", f"{edit}--max-msgs-per-subject=-1"),
        Requirement(
            "max_msg_size",
            -1,
            _none_below(spec.max_message_bytes),
            f"-1, or {spec.max_message_bytes} or more",
            f"{edit}--max-msg-size=-1",
        ),
        Requirement("no_ack", None, not_, "false", f"{edit}--ack"),
        Requirement("sealed", None, not_, "false", _RECREATE),
        Requirement("mirror", None, _is(None), "not set", _RECREATE),
        Requirement("subject_transform", None, _is(None), "not set", _RECREATE),
        Requirement("persist_mode", "default", _one_of("", "default"), "default", _RECREATE),
        Requirement("allow_msg_counter", None, not_, "false", _RECREATE),
        Requirement(
            "subjects", None, _is([shard.subject]), f'["{shard.subject}"]', f"{edit}--subjects {shard.subject}"
        ),
    ]
    _check(f"stream {shard.stream}", config, requirements, shard)


def check_consumer(shard: Shard, config: Config) -> None:
    """Raises UnsafeStream that names the first property by which an answered callback would not reach the ledger."""
    fix = "nats consumer rm {stream} " + CONSUMER + "; it is made anew"
    requirements = [
        Requirement("ack_policy", None, _is("explicit"), "explicit", fix),
        Requirement("deliver_policy", "all", _is("all"), "all", fix),
        Requirement("max_deliver", -1, _no_limit, "-1, no limit", fix),
        Requirement("deliver_subject", "", _is(""), "not set: recorders pull", fix),
        Requirement("headers_only", None, not_, "false", fix),
        Requirement("filter_subject", "", _one_of("", shard.subject), "not set", fix),
        Requirement("filter_subjects", None, _one_of(None, [], [shard.subject]), "not set", fix),
    ]
    _check(f"consumer {CONSUMER} of stream {shard.stream}", config, requirements, shard)


def _check(subject: str, config: Config, requirements: list[Requirement], shard: Shard) -> None:
    for requirement in requirements:
        found = config.get(requirement.property, requirement.default)
        if not requirement.check(found):
            fix = requirement.fix.format(stream=shard.stream)
            raise UnsafeStream(
                f"{subject}: {requirement.property} is {_format_value(found)}, it must be {requirement.expected}: {fix}"
            )


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


def _format_value(found: object) -> str:
    match found:
        case None:
            return "not set"
        case bool():
            return str(found).lower()
        case dict() if "name" in found:
            return str(found["name"])
        case _:
            return str(found)
