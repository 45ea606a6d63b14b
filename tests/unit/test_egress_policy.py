import ipaddress
import socket
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.relay.egress_policy import METADATA_ADDRESSES, AddressDenied, EgressPolicy, Network

EVERYTHING = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))

API = EgressPolicy(trusted=False)
CONFIG = EgressPolicy(trusted=True)
ALLOWED = EgressPolicy(EVERYTHING, trusted=False)

PUBLIC = [
    "1.1.1.1",
    "93.184.216.34",
    "223.255.255.254",
    "172.15.255.255",
    "172.32.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "2606:4700:4700::1111",
    "2400:3200::1",
    "::ffff:1.1.1.1",
    "64:ff9b::1.1.1.1",
    "2002:101:101::1",
    "::1.1.1.1",
]
LOOPBACK = [
    "127.0.0.1",
    "127.255.255.254",
    "::1",
    "::ffff:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "2002:7f00:1::",
    "::127.0.0.1",
]
PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.127.255.254",
    "0.1.2.3",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "240.0.0.1",
    "fd12:3456::1",
    "fc00::1",
    "fd12:3456::1%eth0",
    "2001:db8::1",
    "100::1",
    "::ffff:10.0.0.1",
    "64:ff9b::192.168.1.1",
    "2002:ac10:1::1",
    "::100.64.0.1",
]
UNROUTED = [
    "fec0::1",  # site-local, RFC 3879
    "64:ff9b:1::7f00:1",  # NAT64 of a network's own, RFC 8215
    "64:ff9b:1::808:808",
    "64:ff9b:1:fffe:a:0:808:808",
    "2001::1",  # Teredo
    "2001:0:101:101:0:0:fefe:fefe",
    "100:0:0:1::1",  # dummy, RFC 9780
    "192.88.99.1",  # 6to4 relays, RFC 7526
    "2002:c058:6301::1",
    "4000::1",  # not handed out
    "64:ff9b:2::1",
    "2001:2::1",  # benchmarks
    "64:ff9b:1::a9fe:a9fe",
    "::ffff:0:127.0.0.1",  # IPv4-translated, RFC 2765
    "::ffff:0:a9fe:a9fe",
    "5f00::1",  # segment routing, RFC 9602
    "3fff::1",  # documentation, RFC 9637
    "192.0.0.8",  # IPv4 dummy address, RFC 7600
]
NO_HOST = [
    "0.0.0.0",
    "::",
    "::ffff:0.0.0.0",
    "64:ff9b::",
    "2002::",
    "224.0.0.1",
    "239.255.255.255",
    "ff02::1",
    "ff02::1%eth0",
    "::ffff:224.0.0.1",
    "255.255.255.255",
    "::ffff:255.255.255.255",
]
LINK_LOCAL = [
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "fe80::1",
    "fe80::1%eth0",
    "fe80::1%1",
    "febf::1",
    "::ffff:169.254.169.254",
    "64:ff9b::169.254.169.254",
    "2002:a9fe:a9fe::1",
    "::169.254.169.254",
]
CLOUDS = {
    "AWS, Google, Azure, Oracle": "169.254.169.254",
    "Tencent": "169.254.0.23",
    "Alibaba": "100.100.100.200",
    "Oracle": "192.0.0.192",
    "Azure": "168.63.129.16",
    "AWS, IPv6": "fd00:ec2::254",
    "Google, IPv6": "fd20:ce::254",
}

V4 = st.ip_addresses(v=4).map(str)
V6 = st.ip_addresses(v=6).map(str)
EMBEDDED = st.builds(
    lambda prefix, v4: str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | int(v4))),
    st.sampled_from(["::", "::ffff:0:0", "64:ff9b::", "64:ff9b:1::", "2002::", "fe80::5efe:0:0"]),
    st.ip_addresses(v=4),
)
NEARBY = st.one_of(
    st.sampled_from([*PUBLIC, *LOOPBACK, *PRIVATE, *NO_HOST, *LINK_LOCAL]),
    *[st.ip_addresses(network=network).map(str) for network in ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16")],
)
ZONED = st.builds("{}%{}".format, V6, st.sampled_from(["eth0", "1", ""]))
ADDRESSES = st.one_of(V4, V6, EMBEDDED, NEARBY, ZONED)
NETWORKS = st.lists(
    st.sampled_from(["10.0.0.0/8", "127.0.0.0/8", "0.0.0.0/0", "fd00::/8", "::/0", "::1/128"]).map(ipaddress.ip_network)
)


def info(address: str) -> tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]:
    """`address` as getaddrinfo gives it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, 443)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_for_everybody(address: str) -> None:
    """What the whole internet can reach, whoever made the endpoint; also where an IPv6 address carries it."""
    assert [guard.denial_reason(address) for guard in (API, CONFIG, ALLOWED)] == [None, None, None]


@pytest.mark.parametrize("address", LOOPBACK)
def test_this_machine_is_for_trusted_endpoints(address: str) -> None:
    """Loopback is refused to the API in any spelling, and the words name the setting that can allow it."""
    assert "is this machine itself; relay.allowed_networks" in (API.denial_reason(address) or "")
    assert CONFIG.denial_reason(address) is None
    assert ALLOWED.denial_reason(address) is None


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_for_trusted_endpoints(address: str) -> None:
    """Private, shared, documentation and benchmark networks are refused to the API, with the setting to change."""
    assert "is a private address; relay.allowed_networks" in (API.denial_reason(address) or "")
    assert CONFIG.denial_reason(address) is None
    assert ALLOWED.denial_reason(address) is None


@pytest.mark.parametrize("address", UNROUTED)
def test_what_the_internet_does_not_route_is_refused_to_the_api(address: str) -> None:
    """Also where Python's tables of this version take it for global: IANA does not list it as globally reachable."""
    assert API.denial_reason(address) is not None


@pytest.mark.parametrize("address", LINK_LOCAL)
def test_link_local_addresses_are_for_nobody(address: str) -> None:
    """In any spelling, with and without a zone; no setting allows them, and the words do not suggest one."""
    for guard in (API, CONFIG, ALLOWED):
        words = guard.denial_reason(address) or ""
        assert "link-local or metadata address, which no endpoint may have" in words
        assert "allowed_networks" not in words


@pytest.mark.parametrize("address", CLOUDS.values(), ids=CLOUDS)
def test_metadata_addresses_are_for_nobody(address: str) -> None:
    """Where a cloud tells a machine its secrets no endpoint may be, allowed_networks or not."""
    for guard in (API, CONFIG, ALLOWED, EgressPolicy([ipaddress.ip_network(address)], trusted=True)):
        assert "link-local or metadata address" in (guard.denial_reason(address) or "")


@pytest.mark.parametrize("address", sorted(map(str, METADATA_ADDRESSES)))
def test_each_known_metadata_address_is_refused_in_every_spelling(address: str) -> None:
    """An IPv4 one also where an IPv6 address carries it."""
    spellings = [address]
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv4Address):
        high, low = int(found) >> 16, int(found) & 0xFFFF
        spellings += [f"::ffff:{address}", f"64:ff9b::{address}", f"::{address}", f"2002:{high:x}:{low:x}::1"]
    for guard in (API, CONFIG, ALLOWED):
        assert [spelling for spelling in spellings if guard.denial_reason(spelling) is None] == []


@pytest.mark.parametrize("address", NO_HOST)
def test_what_is_no_host_is_for_nobody(address: str) -> None:
    """Unspecified, multicast and broadcast addresses are never connected to."""
    for guard in (API, CONFIG, ALLOWED):
        assert "is not the address of a host" in (guard.denial_reason(address) or "")


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("10.1.0.0/16", "10.1.2.3", "10.2.0.1"),
        ("127.0.0.1/32", "127.0.0.1", "127.0.0.2"),
        ("100.64.0.0/10", "100.64.0.1", "192.168.0.1"),
        ("10.1.0.0/16", "::ffff:10.1.2.3", "::ffff:10.2.0.1"),
        ("fd12::/16", "fd12::1", "fd13::1"),
        ("::1/128", "::1", "127.0.0.1"),
        ("0.0.0.0/0", "10.0.0.1", "fd12::1"),
        ("::/0", "fd12::1", "10.0.0.1"),
        ("64:ff9b:1::/48", "64:ff9b:1::10.0.0.1", "64:ff9b::10.0.0.1"),
    ],
)
def test_allow_networks_allows_what_it_names(network: str, inside: str, outside: str) -> None:
    """A named network is open to endpoints made through the API, the next one stays closed."""
    guard = EgressPolicy([ipaddress.ip_network(network)], trusted=False)
    assert guard.denial_reason(inside) is None
    assert guard.denial_reason(outside) is not None


def test_the_error_names_the_address_that_is_meant() -> None:
    """An IPv6 address that carries an IPv4 one counts as that."""
    assert (API.denial_reason("64:ff9b::10.0.0.1") or "").startswith("10.0.0.1 is")
    assert (API.denial_reason("::ffff:127.0.0.1") or "").startswith("127.0.0.1 is")
    assert (API.denial_reason("fe80::1%eth0") or "").startswith("fe80::1 is")


@given(ADDRESSES, NETWORKS, st.booleans())
def test_the_socket_follows_the_rule(address: str, allowed: list[Network], trusted: bool) -> None:  # noqa: FBT001  # drawn
    """Whatever the address: a socket where it may be connected to, AddressRefused with the words where not."""
    guard = EgressPolicy(allowed, trusted=trusted)
    words = guard.denial_reason(address)
    if words is None:
        with closing(guard.open_socket(info(address))) as opened:
            assert opened.family == info(address)[0]
    else:
        with pytest.raises(AddressDenied) as refused:
            guard.open_socket(info(address))
        assert str(refused.value) == words


@given(ADDRESSES)
def test_what_a_trusted_endpoint_may_not_nobody_may(address: str) -> None:
    """Each sort of endpoint may at least what the one before it may: the API, with allowed_networks, the config file."""
    allowed = [guard.denial_reason(address) is None for guard in (API, ALLOWED, CONFIG)]
    assert allowed == sorted(allowed)
    assert allowed[1] == allowed[2]


@given(st.ip_addresses(v=4))
def test_no_wrapping_makes_an_address_better(address: ipaddress.IPv4Address) -> None:
    """What is refused as an IPv4 address is refused in whichever IPv6 address carries it."""
    high, low = int(address) >> 16, int(address) & 0xFFFF
    wrapped = [f"::ffff:{address}", f"64:ff9b::{address}", f"2002:{high:x}:{low:x}::1"]
    for guard in (API, CONFIG):
        if guard.denial_reason(str(address)) is not None:
            assert [spelling for spelling in wrapped if guard.denial_reason(spelling) is None] == []
