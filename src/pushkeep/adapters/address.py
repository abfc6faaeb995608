"""Which addresses may a stranger's endpoint lead to? Only public unicast ones.

An endpoint is a URL that a visitor hands in; whoever posts to it can be made to knock on doors inside the
operator's network (server-side request forgery). The tables here are our own: ``ipaddress.is_global`` calls
``64:ff9b::7f00:1``, ``2002:7f00:1::``, ``::127.0.0.1``, ``fec0::1`` and, before Python 3.12, multicast
addresses global, and its answers change between Python releases.

Sources: the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890 and its updates), RFC 6052
(NAT64), RFC 5214 (ISATAP). IPv4 is "everything but"; IPv6 is "nothing but", since only ``2000::/3`` has ever
been handed out as global unicast.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_V4_REFUSED: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by carriers"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud platform's own"),  # Azure's host agent: answers inside every virtual machine
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "for documentation"),
        ("192.31.196.0/24", "reserved for protocols"),
        ("192.52.193.0/24", "reserved for protocols"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "reserved for protocols"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)

_V6_UNICAST = IPv6Network("2000::/3")
_V6_REFUSED: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("2001::/32", "Teredo"),
        ("2001::/23", "reserved for protocols"),
        ("2001:db8::/32", "for documentation"),
        ("2002::/16", "6to4"),
        ("2620:4f:8000::/48", "reserved for protocols"),
        ("3ffe::/16", "a withdrawn test network"),
        ("3fff::/20", "for documentation"),
    )
)
_V6_NAMES: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP_MARKS = (0x0000_5EFE, 0x0200_5EFE)  # RFC 5214 section 6.1: the IPv4 address follows this interface mark


def refusal_reason(address: str) -> str | None:
    """Say why ``address`` (the text form of an IP address) must not be dialled; None when it may be.

    An IPv4 address written inside an IPv6 one is taken out and judged by the IPv4 table where a host may really
    use that form (IPv4-mapped, and NAT64, by which IPv6-only networks reach IPv4 services). The abandoned
    tunnels (6to4, Teredo, IPv4-compatible) are refused whatever they carry.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return "not an IP address"
    if isinstance(parsed, IPv4Address):
        return _refusal_v4(parsed)
    return _refusal_v6(parsed)


def is_public_address(address: str) -> bool:
    """Whether ``address`` may be dialled for a stranger: public unicast, in whichever way it is written."""
    return refusal_reason(address) is None


def is_loopback_address(address: str) -> bool:
    """Whether ``address`` is this machine: 127.0.0.0/8 or ::1, also written as IPv4-mapped."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped.is_loopback
    return parsed.is_loopback


def _refusal_v4(address: IPv4Address) -> str | None:
    return next((reason for network, reason in _V4_REFUSED if address in network), None)


def _refusal_v6(address: IPv6Address) -> str | None:
    if address.scope_id is not None:
        return "bound to one network link"
    if address.ipv4_mapped is not None:
        return _refusal_v4(address.ipv4_mapped)
    low32 = IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _NAT64:
        return _refusal_v4(low32)
    if address not in _V6_UNICAST:
        return next((reason for network, reason in _V6_NAMES if address in network), "reserved")
    for network, reason in _V6_REFUSED:
        if address in network:
            return reason
    if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP_MARKS:
        return _refusal_v4(low32)
    return None
