"""The push resource's URL: a capability, kept byte for byte and never shown whole.

Whoever knows an endpoint can post to it (RFC 8030 section 8.3), so ``str()`` and ``repr()`` of an
:class:`Endpoint` give its origin and a short hash, and only ``.url`` gives the URL. Path and query are not
normalised: Microsoft's tokens contain ``%2f`` and ``%2b`` that must survive.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

from pushkeep.errors import InvalidInput

ENDPOINT_CHARACTERS_MAX = 2048
"""Endpoints in the field reach about 700 characters (WNS); 2,048 is what stores and proxies commonly hold."""

_HOST_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_TARGET = re.compile(r"[!-~]*")
_DEFAULT_PORTS = {"https": 443, "http": 80}
_HOST_CHARACTERS_MAX = 253  # RFC 1035 section 2.3.4, without the final dot


@dataclass(frozen=True, slots=True, repr=False)
class Endpoint:
    """One push resource.

    Attributes:
        url: the URL exactly as the browser gave it.
        scheme: ``https``.
        host: lower case; an IPv6 literal without its brackets.
        port: the number, also when it is the default.
        origin: RFC 6454 section 6.1 serialization, the ``aud`` of VAPID: no default port, no trailing slash.
        target: path and query as given.
    """

    url: str
    scheme: str
    host: str
    port: int
    origin: str
    target: str

    @classmethod
    def parse(cls, text: object, *, field: str = "endpoint") -> Endpoint:
        """Read an endpoint.

        Raises:
            InvalidInput: not a string, longer than 2,048 characters, not https, with user information or a
                fragment, without a proper host or port, or with characters that cannot stand in a URL.
        """
        if not isinstance(text, str) or not text:
            raise InvalidInput(f"{field} must be a non-empty string.", field=field)
        if len(text) > ENDPOINT_CHARACTERS_MAX:
            raise InvalidInput(
                f"{field} has {len(text)} characters; the limit is {ENDPOINT_CHARACTERS_MAX}.", field=field
            )
        scheme, host, port, target = _split(text, field)
        if scheme != "https":
            raise InvalidInput(f"{field} must begin with https://.", field=field)
        return cls(text, scheme, host, port, _serialize_origin(scheme, host, port), target)

    @classmethod
    def known(cls, url: str) -> Endpoint:
        """Take apart, for a fraction of the cost, what :meth:`parse` has read once and was kept: it is not checked."""
        start = url.index("://") + len("://")
        slash = url.find("/", start)
        cut = len(url) if slash < 0 else slash
        query = url.find("?", start, cut)
        cut = cut if query < 0 else query
        return cls(url, *_known_head(url[:cut]), url[cut:])

    @property
    def label(self) -> str:
        """Origin and a short hash: enough to recognise an endpoint in a log, too little to use it."""
        return f"{self.origin}#{hashlib.sha256(self.url.encode()).hexdigest()[:8]}"

    def __str__(self) -> str:
        return self.label

    def __repr__(self) -> str:
        return f"<Endpoint {self.label}>"


def parse_origin(text: object, *, field: str = "origin", allow_http: bool = False) -> str:
    """Read an origin (scheme, host and port, at most a final slash) and return it normalised.

    Raises:
        InvalidInput: not a string, a path or query, or another scheme than https (and http where allowed).
    """
    if not isinstance(text, str) or not text or len(text) > ENDPOINT_CHARACTERS_MAX:
        raise InvalidInput(f"{field} must be an origin such as https://push.example.net.", field=field)
    scheme, host, port, target = _split(text, field)
    if target not in ("", "/"):
        raise InvalidInput(f"{field} must be an origin without path or query.", field=field)
    if scheme != "https" and not allow_http:
        raise InvalidInput(f"{field} must begin with https://.", field=field)
    return _serialize_origin(scheme, host, port)


def is_loopback_host(host: str) -> bool:
    """Tell whether a host name or IP literal (an IPv6 one with or without brackets) is this machine itself.

    Only ``localhost``, names below it, 127.0.0.0/8 and ::1 count: the list of Secure Contexts section 3.1. With a final
    dot it is another host, as everywhere here: browsers, resolvers and certificates do not agree about it.
    """
    name = host.lower().removeprefix("[").removesuffix("]")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return address in ipaddress.IPv4Network("127.0.0.0/8")
    return address == ipaddress.IPv6Address("::1")


def _split(text: str, field: str) -> tuple[str, str, int, str]:
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _DEFAULT_PORTS:
        raise InvalidInput(f"{field} must begin with https://.", field=field)
    if "#" in rest:
        raise InvalidInput(f"{field} must not have a fragment (#).", field=field)
    cut = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    authority, target = rest[:cut], rest[cut:]
    if not _TARGET.fullmatch(target) or "\\" in authority:
        raise InvalidInput(f"{field} has a character that cannot stand in a URL.", field=field)
    if "@" in authority:
        raise InvalidInput(f"{field} must not have user information (@).", field=field)
    host, port = _read_authority(authority, _DEFAULT_PORTS[scheme], field)
    return scheme, host, port, target


@lru_cache(maxsize=1024)  # a dozen push services have nearly all endpoints
def _known_head(head: str) -> tuple[str, str, int, str]:
    scheme, host, port, _ = _split(head, "endpoint")
    return scheme, host, port, _serialize_origin(scheme, host, port)


@lru_cache(maxsize=1024)
def _read_authority(authority: str, default_port: int, field: str) -> tuple[str, int]:
    if authority.startswith("["):
        literal, bracket, port_part = authority[1:].partition("]")
        host = _ipv6(literal, field) if bracket else _bad_host(field)
        if port_part and not port_part.startswith(":"):
            _bad_host(field)
        port_text = port_part[1:] if port_part else None
    else:
        name, colon, port_digits = authority.partition(":")
        # lower() makes a plain k of the Kelvin sign, and the host would not be the one in the URL.
        host = _host_name(name.lower(), field) if name.isascii() else _bad_host(field)
        port_text = port_digits if colon else None
    if port_text is None:
        return host, default_port
    if not port_text.isascii() or not port_text.isdigit() or len(port_text) > 5 or not 0 < int(port_text) < 65536:
        raise InvalidInput(f"{field} must have a port between 1 and 65535.", field=field)
    return host, int(port_text)


def _ipv6(literal: str, field: str) -> str:
    try:
        return ipaddress.IPv6Address(literal).compressed if "%" not in literal else _bad_host(field)
    except ipaddress.AddressValueError:
        return _bad_host(field)


def _host_name(name: str, field: str) -> str:
    labels = name.removesuffix(".").split(".")
    if len(name) > _HOST_CHARACTERS_MAX or not all(_HOST_LABEL.fullmatch(label) for label in labels):
        _bad_host(field)
    if labels[-1][-1:].isdigit():
        # The URL standard reads such a host as an IPv4 address, and C libraries accept 127.1, 0x7f.1 and 017700000001
        # for it. Only the plain dotted form is let through, so that everybody means the same address.
        try:
            ipaddress.IPv4Address(name)
        except ipaddress.AddressValueError:
            _bad_host(field)
    elif re.fullmatch(r"0x[0-9a-f]*", labels[-1]):
        _bad_host(field)
    return name


def _bad_host(field: str) -> str:
    raise InvalidInput(f"{field} must have a host name or a plain IP address.", field=field)


def _serialize_origin(scheme: str, host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" if port == _DEFAULT_PORTS[scheme] else f"{scheme}://{shown}:{port}"
