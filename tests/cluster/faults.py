"""What can happen to the parts of a cluster: each fault is a block, at whose end the part is back."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import NamedTuple

from cluster.deployment import Deployment
from cluster.network import Network
from cluster.primary_standby import Pair
from cluster.tcp_proxy import TcpProxies
from gateway import Gateway
from nats_servers import NatsCluster


class Cluster(NamedTuple):
    """All there is."""

    pair: Pair
    deployment: Deployment
    nats: NatsCluster | None = None
    network: Network | TcpProxies | None = None

    @property
    def stream(self) -> NatsCluster:
        """The NATS servers of a cluster that has some."""
        assert self.nats is not None, "no stream"
        return self.nats


Fault = Callable[[Cluster, int], AbstractContextManager[None]]
"""Makes a fault in a cluster, for the n-th time."""


# Processes of Answerback.


@contextmanager
def kill_one(gateways: list[Gateway], number: int) -> Iterator[None]:
    """SIGKILL to one of them, each in turn."""
    gateway = gateways[number % len(gateways)]
    gateway.kill()
    yield
    gateway.start()


def intake_killed(cluster: Cluster, number: int) -> AbstractContextManager[None]:
    """An intake is killed: the cloud meets the other one."""
    return kill_one(cluster.deployment.having("intake"), number)


def recorder_killed(cluster: Cluster, number: int) -> AbstractContextManager[None]:
    """A recorder is killed in the midst of what it drains."""
    return kill_one(cluster.deployment.having("recorder"), number)


def relay_killed(cluster: Cluster, number: int) -> AbstractContextManager[None]:
    """A relay is killed with attempts under way: another one takes over its endpoints."""
    return kill_one(cluster.deployment.having("relay"), number)


@contextmanager
def one_of_each_killed(cluster: Cluster, number: int) -> Iterator[None]:
    """One process of each role is killed in the same moment, with all that it was at."""
    with ExitStack() as stack:
        for role in ("intake", "recorder", "relay"):
            stack.enter_context(kill_one(cluster.deployment.having(role), number))
        yield


# PostgreSQL.


@contextmanager
def postgresql_killed(cluster: Cluster, _number: int) -> Iterator[None]:
    """The primary crashes with all its processes, and recovers."""
    cluster.pair.primary.kill()
    yield
    cluster.pair.primary.restart()


@contextmanager
def postgresql_killed_often(cluster: Cluster, _number: int) -> Iterator[None]:
    """The primary crashes again as soon as it has recovered, five times, each time in the midst of commits."""
    for _ in range(5):
        cluster.pair.primary.kill()
        cluster.pair.primary.restart()
        moment()
    yield


@contextmanager
def postgresql_paused(cluster: Cluster, _number: int) -> Iterator[None]:
    """The primary hangs: it accepts connections, and answers nobody."""
    cluster.pair.primary.pause()
    yield
    cluster.pair.primary.resume()


@contextmanager
def standby_promoted(cluster: Cluster, _number: int) -> Iterator[None]:
    """The primary crashes, the standby takes over, and later has a standby of its own."""
    cluster.pair.fail_over()
    yield
    cluster.pair.follow()


@contextmanager
def standby_killed_then_promoted(cluster: Cluster, _number: int) -> Iterator[None]:
    """The standby crashes, so that nothing may be confirmed; then the primary does, and the standby takes over."""
    pair = cluster.pair
    pair.standby.kill()
    yield
    pair.primary.kill()
    pair.standby.restart()
    pair.fail_over()
    pair.follow()


@contextmanager
def primary_restarted_alone(cluster: Cluster, number: int) -> Iterator[None]:
    """The same, and the primary crashes in between, while commits wait for the standby.

    It comes back with what it has written of them: it would say that they were committed. The standby knows nothing.
    """
    with standby_killed_then_promoted(cluster, number):
        moment()
        cluster.pair.primary.kill()
        cluster.pair.primary.restart()
        yield


# NATS.


@contextmanager
def nats_node_killed(cluster: Cluster, number: int) -> Iterator[None]:
    """One of the nodes is killed, each in turn."""
    node = number % len(cluster.stream.nodes)
    cluster.stream.kill(node)
    yield
    cluster.stream.restart(node)


@contextmanager
def nats_leader_killed(cluster: Cluster, number: int) -> Iterator[None]:
    """The node that leads one of the streams is killed."""
    streams = streams_of(cluster.stream)
    leader = cluster.stream.leader(streams[number % len(streams)])
    cluster.stream.kill(leader)
    yield
    cluster.stream.restart(leader)


@contextmanager
def nats_node_frozen(cluster: Cluster, number: int) -> Iterator[None]:
    """A node stops in its tracks; its connections stay."""
    node = number % len(cluster.stream.nodes)
    cluster.stream.pause(node)
    yield
    cluster.stream.resume(node)
    cluster.stream.wait_ready()


@contextmanager
def nats_node_cut_off(cluster: Cluster, number: int) -> Iterator[None]:
    """The node that leads one of the streams hears from nobody, and nobody from it."""
    assert cluster.network is not None, "no network"
    streams = streams_of(cluster.stream)
    leader = cluster.stream.leader(streams[number % len(streams)])
    cluster.network.cut(leader)
    yield
    cluster.network.heal(leader)
    cluster.stream.wait_ready()


def streams_of(nats: NatsCluster) -> list[str]:
    """The names of the streams that there are."""
    reported = nats.nodes[nats.running[0]].ask("/jsz", accounts="true", streams="true") or {}
    names = {
        found["name"] for account in reported.get("account_details", []) for found in account.get("stream_detail", [])
    }
    assert names, "no streams"
    return sorted(names)


def moment() -> None:
    """Some time, which is not the same each time."""
    time.sleep(random.uniform(0.3, 1.0))  # any moment: to await an event would choose it
