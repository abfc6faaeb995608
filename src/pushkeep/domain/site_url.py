"""Where a site may live if its visitors are to subscribe.

Browsers offer the Push API in secure contexts only (W3C Push API section 3, Secure Contexts section 3.1): https, or
plain http on a loopback host. Everything that must not pretend otherwise asks this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from pushkeep.errors import InvalidInput
from pushkeep.protocol.endpoint import is_loopback_host, parse_origin

SITE_URL_CHARACTERS_MAX = 2048
"""What browsers and proxies commonly take in a URL."""


@dataclass(frozen=True, slots=True)
class SiteUrl:
    """A URL under which pages are served.

    Attributes:
        url: the URL without a final slash.
        scheme: ``https`` or ``http``.
        host: lower case, an IPv6 literal without brackets.
        port: the number, also when it is the default.
        origin: scheme, host and port as a browser's ``Origin`` header has them.
        path: what follows the origin, ``""`` or beginning with a slash.
    """

    url: str
    scheme: str
    host: str
    port: int
    origin: str
    path: str

    @classmethod
    def parse(cls, text: object, *, field: str) -> SiteUrl:
        """Read a URL that browsers treat as a secure context.

        Raises:
            InvalidInput: not a URL, with a query, fragment or user information, or plain http on a host that is
                not loopback.
        """
        if not isinstance(text, str) or not text or len(text) > SITE_URL_CHARACTERS_MAX:
            raise InvalidInput(f"{field} must be a URL such as https://push.example.com.", field=field)
        scheme, separator, rest = text.partition("://")
        authority, slash, path = rest.partition("/")
        if not separator or "?" in rest or "#" in rest:
            raise InvalidInput(f"{field} must be a URL without a query or fragment.", field=field)
        origin = parse_origin(f"{scheme}://{authority}", field=field, allow_http=True)
        parts = urlsplit(origin)
        host = parts.hostname or ""
        if parts.scheme != "https" and not is_loopback_host(host):
            raise InvalidInput(
                f"{field} is {origin}, but browsers offer push only over https (or on localhost): "
                f"give it an https:// address, for example behind a TLS proxy.",
                field=field,
            )
        clean = (slash + path).rstrip("/")
        if not all("!" <= character <= "~" for character in clean) or "\\" in clean:
            raise InvalidInput(f"{field} has a character that cannot stand in a URL.", field=field)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return cls(origin + clean, parts.scheme, host, port, origin, clean)
