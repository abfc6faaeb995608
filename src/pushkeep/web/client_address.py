"""Who is asking, and how: the client's address, scheme and host behind proxies that are trusted, and only those."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from pushkeep.domain.site_url import SiteUrl
from pushkeep.errors import InvalidInput
from pushkeep.protocol.endpoint import is_loopback_host, parse_origin

FORWARDED_HOPS_MAX = 32
"""Hops read from X-Forwarded-For, from the nearest on; real chains have one to three."""

HOST_CHARACTERS_MAX = 300
"""A host name has up to 253 characters (RFC 1035), and a port six."""

HOSTS_READ_MAX = 64
"""Names of this server of which it is remembered how they are written; there are one or two."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
PEERS_READ_MAX = 1024
"""Addresses of which it is remembered whether they are trusted: a proxy's is the peer of every request."""

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Caller:
    """The other end of a request.

    Attributes:
        address: the client's IP address, or ``unknown`` on a transport that has none.
        scheme: ``http`` or ``https``, as the browser used it.
        host: host name without port, lower case; empty without a proper Host header.
        origin: scheme, host and port as the browser sees this server; empty without a proper Host header.
    """

    address: str
    scheme: str
    host: str
    origin: str

    def is_secure(self, public_url: SiteUrl) -> bool:
        """Tell whether a browser that asked like this is in a secure context.

        A TLS proxy that is not listed as trusted speaks plain http to us; it is recognised by the Host it passes on
        being exactly that of an https ``public_url``.
        """
        if self.scheme == "https" or is_loopback_host(self.host):
            return True
        return public_url.scheme == "https" and self.origin == f"http://{public_url.origin.removeprefix('https://')}"


def identify(*, peer: str | None, scheme: str, headers: Headers, trusted: tuple[Network, ...]) -> Caller:
    """Work out who asks.

    Args:
        peer: the address at the other end of the connection.
        scheme: the scheme of the connection.
        headers: the request's headers, names in lower case.
        trusted: proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.
    """
    address = peer or "unknown"
    if peer is not None and _is_trusted(peer, trusted):
        address = _forwarded_for(headers, peer, trusted)
        proto = _last(headers, b"x-forwarded-proto")
        if proto in ("http", "https"):
            scheme = proto
    host_header = _last(headers, b"host")
    host, origin = _host_and_origin(scheme, host_header) if len(host_header) <= HOST_CHARACTERS_MAX else ("", "")
    return Caller(address, scheme, host, origin)


@lru_cache(maxsize=HOSTS_READ_MAX)
def _host_and_origin(scheme: str, host_header: str) -> tuple[str, str]:
    try:
        origin = parse_origin(f"{scheme}://{host_header}", field="Host", allow_http=True)
    except InvalidInput:
        return "", ""
    return urlsplit(origin).hostname or "", origin


def _forwarded_for(headers: Headers, peer: str, trusted: tuple[Network, ...]) -> str:
    """The nearest address that is not a trusted proxy: what stands further left is the client's own word."""
    hops = ",".join(value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for").split(",")
    nearest = peer
    for hop in reversed(hops[-FORWARDED_HOPS_MAX:]):
        candidate = hop.strip().removeprefix("[").partition("]")[0]
        try:
            nearest = str(ipaddress.ip_address(candidate))
        except ValueError:
            break
        if not _is_trusted(nearest, trusted):
            break
    return nearest


@lru_cache(maxsize=PEERS_READ_MAX)
def _is_trusted(address: str, trusted: tuple[Network, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in trusted)


def _last(headers: Headers, wanted: bytes) -> str:
    """The last value of a header: the one that the nearest proxy wrote."""
    values = [value.decode("latin-1") for name, value in headers if name == wanted]
    return values[-1].rpartition(",")[2].strip().lower() if values else ""
