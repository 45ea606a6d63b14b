"""Three NATS nodes in front of a PostgreSQL with its standby, and two processes of each role, under load.

ROUNDS sets how often each fault is made; `make cluster` makes each ten times and shows it. A run of all tests makes two here,
and the others are for `make soak`. A node that leads a stream is cut off: nobody is refused or hung up on, so each of its peers
and clients has to notice by itself. And one process of each role is killed in the same moment: what it had answered, drained
or sent is somebody else's to finish, exactly once in the ledger and in order at the receivers.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cluster.deployment import ROUNDS, Deployment, say
from cluster.faults import (
    Cluster,
    Fault,
    intake_killed,
    moment,
    nats_leader_killed,
    nats_node_cut_off,
    nats_node_frozen,
    nats_node_killed,
    one_of_each_killed,
    postgresql_killed,
    postgresql_paused,
    recorder_killed,
    relay_killed,
    standby_promoted,
)
from cluster.network import POSSIBLE, Network
from cluster.primary_standby import Pair
from cluster.tcp_proxy import ProxiedCluster, TcpProxies
from nats_servers import NatsCluster

pytestmark = pytest.mark.timeout(300)  # the first test waits for fifteen processes to start

ROLES = {
    "relay-0": "relay,api",
    "relay-1": "relay,api",
    "recorder-0": "recorder",
    "recorder-1": "recorder",
    "intake-0": "intake",
    "intake-1": "intake",
}

OTHERS = (
    intake_killed,
    recorder_killed,
    relay_killed,
    postgresql_killed,
    postgresql_paused,
    standby_promoted,
    nats_leader_killed,
    nats_node_killed,
    nats_node_frozen,
)


def wired(stack: ExitStack, directory: Path) -> tuple[NatsCluster, Network | TcpProxies]:
    """Three nodes, and what connects them: namespaces where these are possible, or else this process."""
    if not POSSIBLE:
        proxies = stack.enter_context(TcpProxies())
        return stack.enter_context(ProxiedCluster(directory, proxies)), proxies
    network = stack.enter_context(Network(3))
    nats = NatsCluster(directory, hosts=network.hosts, prefixes=network.prefixes)
    return stack.enter_context(nats), network


@pytest.fixture(scope="module")
def cluster(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """All of it, each NATS node at the end of a cable of its own."""
    with ExitStack() as stack:
        nats, network = wired(stack, tmp_path_factory.mktemp("nats"))
        settings = {"ANSWERBACK_LEDGER__URL": pair.url, "ANSWERBACK_STREAM__URL": nats.url}
        deployment = Deployment(tmp_path_factory.mktemp("gateways"), ROLES, pair.rows, settings, in_order=False)
        yield Cluster(pair, stack.enter_context(deployment), nats, network)


@pytest.mark.parametrize(
    "fault",
    [
        nats_node_cut_off,
        one_of_each_killed,
        *[pytest.param(fault, marks=pytest.mark.soak) for fault in OTHERS],
    ],
)
def test_whatever_is_struck_the_cloud_is_answered(cluster: Cluster, fault: Fault) -> None:
    """Any one part may go: callbacks are answered meanwhile, are in the ledger once, and are delivered in order."""
    deployment = cluster.deployment
    for number in range(ROUNDS):
        with deployment.load() as load:
            load.await_answered(50)
            with fault(cluster, number):
                load.await_answered(50)
                moment()
            load.await_answered(30, *deployment.having("intake"))
        say(f"{fault.__name__} {number + 1}/{ROUNDS}: {deployment.check(load)}")
