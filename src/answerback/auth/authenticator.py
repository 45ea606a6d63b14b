"""Letting people and programs in by their keys, at the console and at /v1 alike, within limits for who tries wrong ones."""

import asyncio
import math
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any
from weakref import WeakValueDictionary

import structlog

from answerback.auth.api_keys import KeyVerifier, hash_api_key
from answerback.auth.attempt_limits import AttemptLimiter
from answerback.auth.sign_in_links import SignInLinks
from answerback.domain.models import ApiKey
from answerback.errors import LedgerUnavailable, LinkRefused, TooManyAttempts

Networks = Sequence[IPv4Network | IPv6Network]

_WITH_PORT = re.compile(r"^(?:\[(.*)\]|([0-9.]+))(?::[0-9]+)?$")  # as some proxies write it
_LOOKUPS = 4  # keys looked up at a time: fewer than the connections that the ledger keeps open
_MAX_KNOWN = 4096

log = structlog.get_logger("answerback.auth.api_keys")


class Authenticator:
    """Says whose key is offered.

    The admin key, and every key that has opened here before, is let in whatever others do; only what is not known to be
    right is limited. So a flood of wrong keys neither guesses one, nor fills the log, nor locks anybody out who is in.
    """

    def __init__(
        self, verifier: KeyVerifier, limiter: AttemptLimiter, trusted_proxies: Networks, links: SignInLinks
    ) -> None:
        self._verifier = verifier
        self._links = links
        self._limiter = limiter
        self._trusted = trusted_proxies
        self._lookups = ThreadPoolExecutor(_LOOKUPS, "keys")  # its own, so that slow readers hold up no sign-in
        self._known_hashes: OrderedDict[bytes, None] = OrderedDict()
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        self._rejected = 0

    async def authenticate(self, offered: str, scope: Mapping[str, Any], by: str) -> ApiKey | None:
        """Whose key this is, or None. Raises LedgerUnavailable, TooManyAttempts."""
        if holder := self._verifier.verify_admin(offered):
            return holder
        digest = hash_api_key(offered)
        if digest not in self._known_hashes:
            # of one key one try at a time: many requests with a right one, at the start, are not as many tries
            async with self._locks.setdefault(digest, asyncio.Lock()):
                if digest not in self._known_hashes:
                    return await self._try(offered, digest, client_address(scope, self._trusted), by)
        return await self._look_up(offered, digest)

    async def redeem(self, code: str, scope: Mapping[str, Any]) -> ApiKey:
        """Whose sign-in link this is, which is used up; a right one is let in whatever others do.

        Raises LinkRefused, LedgerUnavailable, TooManyAttempts.
        """
        try:
            return await self._links.redeem(code)
        except LinkRefused:
            address = client_address(scope, self._trusted)
            self._acquire(address)
            self._log_wrong(address, "link")
            raise

    async def _try(self, offered: str, digest: bytes, address: str, by: str) -> ApiKey | None:
        """Look up a key that is not known to be right, within the limits."""
        self._acquire(address)
        try:
            key = await self._look_up(offered, digest)
        except LedgerUnavailable:
            self._limiter.refund(address)
            raise
        if key is None:
            self._log_wrong(address, by)
        else:
            self._limiter.refund(address)
        return key

    def _acquire(self, address: str) -> None:
        """Count a try. Raises TooManyAttempts."""
        if wait_s := self._limiter.try_acquire(address):
            self._rejected += 1
            raise TooManyAttempts(math.ceil(wait_s))

    def _log_wrong(self, address: str, by: str) -> None:
        log.warning("sign_in_failed", address=address, by=by, refused_before=self._rejected)
        self._rejected = 0

    async def _look_up(self, offered: str, digest: bytes) -> ApiKey | None:
        key = await asyncio.get_running_loop().run_in_executor(self._lookups, self._verifier.verify, offered)
        self._known_hashes.pop(digest, None)
        if key is not None:
            self._known_hashes[digest] = None
            if len(self._known_hashes) > _MAX_KNOWN:
                self._known_hashes.popitem(last=False)
        return key


def client_address(scope: Mapping[str, Any], trusted: Networks) -> str:
    """Who sent a request: the peer, or where that is a trusted proxy, the last in `X-Forwarded-For` that is not."""
    address = str(scope["client"][0]) if scope.get("client") else ""
    for hop in reversed(_forwarded_for(scope["headers"])):
        if not _is_in(address, trusted):
            break
        try:
            address = str(ip_address(_WITH_PORT.sub(r"\1\2", hop.strip())))
        except ValueError:  # no proxy of ours has written that
            break
    return address


def _forwarded_for(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    return [
        hop
        for name, value in headers
        if name.lower() == b"x-forwarded-for"
        for hop in value.decode("latin-1").split(",")
    ]


def _is_in(address: str, networks: Networks) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
