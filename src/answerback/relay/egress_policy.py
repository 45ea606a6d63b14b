"""SSRF protection: which addresses deliveries may connect to, checked on the very address that is connected to.

Whoever may add an endpoint must not reach what only this machine can: its own services, its network, the cloud's
metadata. A name is no proof, it can mean another address the next moment; so the check is made on the resolved address, in
the call that opens the socket. This machine's own public addresses are as much itself as loopback is.
"""

import contextlib
import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

METADATA_ADDRESSES = frozenset(
    map(
        ipaddress.ip_address,
        (
            "169.254.169.254",
            "169.254.0.23",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "fd00:ec2::254",
            "fd20:ce::254",
        ),
    )
)
"""Cloud metadata services; denied to every endpoint, as are link-local addresses."""

_IPV4_EMBEDDING = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "::ffff:0:0:0/96", "::/96")))
"""Prefixes whose addresses end in an IPv4 address, which is what they mean."""

_LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
"""A network's own translation into whatever IPv4 addresses it likes, RFC 8215; most end in one."""

_NOT_GLOBAL = tuple(
    map(
        ipaddress.ip_network,
        ("fec0::/10", "5f00::/16", "3fff::/20", "100:0:0:1::/64", "192.0.0.0/24", "192.88.99.0/24", "100.64.0.0/10"),
    )
)
"""What `is_global` of some Pythons takes for public."""


_ANY_PORT = 9


class AddressDenied(OSError):
    """The egress policy denies this address."""


def is_ip_address(host: str) -> bool:
    """Whether a host is an address and not a name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


class EgressPolicy:
    """The addresses that endpoints may have; `trusted` ones, from the config file, may be on private networks."""

    def __init__(self, allowed_networks: Sequence[Network] = (), *, trusted: bool) -> None:
        self._allowed_networks = allowed_networks
        self._trusted = trusted

    def denial_reason(self, address: str) -> str | None:
        """Return why connecting to `address` is denied, or None."""
        original = ipaddress.ip_address(address.partition("%")[0])
        found = _embedded_ipv4(original)
        if _is_metadata_or_link_local(found) or (
            original in _LOCAL_NAT64 and _is_metadata_or_link_local(_last_four_bytes(original))
        ):
            return f"{found} is a link-local or metadata address, which no endpoint may have"
        if found.is_multicast or found.is_unspecified or found == ipaddress.ip_address("255.255.255.255"):
            return f"{found} is not the address of a host"
        if self._trusted or any(found in network for network in self._allowed_networks):
            return None
        if found.is_loopback or _is_own(original) or _is_own(found):
            return f"{found} is this machine itself; relay.allowed_networks can allow it"
        if not found.is_global or found.is_reserved or any(found in network for network in _NOT_GLOBAL):
            return f"{found} is a private address; relay.allowed_networks can allow it"
        return None

    def open_socket(self, address: tuple[Any, ...]) -> socket.socket:
        """Open a socket for `address`, as getaddrinfo returns it. Raises AddressDenied."""
        family, kind, protocol, _, where = address
        if problem := self.denial_reason(str(where[0])):
            raise AddressDenied(problem)
        return socket.socket(family, kind, protocol)


def _is_metadata_or_link_local(address: Address) -> bool:
    return address in METADATA_ADDRESSES or address.is_link_local


def _is_own(address: Address) -> bool:
    """Whether `address` is one of this machine's: the system would connect to it from itself. Nothing is sent."""
    family = socket.AF_INET if isinstance(address, ipaddress.IPv4Address) else socket.AF_INET6
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:  # no way there: not ours
        probe.connect((str(address), _ANY_PORT))
        return ipaddress.ip_address(probe.getsockname()[0]) == address
    return False


def _embedded_ipv4(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if any(address in network for network in _IPV4_EMBEDDING) and int(address) > 1:
        return _last_four_bytes(address)
    return address


def _last_four_bytes(address: Address) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
