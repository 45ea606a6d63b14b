"""How many wrong keys may be tried: of each address, and of all together; pure, in bounded memory."""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

ADDRESS_BURST = 20
ADDRESS_PER_S = 1 / 6
TOTAL_BURST = 100
TOTAL_PER_S = 1.0

MAX_ADDRESSES = 4096
"""So many are remembered; of more, the one that tried longest ago is forgotten. All together stay bounded."""

_IPV6_SITE_BITS = 64  # whoever has one IPv6 address has at least so many


class _TokenBucket:
    """Tokens that come back with time; each try takes one."""

    def __init__(self, burst: int, per_s: float, now_s: float) -> None:
        self._burst = burst
        self._per_s = per_s
        self._tokens = float(burst)
        self._at_s = now_s

    def wait_s(self, now_s: float) -> float:
        """Seconds until there is a token; 0: there is one."""
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        return max(0.0, (1 - self._tokens) / self._per_s)

    def change(self, tokens: int) -> None:
        self._tokens += tokens


class AttemptLimiter:
    """Decides whether an address may try an unknown key; a valid key does not count as a try."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._total = _TokenBucket(TOTAL_BURST, TOTAL_PER_S, clock())
        self._by_address: OrderedDict[str, _TokenBucket] = OrderedDict()

    def try_acquire(self, address: str) -> float:
        """Count a try; seconds to wait where it may not be made, and then it is not counted."""
        now_s = self._clock()
        bucket = self._bucket_for(address, now_s)
        wait_s = max(bucket.wait_s(now_s), self._total.wait_s(now_s))
        if not wait_s:
            bucket.change(-1)
            self._total.change(-1)
        return wait_s

    def refund(self, address: str) -> None:
        """A try was right, or nobody could say whether it was."""
        self._bucket_for(address, self._clock()).change(1)
        self._total.change(1)

    def _bucket_for(self, address: str, now_s: float) -> _TokenBucket:
        site = _rate_limit_key(address)
        bucket = self._by_address.pop(site, None) or _TokenBucket(ADDRESS_BURST, ADDRESS_PER_S, now_s)
        self._by_address[site] = bucket
        if len(self._by_address) > MAX_ADDRESSES:
            self._by_address.popitem(last=False)
        return bucket


def _rate_limit_key(address: str) -> str:
    """What counts as one address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ip_network((int(parsed), _IPV6_SITE_BITS), strict=False))
