"""Where the gateway may connect to: the address that is checked is the address that is connected to.

Whoever may add an endpoint must not reach what only this machine can: its own services, its network, the cloud's
metadata. A name is no proof, it can mean another address the next moment; so the check is made on the resolved address, in
the call that opens the socket.
"""

import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

METADATA = frozenset(
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
"""Where clouds tell a machine its secrets; refused to everybody, as are link-local addresses."""

_CARRIED = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96")))
"""Prefixes whose addresses end in an IPv4 address, which is what they mean."""

_NOT_ROUTED = tuple(map(ipaddress.ip_network, ("fec0::/10", "5f00::/16", "3fff::/20", "192.0.0.0/24", "100.64.0.0/10")))
"""What `is_global` of older Pythons takes for public."""


class AddressRefused(OSError):
    """The address is none that this endpoint may have."""


class Guard:
    """The rule for one sort of endpoint: `trusted` ones, from the config file, may be on private networks."""

    def __init__(self, allow_networks: Sequence[Network] = (), *, trusted: bool) -> None:
        self._allow_networks = allow_networks
        self._trusted = trusted

    def refusal(self, address: str) -> str | None:
        """Why `address` must not be connected to, in words; None where it may."""
        found = _bare(ipaddress.ip_address(address.partition("%")[0]))
        if found in METADATA or found.is_link_local:
            return f"{found} is a link-local or metadata address, which no endpoint may have"
        if found.is_multicast or found.is_unspecified or found == ipaddress.ip_address("255.255.255.255"):
            return f"{found} is the address of no host"
        if self._trusted or any(found in network for network in self._allow_networks):
            return None
        if found.is_loopback:
            return f"{found} is this machine itself; relay.allow_networks can allow it"
        if not found.is_global or found.is_reserved or any(found in network for network in _NOT_ROUTED):
            return f"{found} is a private address; relay.allow_networks can allow it"
        return None

    def open_socket(self, address: tuple[Any, ...]) -> socket.socket:
        """A socket to connect to `address`, as getaddrinfo gives it. Raises AddressRefused."""
        family, kind, protocol, _, where = address
        if problem := self.refusal(str(where[0])):
            raise AddressRefused(problem)
        return socket.socket(family, kind, protocol)


def _bare(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if any(address in network for network in _CARRIED) and int(address) > 1:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
