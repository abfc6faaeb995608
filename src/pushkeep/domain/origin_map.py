"""The origin map: which push services are dialled elsewhere.

For the local push service, tests and private push services. An entry says "what is addressed to this origin is
dialled there": URL, Host, SNI, the token's ``aud`` and the vendor row stay those of the original origin. It is the
only exemption from the address check.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pushkeep.errors import InvalidInput
from pushkeep.protocol.endpoint import Endpoint, is_loopback_host, parse_origin
from pushkeep.protocol.vendors import VENDORS, Vendor, vendor_for

ENTRIES_MAX = 100
"""A map is written by hand; more is a mistake."""

_FORM = "ORIGIN=BASE[,ca=FILE][,vendor=NAME]"


@dataclass(frozen=True, slots=True)
class MappedOrigin:
    """One entry.

    Attributes:
        origin: what stands in endpoints.
        scheme: ``https``; ``http`` for loopback only.
        host: where to dial: a name or an IP address.
        port: and its port.
        ca_file: PEM file of the authority that signs the dialled server; None for the system's.
        vendor: the vendor row; None for the one of the origin's host.
    """

    origin: str
    scheme: str
    host: str
    port: int
    ca_file: str | None = None
    vendor: Vendor | None = None

    @classmethod
    def parse(cls, text: str) -> MappedOrigin:
        """Read ``ORIGIN=BASE[,ca=FILE][,vendor=NAME]``.

        Raises:
            InvalidInput: another form, an unknown vendor, or a plain-http base that is not loopback.
        """
        first, *options = text.split(",")
        origin_text, equals, base_text = first.partition("=")
        if not equals:
            raise InvalidInput(f"origin map entry must be of the form {_FORM}.", field="origin_map")
        found: dict[str, str] = {}
        for option in options:
            name, equals, value = option.partition("=")
            if name not in ("ca", "vendor") or name in found or not value:
                raise InvalidInput(f"origin map entry must be of the form {_FORM}.", field="origin_map")
            found[name] = value
        if found.get("vendor", "unknown") not in VENDORS:
            raise InvalidInput(f"origin map's vendor must be one of {', '.join(VENDORS)}.", field="origin_map")
        base = parse_origin(base_text, field="origin_map", allow_http=True)
        scheme, host, port = _split_base(base)
        if scheme == "http" and not is_loopback_host(host):
            raise InvalidInput("origin map's base may be plain http for loopback only.", field="origin_map")
        return cls(
            parse_origin(origin_text, field="origin_map"),
            scheme,
            host,
            port,
            found.get("ca"),
            VENDORS[found["vendor"]] if "vendor" in found else None,
        )

    def to_text(self) -> str:
        """The entry as it is written in configuration and on the command line."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        ca = f",ca={self.ca_file}" if self.ca_file else ""
        vendor = f",vendor={self.vendor.name}" if self.vendor else ""
        return f"{self.origin}={self.scheme}://{host}:{self.port}{ca}{vendor}"


class OriginMap:
    """All entries, by origin. An empty map is falsy."""

    def __init__(self, entries: Iterable[MappedOrigin] = ()) -> None:
        self._entries = {entry.origin: entry for entry in entries}

    @classmethod
    def parse(cls, texts: Iterable[str]) -> OriginMap:
        """Read entries as :meth:`MappedOrigin.parse` does.

        Raises:
            InvalidInput: a bad entry, two for one origin, or more than 100.
        """
        entries = [MappedOrigin.parse(text) for text in texts]
        if len(entries) > ENTRIES_MAX:
            raise InvalidInput(f"origin map has more than {ENTRIES_MAX} entries.", field="origin_map")
        if len({entry.origin for entry in entries}) < len(entries):
            raise InvalidInput("origin map has two entries for one origin.", field="origin_map")
        return cls(entries)

    def get(self, origin: str) -> MappedOrigin | None:
        """The entry of an origin, if there is one."""
        return self._entries.get(origin)

    def vendor_for(self, endpoint: Endpoint) -> Vendor:
        """The endpoint's vendor row: the entry's, else the one of its host."""
        entry = self._entries.get(endpoint.origin)
        return entry.vendor if entry is not None and entry.vendor is not None else vendor_for(endpoint.host)

    def __iter__(self) -> Iterator[MappedOrigin]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)


def _split_base(base: str) -> tuple[str, str, int]:
    scheme, _, authority = base.partition("://")
    default = 443 if scheme == "https" else 80
    if authority.startswith("["):
        host, _, port = authority[1:].partition("]")
        return scheme, host, int(port[1:]) if port else default
    host, colon, port = authority.partition(":")
    return scheme, host, int(port) if colon else default
