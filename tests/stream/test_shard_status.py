"""Which shard is to be led by which node."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from answerback.stream.shard_status import plan_leader_moves
from answerback.stream.stream_config import Shard

NODES = ("n1", "n2", "n3")


def cluster(leader: str | None, *away: str) -> dict[str, Any]:
    """What a server tells of a stream with three replicas."""
    peers = [{"name": node, "current": node not in away, "offline": node in away} for node in NODES if node != leader]
    return {"leader": leader, "replicas": peers}


def shard(number: int) -> Shard:
    """One of the shards."""
    return Shard(f"T-{number}", f"T.{number}")


@given(st.lists(st.sampled_from(NODES), max_size=9))
def test_spreads_evenly(leaders: list[str]) -> None:
    """After the moves no node leads two shards more than another, and shards that may stay do."""
    reported = [(shard(n), cluster(leader)) for n, leader in enumerate(leaders)]
    moved = dict(plan_leader_moves(reported))
    after = Counter(moved.get(shard(n), leader) for n, leader in enumerate(leaders))
    counts = [after[node] for node in NODES]
    assert max(counts) - min(counts) <= 1
    assert len(moved) <= sum(max(0, count - len(leaders) // 3) for count in Counter(leaders).values())


def test_not_to_who_is_away() -> None:
    """A node that is away, or behind, is given nothing; a shard without a leader is left alone."""
    reported = [(shard(1), cluster("n1", "n2")), (shard(2), cluster("n1", "n2")), (shard(3), cluster(None))]
    assert plan_leader_moves(reported) == [(shard(1), "n3")]
    assert plan_leader_moves([(shard(1), cluster("n1", "n2", "n3")), (shard(2), cluster("n1", "n2", "n3"))]) == []
