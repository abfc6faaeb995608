"""Which address may this connection be opened to? The network is guarded here, at the socket, and only here.

Every way of reaching a push service is a :class:`Route` with its own rule, and every route has its own
connection pool, so that a connection opened under one rule is never used under another.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

import pycurl

from pushkeep.adapters.address import is_loopback_address, refusal_reason
from pushkeep.adapters.http2_fork import Sockets
from pushkeep.domain.origin_map import MappedOrigin
from pushkeep.errors import ConfigurationError
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.vendors import vendor_for

Rule = Callable[[str, int], str | None]
"""Takes the address and port about to be dialled; returns why not, or None when it may be."""

_RESOLVED_SECONDS_MAX = 60.0  # as long as libcurl itself keeps a resolved name
_RESOLVED_NAMES_MAX = 1024  # unknown origins come and go; this bounds what they leave behind


@dataclass(frozen=True, slots=True)
class Route:
    """One way to reach servers.

    Attributes:
        scheme: what is spoken at the dialled address; ``http`` only for a mapped loopback base.
        rule: decides about every single socket.
        connect_to: ``host:port`` dialled instead of the URL's, or None.
        ca_file: certificates trusted instead of the default ones, or None.
        proxy: the proxy's URL, or None for no proxy at all.
    """

    scheme: str
    rule: Rule
    connect_to: str | None = None
    ca_file: str | None = None
    proxy: str | None = None


class SocketAddress(NamedTuple):
    """What libcurl hands to its socket callback."""

    family: int
    socktype: int
    protocol: int
    addr: tuple[str, int]


class Gate:
    """Opens a handle's sockets where its route's rule allows, and remembers what was refused.

    A refused socket looks to libcurl like a failed connect (error 7); without this memory a forbidden address
    would pass for a passing failure and be tried again.
    """

    __slots__ = ("_rule", "_sockets", "opened", "refused")

    def __init__(self, rule: Rule, sockets: Sockets) -> None:
        self._rule = rule
        self._sockets = sockets
        self.refused: str | None = None
        self.opened = 0

    def clear(self) -> None:
        """Forget the last exchange."""
        self.refused = None
        self.opened = 0

    def open_socket(self, purpose: int, address: SocketAddress) -> object:
        """``OPENSOCKETFUNCTION``: a socket for ``address``, or ``SOCKET_BAD``."""
        if address.family not in (socket.AF_INET, socket.AF_INET6):
            self.refused = "not an internet address"
            return pycurl.SOCKET_BAD
        reason = self._rule(address.addr[0], address.addr[1])
        if reason is not None:
            self.refused = reason
            return pycurl.SOCKET_BAD
        try:
            opened = socket.socket(address.family, address.socktype, address.protocol)
        except OSError:
            return pycurl.SOCKET_BAD  # out of file descriptors: an ordinary failed connect
        self.opened += 1
        return opened

    def on_socket(self, descriptor: int, _purpose: int) -> int:
        """``SOCKOPTFUNCTION``: pycurl's duplicate of our socket, which is to survive neither ``exec`` nor ``fork``."""
        os.set_inheritable(descriptor, False)
        self._sockets.note(descriptor)
        return int(pycurl.SOCKOPT_OK)


def direct_route(ca_file: str | None) -> Route:
    """To whatever a stranger's endpoint names: public addresses only."""
    return Route("https", lambda address, _port: refusal_reason(address), ca_file=ca_file)


def mapped_route(entry: MappedOrigin) -> Route:
    """To the base of an origin-map entry: its port, at the literal address it names, at loopback, or public."""
    try:
        literal = ipaddress.ip_address(entry.host)
    except ValueError:
        literal = None

    def rule(address: str, port: int) -> str | None:
        if port != entry.port:
            return "not the port of the origin map's entry"
        if is_loopback_address(address):
            return None
        if entry.scheme == "http":
            return "plain http beyond loopback"
        if literal is not None and ipaddress.ip_address(address) == literal:
            return None
        return refusal_reason(address)

    return Route(entry.scheme, rule, connect_to=_join(entry.host, entry.port), ca_file=entry.ca_file)


def proxied_route(proxy: str, ca_file: str | None) -> Route:
    """Through the operator's proxy, which may stand anywhere; the target's address is checked by `CheckedAddresses`.

    Raises:
        ConfigurationError: ``proxy`` is not ``http://`` or ``https://`` with host and port.
    """
    try:
        parts = urlsplit(proxy)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or port is None:
        raise ConfigurationError(
            "proxy must be http:// or https:// with a host and a port, such as http://proxy.example:3128.",
            field="proxy",
        )

    def rule(_address: str, dialled: int) -> str | None:
        return None if dialled == port else "not the proxy's port"

    return Route("https", rule, ca_file=ca_file, proxy=proxy)


class Refused(Exception):
    """A name leads to no address that may be dialled; the text says why."""


class CheckedAddresses:
    """The addresses that a proxy dials on our behalf, checked first and kept for a minute.

    A proxy resolves names itself and libcurl's socket callback sees only the proxy, so the check must be made
    here and the checked address, not the name, must be what the proxy is asked for.
    """

    def __init__(self, pinned: Mapping[str, Sequence[str]]) -> None:
        self._pinned = pinned
        self._known: dict[tuple[str, int], tuple[float, str]] = {}

    def known(self, endpoint: Endpoint, now: float) -> str | None:
        """``address:port`` for libcurl's ``CONNECT_TO`` if no name must be looked up for it.

        Args:
            endpoint: where the request goes.
            now: seconds that never step back.

        Raises:
            Refused: the host's addresses are pinned and none of them is public.
        """
        pinned = self._pinned.get(endpoint.host)
        if pinned:
            return self._checked(endpoint, pinned)
        found = self._known.get((endpoint.host, endpoint.port))
        return found[1] if found is not None and found[0] > now else None

    def learn(self, endpoint: Endpoint, addresses: Sequence[str], now: float) -> str:
        """Choose among the addresses that the name was found to have, and keep the choice.

        Raises:
            Refused: none of them is public.
        """
        chosen = self._checked(endpoint, addresses)
        if len(self._known) >= _RESOLVED_NAMES_MAX:
            self._known.clear()
        self._known[endpoint.host, endpoint.port] = (now + _RESOLVED_SECONDS_MAX, chosen)
        return chosen

    @staticmethod
    def _checked(endpoint: Endpoint, addresses: Sequence[str]) -> str:
        reasons = [refusal_reason(address) for address in addresses]
        allowed = [address for address, reason in zip(addresses, reasons, strict=True) if reason is None]
        if not allowed:
            raise Refused(next((reason for reason in reasons if reason), "no address"))
        return _join(allowed[0], endpoint.port)


@lru_cache(maxsize=1024)
def is_known(host: str) -> bool:
    """Whether everybody knows the push service. Strangers have a pool and look-ups of their own: names are looked up in
    so many threads at once, and as many names whose servers never answer keep all of them busy."""
    return vendor_for(host).known


def addresses_of(found: Sequence[tuple[object, object, object, object, tuple[object, ...]]]) -> list[str]:
    """The addresses in what ``getaddrinfo`` returned, each once and in its order."""
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
