"""The connection breaks during a commit: the ledger says that it was done only where it was, for good."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import count

import pytest
from builders import received, status
from cluster.primary_standby import DATABASE, Pair
from receivers.process import await_true
from sqlalchemy import text
from sqlalchemy.engine import Connection

from answerback.errors import LedgerUnavailable
from answerback.ledger import Ledger, open_postgresql
from answerback.ledger.write.subscriptions import SubscriptionCache

NOTE = text("INSERT INTO alerts (rule, firing, since_us, value) VALUES ('noted', 0, 0, '')")
NOTED = "SELECT count(*) FROM alerts WHERE rule = 'noted'"

WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture
def ledger(pair: Pair) -> Iterator[Ledger]:
    """The ledger on whichever of the two is the primary."""
    pair.mend()
    with closing(open_postgresql(pair.url, lock_timeout_s=5.0, allow_unsafe=True)) as ledger:
        yield ledger


def test_a_commit_that_never_was_is_not_believed(pair: Pair, ledger: Ledger) -> None:
    """A crash forgets a transaction, whose id is given to another one; that this one was committed means nothing."""
    times = count()

    def work(connection: Connection, _outbox: SubscriptionCache) -> None:
        connection.execute(NOTE)
        if next(times) == 0:
            pair.primary.kill()
            pair.primary.restart()
            for number in range(5):
                pair.primary.execute(f"CREATE TABLE other_{number} ()", DATABASE)

    with suppress(LedgerUnavailable):
        ledger.write(work)
        assert pair.rows(NOTED) == [(1,)]


def test_a_commit_that_the_standby_has_not_got_is_not_believed(pair: Pair, ledger: Ledger) -> None:
    """A primary that crashed while a commit waited for the standby has it afterwards; alone it may still lose it."""
    ledger.probe()
    pair.standby.kill()
    with ThreadPoolExecutor(1) as pool:
        commit = pool.submit(ledger.record, [received(status())])
        await_true(lambda: pair.rows(WAITING), lambda: "no commit waits for the standby")
        pair.primary.kill()
        pair.primary.restart()
        time.sleep(0.5)  # enough to connect again, ask, and believe what must not be believed
        confirmed = commit.done() and commit.exception() is None
        pair.primary.kill()
        pair.standby.restart()
        pair.fail_over()
        with suppress(LedgerUnavailable):
            commit.result(30)
            confirmed = True
    assert not confirmed or pair.rows("SELECT count(*) FROM callbacks") == [(1,)]
