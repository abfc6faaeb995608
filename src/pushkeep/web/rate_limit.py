"""How often somebody may ask: token buckets, a bounded number of them.

A bucket holds up to ``burst`` tokens and gains ``per_minute`` tokens a minute; a request takes one. There is a bucket
for each address (an IPv6 client is its /64, since a single host commonly owns all addresses of one), for all pages of
an origin together, and for each contact that registrations name.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache

from pushkeep.errors import RateLimited

CLIENTS_MAX = 20_000
"""Buckets kept, least recently used first out: about 4 MB. A flood from more addresses than that is for a firewall."""


ADDRESSES_READ_MAX = 1024
"""Addresses of which it is remembered how they are counted."""


class RateLimiter:
    """Token buckets by client.

    Args:
        per_minute: tokens gained in a minute.
        burst: the most tokens a bucket holds.
        monotonic: seconds that never step back.
        whose: what the requests have in common, for people.
        key: the name under which a client is counted.
        clients_max: how many buckets are kept.
    """

    def __init__(
        self,
        *,
        per_minute: int,
        burst: int,
        monotonic: Callable[[], float],
        whose: str = "from this address",
        key: Callable[[str], str] | None = None,
        clients_max: int = CLIENTS_MAX,
    ) -> None:
        self._whose = whose
        self._key = client_key if key is None else key
        self._per_second = per_minute / 60
        self._burst = float(burst)
        self._monotonic = monotonic
        self._clients_max = clients_max
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> None:
        """Take a token.

        Raises:
            RateLimited: the bucket is empty; it says when there will be a token.
        """
        now = self._monotonic()
        key = self._key(client)
        tokens, since = self._buckets.pop(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._per_second)
        allowed = tokens >= 1
        self._buckets[key] = (tokens - 1 if allowed else tokens, now)
        while len(self._buckets) > self._clients_max:
            self._buckets.popitem(last=False)
        if not allowed:
            wait = (1 - tokens) / self._per_second
            raise RateLimited(
                f"Too many requests {self._whose}; try again in {max(1, round(wait + 0.5))} s.",
                retry_after_seconds=wait,
            )

    def __len__(self) -> int:
        return len(self._buckets)


# A visitor's requests come in a row, and to read an address costs as much as all the rest of counting it.
@lru_cache(maxsize=ADDRESSES_READ_MAX)
def client_key(client: str) -> str:
    """The name under which an address is counted: itself, or its /64 if it is IPv6."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return client[:64]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Network((address, 64), strict=False))
    return str(address)


@lru_cache(maxsize=ADDRESSES_READ_MAX)
def network_of(client: str) -> str:
    """The address without the part that stands for one person (the last octet, or all beyond the /48), for logs."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return "-"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    bits = 24 if isinstance(address, ipaddress.IPv4Address) else 48
    return str(ipaddress.ip_network((address, bits), strict=False))
