from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from threading import Barrier

import pytest
from builders import NOON, key_press, received
from contract.backends import OpenLedger
from contract.delivery_helpers import accept, attempt, endpoint, load, load_one, remove, tried, undelivered
from hypothesis import given
from hypothesis import strategies as st

from answerback.domain.delivery_states import DeliveryTransition
from answerback.domain.endpoints import DeliveryState
from answerback.ledger import Ledger
from answerback.ledger.admin import instances, leases
from answerback.ledger.admin.instances import Instance
from answerback.ledger.admin.leases import ClaimResult, fair_share
from answerback.ledger.types import AttemptRecord, DeliveryJob
from answerback.ledger.write import attempts

LONG_US = 60_000_000
OVER_US = -1
"""A lease that is over as soon as it is taken."""


def arrive(ledger: Ledger, member: str, roles: Sequence[str] = ("relay",)) -> None:
    """A process says that it is there."""
    who = Instance(id=member, host="host", pid=1, roles=list(roles), version="1", started_us=0)
    ledger.write(lambda c, _: instances.heartbeat(c, who, {}))


def claim(
    ledger: Ledger, member: str, *, here: Sequence[int] = (), singletons: Sequence[str] = (), ttl_us: int = LONG_US
) -> ClaimResult:
    """What a process gets."""
    return ledger.write(lambda c, _: leases.claim(c, member, here, singletons, ttl_us))


def ids(claimed: ClaimResult) -> list[int]:
    """The endpoints that are new to a process."""
    return [one.id for one in claimed.acquired]


def held(ledger: Ledger) -> dict[str, str]:
    """Who holds what."""
    return {lease.name: lease.holder for lease in ledger.read(leases.find_leases)}


def release(ledger: Ledger, member: str, endpoint_ids: Sequence[int] | None = None) -> int:
    """Some are given back, or all."""
    names = None if endpoint_ids is None else [leases.lease_name(id_) for id_ in endpoint_ids]
    return ledger.write(lambda c, _: leases.release(c, member, names))


def endpoints(ledger: Ledger, count: int) -> list[int]:
    """The ids of new endpoints."""
    return [endpoint(ledger, f"e{n}").id for n in range(count)]


def test_who_is_alone_gets_all(ledger: Ledger) -> None:
    """Every endpoint, as it stands in the ledger, and every singleton task; a later claim keeps them."""
    made = [endpoint(ledger, "a"), endpoint(ledger, "b", enabled=False)]
    claimed = claim(ledger, "m1", singletons=["overdue", "alerts"])
    assert claimed == ClaimResult(renewed=[], acquired=made, excess=[], singletons=["alerts", "overdue"])
    here = [one.id for one in made]
    assert claim(ledger, "m1", here=here, singletons=["overdue", "alerts"]) == ClaimResult(
        renewed=here, acquired=[], excess=[], singletons=["alerts", "overdue"]
    )


def test_nobody_gets_what_another_has(reopen: OpenLedger) -> None:
    """As long as the lease lasts, whoever claims, and by whichever connection."""
    one, other = reopen(), reopen()
    endpoints(one, 3)
    assert len(ids(claim(one, "m1", singletons=["overdue"]))) == 3
    assert claim(other, "m2", singletons=["overdue"]) == ClaimResult([], [], [], [])


def test_what_has_run_out_is_taken_over(ledger: Ledger) -> None:
    """By whoever comes first; the former holder hears that it has it no longer."""
    made = endpoints(ledger, 2)
    claim(ledger, "m1", singletons=["overdue"], ttl_us=OVER_US)
    taken = claim(ledger, "m2", singletons=["overdue"])
    assert (ids(taken), taken.singletons) == (made, ["overdue"])
    assert claim(ledger, "m1", here=made, singletons=["overdue"]) == ClaimResult([], [], [], [])


def test_what_has_run_out_and_nobody_took_is_kept(ledger: Ledger) -> None:
    """Nobody else has delivered to these endpoints meanwhile, so nothing that is in memory has become wrong."""
    made = endpoints(ledger, 2)
    claim(ledger, "m1", ttl_us=OVER_US)
    assert claim(ledger, "m1", here=made).renewed == made


def test_what_was_lost_and_won_again_counts_as_taken(ledger: Ledger) -> None:
    """Another process has delivered to it meanwhile: what was in memory is not to be trusted."""
    made = endpoints(ledger, 1)
    claim(ledger, "m1", ttl_us=OVER_US)
    claim(ledger, "m2", ttl_us=OVER_US)
    again = claim(ledger, "m1", here=made)
    assert (again.renewed, ids(again)) == ([], made)


def test_what_is_held_and_not_in_hand_counts_as_taken(ledger: Ledger) -> None:
    """The answer to the claim that took it was lost."""
    made = endpoints(ledger, 2)
    claim(ledger, "m1")
    again = claim(ledger, "m1", here=made[:1])
    assert (again.renewed, ids(again)) == (made[:1], made[1:])


def test_shares_are_fair(ledger: Ledger) -> None:
    """Who relays and is there counts; who has more than its share hears of it, and gives back what it likes."""
    made = endpoints(ledger, 5)
    for member in ("m1", "m2"):
        arrive(ledger, member)
    arrive(ledger, "m0", roles=["api"])
    first = claim(ledger, "m1")
    assert ids(first) == made[:3]
    assert ids(claim(ledger, "m2")) == made[3:]
    arrive(ledger, "m3")
    kept = claim(ledger, "m1", here=made[:3])
    assert (kept.renewed, kept.excess) == (made[:3], made[2:3])
    assert ids(claim(ledger, "m3")) == []
    assert release(ledger, "m1", kept.excess) == 1
    assert ids(claim(ledger, "m3")) == made[2:3]


def test_a_process_that_left_has_no_share(ledger: Ledger) -> None:
    """What it gave back is the others' at once."""
    made = endpoints(ledger, 4)
    for member in ("m1", "m2"):
        arrive(ledger, member)
    mine = ids(claim(ledger, "m1"))
    claim(ledger, "m2")
    ledger.write(lambda c, _: instances.deregister(c, "m2"))
    assert release(ledger, "m2") == 2
    assert claim(ledger, "m1", here=mine).renewed == mine
    assert set(held(ledger).values()) == {"m1"}
    assert len(held(ledger)) == len(made)


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 20), min_size=1, max_size=9), st.integers(0, 100))
def test_shares_add_up(held: dict[str, int], count: int) -> None:
    """No endpoint is nobody's, no two shares differ by more than one, and who holds more has no smaller one."""
    shares = {name: fair_share(name, held, count) for name in held}
    assert sum(shares.values()) == count
    assert max(shares.values()) - min(shares.values()) <= 1
    assert all(shares[a] >= shares[b] for a in held for b in held if held[a] > held[b])


@given(st.lists(st.sampled_from("abcd"), min_size=0, max_size=40), st.permutations("abcd" * 12))
def test_shares_come_to_rest(holders: list[str], turns: list[str]) -> None:
    """Whoever claims when, after some rounds everybody holds its share, and nothing changes hands any more."""
    held, free = Counter({name: holders.count(name) for name in "abcd"}), 0
    for name in turns:
        share = fair_share(name, held, len(holders))
        change = min(share - held[name], free)
        held[name] += change
        free -= change
    assert free == 0
    assert [fair_share(name, held, len(holders)) for name in "abcd"] == [held[name] for name in "abcd"]


def test_nothing_changes_hands_for_nothing(ledger: Ledger) -> None:
    """What does not divide evenly stays where it is, whoever comes."""
    made = endpoints(ledger, 1)
    for member in ("m2", "m1"):
        arrive(ledger, member)
        claim(ledger, member)
    assert claim(ledger, "m2", here=made) == ClaimResult(renewed=made, acquired=[], excess=[], singletons=[])


def test_a_release_gives_back_only_ones_own(ledger: Ledger) -> None:
    """Who comes too late with it takes nothing from the new holder."""
    made = endpoints(ledger, 1)
    claim(ledger, "m1", ttl_us=OVER_US)
    claim(ledger, "m2")
    assert release(ledger, "m1", made) == 0
    assert release(ledger, "m1") == 0
    assert held(ledger) == {f"endpoint:{made[0]}": "m2"}


def test_a_removed_endpoint_is_nobodys(ledger: Ledger) -> None:
    """Its holder hears it with the next claim, and a new endpoint is there to be taken."""
    gone = endpoint(ledger, "gone")
    claim(ledger, "m1")
    remove(ledger, gone)
    new = endpoint(ledger, "new")
    claimed = claim(ledger, "m1", here=[gone.id])
    assert (claimed.renewed, ids(claimed)) == ([], [new.id])
    assert held(ledger) == {f"endpoint:{new.id}": "m1"}


def test_those_that_claim_at_once_get_different_ones(reopen: OpenLedger) -> None:
    """Each its share, at the latest with the next claim, and none of them waits for another's delivery."""
    ledgers = {f"m{n}": reopen() for n in range(4)}
    made = endpoints(ledgers["m0"], 20)
    for member, ledger in ledgers.items():
        arrive(ledger, member)
    together = Barrier(len(ledgers))

    def claim_twice(member: str) -> list[int]:
        together.wait()
        first = ids(claim(ledgers[member], member))
        return [*first, *ids(claim(ledgers[member], member, here=first))]

    with ThreadPoolExecutor(len(ledgers)) as pool:
        taken = list(pool.map(claim_twice, ledgers))
    assert [len(mine) for mine in taken] == [5] * 4
    assert sorted(chain(*taken)) == made


# What comes of an attempt when the lease is lost


def settle_as(ledger: Ledger, member: str, *settled: AttemptRecord) -> list[DeliveryJob]:
    """Keep what a process attempted, as far as it is still its to decide."""
    return ledger.write(
        lambda c, box: attempts.record_attempts(
            c, box, settled, [], NOON, leased=leases.still_held(c, member, {one.endpoint_id for one in settled})
        )
    )


@pytest.mark.parametrize(
    "cause", [DeliveryTransition.SUCCEEDED, DeliveryTransition.ATTEMPT_FAILED, DeliveryTransition.EXHAUSTED]
)
def test_who_lost_its_lease_decides_nothing(ledger: Ledger, cause: DeliveryTransition) -> None:
    """The attempt is kept; the delivery and what waits behind it are the new holder's."""
    to = endpoint(ledger)
    ledger.record([received(key_press(key=key)) for key in "12"])
    claim(ledger, "m1", ttl_us=OVER_US)
    job = load_one(ledger, to)
    claim(ledger, "m2")
    assert settle_as(ledger, "m1", attempt(job, cause)) == []
    assert [(one.state, one.attempts, one.failed_attempts) for one in undelivered(ledger)] == [
        (DeliveryState.PENDING, 0, 0),
        (DeliveryState.BLOCKED, 0, 0),
    ]
    assert len(tried(ledger)) == 1
    assert len(accept(ledger, *load(ledger, to))) == 1


def test_who_has_its_lease_decides(ledger: Ledger) -> None:
    """Also one that has run out, as long as nobody took it; and about an endpoint that was removed."""
    to = endpoint(ledger)
    ledger.record([received(key_press())])
    claim(ledger, "m1", ttl_us=OVER_US)
    settle_as(ledger, "m1", attempt(load_one(ledger, to), DeliveryTransition.SUCCEEDED, status=200))
    assert [one.state for one in undelivered(ledger)] == [DeliveryState.DELIVERED]
    remove(ledger, to)
    claim(ledger, "m2")
    assert ledger.write(lambda c, _: leases.still_held(c, "m1", {to.id})) == {to.id}
