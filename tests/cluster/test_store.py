"""Two gateways on one PostgreSQL, under load: whatever is killed, what was answered is there once and is told.

Each gateway answers from an inbox of its own, so a database that crashes, hangs or fails over costs time, and no answer.

ROUNDS sets how often each fault is made; `make cluster` makes each ten times and shows it. Of all faults of clusters a run of
all tests makes the three that say most, and the others are for `make soak`. Here it is the primary that crashes alone: whoever
believes what it then says of its last commits loses them with the standby's promotion, so it is at once a crash, a wait, a
failover and a lie.
"""

from collections.abc import Iterator

import pytest
from cluster.deployment import ALL, ROUNDS, Deployment, say
from cluster.faults import (
    Cluster,
    Fault,
    intake_killed,
    moment,
    postgresql_killed,
    postgresql_killed_often,
    postgresql_paused,
    primary_restarted_alone,
    standby_killed_then_promoted,
    standby_promoted,
)
from cluster.primary_standby import Pair

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def cluster(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A PostgreSQL with its standby, and two gateways that do everything."""
    settings = {"ANSWERBACK_LEDGER__URL": pair.url}
    roles = {"first": ALL, "second": ALL}
    home = tmp_path_factory.mktemp("gateways")
    with Deployment(home, roles, pair.rows, settings, in_order=False) as deployment:  # each records what it was told
        yield Cluster(pair, deployment)


@pytest.mark.parametrize(
    "fault",
    [
        primary_restarted_alone,
        *[
            pytest.param(fault, marks=pytest.mark.soak)
            for fault in (
                postgresql_killed,
                postgresql_killed_often,
                postgresql_paused,
                standby_promoted,
                standby_killed_then_promoted,
            )
        ],
    ],
)
def test_a_database_that_is_away_refuses_nobody(cluster: Cluster, fault: Fault) -> None:
    """It crashes, hangs or waits for its standby: the cloud is answered, and all of it is in the ledger once, and told."""
    deployment = cluster.deployment
    for number in range(ROUNDS):
        with deployment.load() as load:
            load.await_answered(50)
            with fault(cluster, number):
                load.await_answered(50, *deployment.having("intake"))
            load.await_answered(30, *deployment.having("intake"))
        say(f"{fault.__name__} {number + 1}/{ROUNDS}: {deployment.check(load)}")
        assert (load.refused, load.unanswered) == (0, 0)


@pytest.mark.soak
def test_a_gateway_that_is_killed_loses_nothing(cluster: Cluster) -> None:
    """What it had answered is in its inbox: its next start records that."""
    deployment = cluster.deployment
    for number in range(ROUNDS):
        with deployment.load() as load:
            load.await_answered(50)
            with intake_killed(cluster, number):
                moment()
            load.await_answered(30, *deployment.having("intake"))
        say(f"killed {number + 1}/{ROUNDS}: {deployment.check(load)}")
