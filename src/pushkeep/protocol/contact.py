"""The contact in a VAPID token (``sub``), held to the strictest push service's rules.

Apple answers ``BadJwtToken`` to contacts that other services let pass, and then every iPhone stays silent. So a
contact is checked when it is configured, once, against all of them.
"""

from __future__ import annotations

import ipaddress
import re

from pushkeep.errors import InvalidInput

CONTACT_CHARACTERS_MAX = 320
"""The longest mail address (RFC 5321: 64 + 1 + 255); tokens should stay small."""

_LOCAL_PART = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}")
_HOST = re.compile(
    r"(?=.{1,253}\Z)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]"
)
_URL_REST = re.compile(r"(?:[/?][!-~]*)?")
# RFC 2606 and RFC 6761 reserve these; example.com and its siblings are left usable for documentation and tests.
_UNREACHABLE = ("localhost", "local", "invalid", "test", "localdomain", "internal", "example")
_REMEDY = "use mailto:you@your-domain.org or https://your-domain.org/contact"


def check_contact(text: str) -> str:
    """Return ``text`` if every push service accepts it as a contact.

    Raises:
        InvalidInput: empty, over 320 characters, a bare address without ``mailto:``, a doubled scheme, spaces or a
            display name, a host that is local, reserved, an IP address or without a dot, or another scheme.
    """
    if not text or len(text) > CONTACT_CHARACTERS_MAX:
        raise _refused(f"must have 1 to {CONTACT_CHARACTERS_MAX} characters")
    scheme, colon, rest = text.partition(":")
    if not colon and "@" in text:
        raise _refused("is a bare mail address and must begin with mailto:")
    if scheme == "mailto":
        local, at, host = rest.rpartition("@")
        if not at or not _LOCAL_PART.fullmatch(local):
            raise _refused("must be one plain mail address, without spaces, brackets or a display name")
    elif scheme == "https" and rest.startswith("//"):
        host, tail = _split_host(rest[2:])
        if not _URL_REST.fullmatch(tail):
            raise _refused("must be a plain https URL, without port, spaces or user information")
    else:
        raise _refused("must begin with mailto: or https://")
    _check_host(host)
    return text


def _split_host(rest: str) -> tuple[str, str]:
    cut = next((at for at, character in enumerate(rest) if character in "/?#:@"), len(rest))
    return rest[:cut], rest[cut:]


def _check_host(host: str) -> None:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        pass
    else:
        raise _refused("must not have an IP address as its host")
    if host.lower().rsplit(".", 1)[-1] in _UNREACHABLE:
        raise _refused("must have a host that is reachable from outside")
    if not _HOST.fullmatch(host):
        raise _refused("must have a full host name")


def _refused(what: str) -> InvalidInput:
    return InvalidInput(
        f"contact {what}; {_REMEDY}. Apple refuses every push with a contact like this.", field="contact"
    )
