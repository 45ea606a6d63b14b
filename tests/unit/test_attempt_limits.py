"""How many wrong keys may be tried, and who it is that tries."""

from ipaddress import ip_network
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.auth import attempt_limits
from answerback.auth.attempt_limits import (
    ADDRESS_BURST,
    ADDRESS_PER_S,
    MAX_ADDRESSES,
    TOTAL_BURST,
    TOTAL_PER_S,
    AttemptLimiter,
)
from answerback.auth.authenticator import client_address

PROXIES = (ip_network("127.0.0.9/32"), ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """At its beginning."""
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> AttemptLimiter:
    """One that has seen nobody."""
    return AttemptLimiter(clock)


def spend(limiter: AttemptLimiter, address: str, most: int = 1000) -> int:
    """Try until it is refused; how many tries there were."""
    return next(n for n in count() if n == most or limiter.try_acquire(address))


def test_an_address_has_its_tries_and_gets_them_back_with_time(limiter: AttemptLimiter, clock: Clock) -> None:
    """After the burst one at a time; what is refused does not make the wait longer."""
    assert spend(limiter, "192.0.2.1") == ADDRESS_BURST
    assert limiter.try_acquire("192.0.2.1") == pytest.approx(1 / ADDRESS_PER_S)
    assert limiter.try_acquire("192.0.2.2") == 0
    clock.now_s += 1 / ADDRESS_PER_S + 1e-9
    assert spend(limiter, "192.0.2.1") == 1
    clock.now_s += 1e6
    assert spend(limiter, "192.0.2.1") == ADDRESS_BURST


def test_a_right_key_is_no_try(limiter: AttemptLimiter) -> None:
    """What is given back does not count."""
    for _ in range(10 * TOTAL_BURST):
        assert limiter.try_acquire("192.0.2.1") == 0
        limiter.refund("192.0.2.1")
    assert spend(limiter, "192.0.2.1") == ADDRESS_BURST


def test_all_together_are_bounded(limiter: AttemptLimiter, clock: Clock) -> None:
    """However many addresses somebody has."""
    made = sum(not limiter.try_acquire(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in range(3 * MAX_ADDRESSES))
    assert made == TOTAL_BURST
    clock.now_s += 60
    again = sum(not limiter.try_acquire(f"11.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in range(3 * MAX_ADDRESSES))
    assert again == 60 * TOTAL_PER_S


def test_so_many_addresses_are_remembered(limiter: AttemptLimiter, clock: Clock) -> None:
    """Of more, the one that tried longest ago is forgotten: its tries are whole again, those of all together are not."""
    for address in ("192.0.2.1", "192.0.2.2"):
        assert spend(limiter, address) == ADDRESS_BURST
    for n in range(MAX_ADDRESSES - 1):
        limiter.try_acquire(f"10.0.{n >> 8}.{n & 255}")
    clock.now_s += 60
    assert spend(limiter, "192.0.2.2") == 60 * ADDRESS_PER_S
    assert spend(limiter, "192.0.2.1") == ADDRESS_BURST


def test_a_site_is_one_address(limiter: AttemptLimiter) -> None:
    """Who has one IPv6 address has 2**64; an IPv4 address is the same in both spellings; what is none is one, too."""
    assert spend(limiter, "2001:db8::1") == ADDRESS_BURST
    assert limiter.try_acquire("2001:db8::ffff:2") > 0
    assert limiter.try_acquire("2001:db8:0:1::1") == 0
    assert spend(limiter, "192.0.2.1") == ADDRESS_BURST
    assert limiter.try_acquire("::ffff:192.0.2.1") > 0
    assert spend(limiter, "") == ADDRESS_BURST


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 30)), max_size=200))
def test_no_address_gets_more_than_its_share(tries: list[tuple[str, float]]) -> None:
    """Whatever the order and the times of tries."""
    clock = Clock()
    limiter = AttemptLimiter(clock)
    made = 0
    for site, pause_s in tries:
        clock.now_s += pause_s
        made += not limiter.try_acquire(f"192.0.2.{ord(site)}")
    assert made <= min(
        3 * (ADDRESS_BURST + clock.now_s * ADDRESS_PER_S), attempt_limits.TOTAL_BURST + clock.now_s * TOTAL_PER_S
    )


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
        ("127.0.0.9", [], "127.0.0.9"),
        ("127.0.0.9", ["198.51.100.7"], "198.51.100.7"),
        ("127.0.0.9", ["6.6.6.6, 198.51.100.7"], "198.51.100.7"),
        ("127.0.0.9", ["6.6.6.6", "198.51.100.7, 10.1.2.3"], "198.51.100.7"),
        ("127.0.0.9", ["10.1.2.3"], "10.1.2.3"),
        ("127.0.0.9", ["2001:db8::1,fd00::2"], "2001:db8::1"),
        ("127.0.0.9", ["6.6.6.6:80, 198.51.100.7:4711"], "198.51.100.7"),
        ("127.0.0.9", ["[2001:db8::1]:4711, [fd00::2]"], "2001:db8::1"),
        ("127.0.0.9", ["6.6.6.6, [198.51.100.7"], "127.0.0.9"),
        ("127.0.0.9", ["6.6.6.6, unknown"], "127.0.0.9"),
        ("127.0.0.9", [""], "127.0.0.9"),
        (None, ["198.51.100.7"], ""),
    ],
)
def test_who_tries_is_who_the_trusted_proxies_say(peer: str | None, forwarded: list[str], address: str) -> None:
    """The last that no proxy of ours is; what anybody may write in front of it counts for nothing."""
    headers = [(b"host", b"x"), *((b"X-Forwarded-For", value.encode()) for value in forwarded)]
    scope = {"client": None if peer is None else (peer, 1234), "headers": headers}
    assert client_address(scope, PROXIES) == address
