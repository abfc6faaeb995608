"""Turning what stands in a file, a variable or on the command line into a typed value, or saying why not.

A reader takes the raw value (text, or what TOML makes of it) and the name to use in the complaint.
"""

from __future__ import annotations

import ipaddress
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from pushkeep.domain.origin_map import OriginMap
from pushkeep.domain.site_url import SiteUrl
from pushkeep.errors import InvalidInput
from pushkeep.protocol.contact import check_contact
from pushkeep.protocol.encoding import b64_decode
from pushkeep.protocol.endpoint import parse_origin

MASTER_KEY_BYTES = 32
"""AES-256."""

LIST_ENTRIES_MAX = 1000
"""Lists are written by hand; more is a mistake."""

COMMAND_CHARACTERS_MAX = 4096
"""A program and what it is told; longer belongs into a script."""

OFF = "off"
"""What switches something off that otherwise has a value."""

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def text_reader(length_max: int) -> Callable[[object, str], str]:
    """A line of printable text of 1 to ``length_max`` characters."""

    def read(value: object, name: str) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= length_max or not value.isprintable():
            raise InvalidInput(f"{name} must be a line of text of 1 to {length_max} characters.", field=name)
        return value

    return read


def whole_reader(low: int, high: int) -> Callable[[object, str], int]:
    """A whole number within limits; digits only, where it is text."""

    def read(value: object, name: str) -> int:
        digits = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 12
        number = int(value) if digits and isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise InvalidInput(f"{name} must be a whole number from {low} to {high}.", field=name)
        return number

    return read


_FLAGS = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}


def read_flag(value: object, name: str) -> bool:
    """Yes or no."""
    flag = _FLAGS.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(flag, bool):
        raise InvalidInput(f"{name} must be true or false.", field=name)
    return flag


def off_or(low: int, high: int) -> Callable[[object, str], int]:
    """A whole number within limits, or 0."""

    def read(value: object, name: str) -> int:
        return 0 if value in (0, "0") and not isinstance(value, bool) else whole_reader(low, high)(value, name)

    return read


def choice_reader(values: tuple[str, ...]) -> Callable[[object, str], str]:
    """One of a few words."""

    def read(value: object, name: str) -> str:
        if not isinstance(value, str) or value not in values:
            raise InvalidInput(f"{name} must be one of {', '.join(values)}.", field=name)
        return value

    return read


def read_path(value: object, name: str) -> Path:
    """A path; ``~`` and relative paths are resolved at once."""
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise InvalidInput(f"{name} must be a path.", field=name)
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError:
        raise InvalidInput(f"{name} begins with ~, but there is no home directory.", field=name) from None


def read_site(value: object, name: str) -> SiteUrl:
    """A URL that browsers treat as a secure context."""
    return value if isinstance(value, SiteUrl) else SiteUrl.parse(value, field=name)


def read_contact(value: object, name: str) -> str:
    """A VAPID contact that every push service takes."""
    if not isinstance(value, str):
        raise InvalidInput(f"{name} must be a mailto: or https: address.", field=name)
    return check_contact(value)


def read_host(value: object, name: str) -> str:
    """An address or host name to listen on."""
    text = text_reader(255)(value, name)
    if "/" in text or " " in text or text.count(":") == 1:
        raise InvalidInput(f"{name} must be an address or host name without scheme or port.", field=name)
    return text.removeprefix("[").removesuffix("]")


def _list(value: object, name: str, *, separators: str) -> list[str]:
    if isinstance(value, str) and value.startswith("["):  # a JSON list, for entries with white space in them
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise InvalidInput(f"{name} begins like a JSON list but is none.", field=name) from None
    if isinstance(value, str):
        for separator in separators:
            value = value.replace(separator, " ")
        value = value.split()
    if not isinstance(value, list | tuple) or not all(isinstance(entry, str) for entry in value):
        raise InvalidInput(f"{name} must be a list of texts.", field=name)
    if len(value) > LIST_ENTRIES_MAX:
        raise InvalidInput(f"{name} has {len(value)} entries; the limit is {LIST_ENTRIES_MAX}.", field=name)
    return [str(entry) for entry in value]


def read_origin_map(value: object, name: str) -> OriginMap:
    """Entries of the origin map."""
    if isinstance(value, OriginMap):
        return value
    # A comma is part of an entry (",ca=", ",vendor="), so only white space separates entries.
    return OriginMap.parse(_list(value, name, separators=""))


def read_origins(value: object, name: str) -> frozenset[str]:
    """A set of https origins."""
    if isinstance(value, frozenset):
        value = sorted(value)
    entries = _list(value, name, separators=",")
    return frozenset(parse_origin(entry, field=name) for entry in entries)


def read_page_origins(value: object, name: str) -> frozenset[str]:
    """A set of origins whose pages browsers take for secure: https, or http on this machine."""
    if isinstance(value, frozenset):
        value = sorted(value)
    sites = [SiteUrl.parse(entry, field=name) for entry in _list(value, name, separators=",")]
    for site in sites:
        if site.path:
            raise InvalidInput(f"{name} has {site.url}; an origin has no path: {site.origin}.", field=name)
    return frozenset(site.origin for site in sites)


def read_networks(value: object, name: str) -> tuple[Network, ...]:
    """IP addresses and networks; a single address is a network of one."""
    networks: list[Network] = []
    for entry in _list(value, name, separators=","):
        try:
            networks.append(ipaddress.ip_network(entry))
        except ValueError:
            raise InvalidInput(
                f"{name} has {entry!r}, which is neither an IP address nor a network such as 10.0.0.0/8.", field=name
            ) from None
    return tuple(networks)


def read_proxy(value: object, name: str) -> str:
    """The origin of an HTTP proxy."""
    return parse_origin(value, field=name, allow_http=True)


def read_schedule(value: object, name: str) -> str:
    """A line as cron reads it, or ``off``."""
    from pushkeep.app.schedule import Schedule  # here, so that settings can be read without the server's packages

    if value is False or value == OFF:
        return OFF
    return Schedule.parse(value, field=name).expression


def read_command(value: object, name: str) -> str:
    """Program and arguments, as a line quoted as for a shell or as a list; no shell is used."""
    if isinstance(value, (list, tuple)):
        if not all(isinstance(one, str) for one in value):
            raise InvalidInput(f"{name} must be a list of texts: the program, then its arguments.", field=name)
        value = shlex.join(value)
    if not isinstance(value, str) or len(value) > COMMAND_CHARACTERS_MAX:
        raise InvalidInput(f"{name} must be a line of up to {COMMAND_CHARACTERS_MAX} characters.", field=name)
    try:
        arguments = shlex.split(value)
    except ValueError as error:
        raise InvalidInput(f"{name} cannot be read as a command: {error}. Check its quotes.", field=name) from None
    if not arguments or "\0" in value:
        raise InvalidInput(f"{name} names no program.", field=name)
    return shlex.join(arguments)


def read_master_key(value: object, name: str) -> bytes:
    """32 octets, raw or in base64."""
    if isinstance(value, bytes) and len(value) == MASTER_KEY_BYTES:
        return value
    return b64_decode(value, field=name, length=MASTER_KEY_BYTES)
