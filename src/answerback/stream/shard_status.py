"""The status of the shards, parsed from the servers' API; pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

import msgspec

from answerback.stream.stream_config import Shard


class ShardStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of one shard. `pending` messages wait for a recorder, `delivered` ones are in flight.

    `oldest_us` is when its oldest message was stored, None where it is empty; `failure` why nothing is known.
    """

    stream: str
    messages: int = 0
    size_bytes: int = 0
    max_bytes: int = -1
    leader: str | None = None
    replicas: int = 0
    current: int = 0
    pending: int = 0
    delivered: int = 0
    redelivered: int = 0
    oldest_us: int | None = None
    failure: str | None = None

    @classmethod
    def of(cls, shard: Shard, info: Mapping[str, Any], consumer: Mapping[str, Any]) -> "ShardStatus":
        """Parse the servers' API responses."""
        state, cluster = info["state"], info.get("cluster") or {}
        peers = cluster.get("replicas") or []
        return cls(
            stream=shard.stream,
            messages=state["messages"],
            size_bytes=state["bytes"],
            max_bytes=info["config"].get("max_bytes", -1),
            leader=cluster.get("leader"),
            replicas=info["config"].get("num_replicas", 1),
            current=1 + sum(_is_current(peer) for peer in peers),
            pending=consumer.get("num_pending", 0),
            delivered=consumer.get("num_ack_pending", 0),
            redelivered=consumer.get("num_redelivered", 0),
            oldest_us=oldest_message_us(info, 0) or None,
        )


def plan_leader_moves(clusters: Sequence[tuple[Shard, Mapping[str, Any]]]) -> list[tuple[Shard, str]]:
    """Which shards are to be led by which node instead, so that each node leads about as many."""
    led = {shard: str(cluster["leader"]) for shard, cluster in clusters if cluster.get("leader")}
    others = {
        shard: [str(peer["name"]) for peer in cluster.get("replicas") or [] if _is_current(peer)]
        for shard, cluster in clusters
    }
    found: dict[Shard, str] = {}
    while step := _best_move({shard: leader for shard, leader in led.items() if shard not in found}, others, led):
        shard, node = step
        found[shard] = led[shard] = node
    return [*found.items()]


def _best_move(
    movable: Mapping[Shard, str], others: Mapping[Shard, Sequence[str]], led: Mapping[Shard, str]
) -> tuple[Shard, str] | None:
    """The move from the busiest leader to the idlest node that may follow it; None where it would not help."""
    leads = Counter(led.values())
    steps = [(leads[leader] - leads[node], shard, node) for shard, leader in movable.items() for node in others[shard]]
    gain, shard, node = max(steps, key=itemgetter(0), default=(0, Shard("", ""), ""))
    return (shard, node) if gain > 1 else None


def _is_current(peer: Mapping[str, Any]) -> bool:
    return bool(peer.get("current")) and not peer.get("offline")


def oldest_message_us(info: Mapping[str, Any], empty_us: int) -> int:
    """When a stream's first message was stored, in microseconds since 1970."""
    state = info["state"]
    if not state["messages"]:
        return empty_us
    return round(msgspec.convert(state["first_ts"], datetime).timestamp() * 1_000_000)
