"""Two gateways on one PostgreSQL, under load: whatever is killed, what was answered is there once and is told.

ROUNDS sets how often each strike is made; `make cluster` makes each ten times and shows it. Of all strikes on clusters a run of
all tests makes the three that say most, and the others are for `make soak`. Here it is the primary that crashes alone: whoever
believes what it then says of its last commits loses them with the standby's promotion, so it is at once a crash, a wait that
must be refused, a failover and a lie.
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
    settings = {"ANSWERBACK_LEDGER__URL": pair.url, "ANSWERBACK_INTAKE__COMMIT_TIMEOUT_S": "2.5"}
    roles = {"first": ALL, "second": ALL}
    with Deployment(tmp_path_factory.mktemp("gateways"), roles, pair.rows, settings) as deployment:
        yield Cluster(pair, deployment)


@pytest.mark.soak
@pytest.mark.parametrize("fault", [postgresql_killed, intake_killed, postgresql_killed_often, standby_promoted])
def test_killed_under_load_nothing_answered_is_lost(cluster: Cluster, fault: Fault) -> None:
    """A gateway or the database is killed: what was answered is in the ledger once, and delivered in order."""
    deployment = cluster.deployment
    for number in range(ROUNDS):
        with deployment.load() as load:
            load.await_answered(50)
            with fault(cluster, number):
                moment()
            load.await_answered(30, *deployment.having("intake"))
        say(f"{fault.__name__} {number + 1}/{ROUNDS}: {deployment.check(load)}")


@pytest.mark.parametrize(
    "fault",
    [
        primary_restarted_alone,
        *[pytest.param(fault, marks=pytest.mark.soak) for fault in (postgresql_paused, standby_killed_then_promoted)],
    ],
)
def test_what_cannot_be_confirmed_is_refused(cluster: Cluster, fault: Fault) -> None:
    """A database that hangs, or waits for its standby, confirms nothing: the cloud is answered 503 until it does again."""
    deployment = cluster.deployment
    for number in range(ROUNDS):
        with deployment.load() as load:
            load.await_answered(50)
            with fault(cluster, number):
                load.await_refused(20)
            load.await_answered(30, *deployment.having("intake"))
        assert load.unanswered == 0
        say(f"{fault.__name__} {number + 1}/{ROUNDS}: {deployment.check(load)}")
