"""Looks for values in every file of a directory, octet by octet, in every form in which programs write them down."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sqlalchemy import Connection, text

from pushkeep.adapters.store import SqliteStore
from pushkeep.adapters.store.sealing import SealBroken

VALUE_BYTES_MIN = 6
"""Anything shorter is found by chance."""


def forms_of(value: str | bytes) -> Mapping[str, bytes]:
    """The octets of a value in each form, by the form's name."""
    raw = value.encode() if isinstance(value, str) else value
    assert len(raw) >= VALUE_BYTES_MIN, f"{value!r} is too short to be looked for."
    forms = {"raw": raw, "hex": raw.hex().encode(), "HEX": raw.hex().upper().encode()}
    for cut in range(3):  # where it begins in three octets decides how it looks in base64
        for name, alphabet in (("base64", b"+/"), ("base64url", b"-_")):
            encoded = base64.b64encode(bytes(cut) + raw, alphabet).rstrip(b"=")
            # What it shares with its neighbours is left out.
            forms[f"{name} from {cut}"] = encoded[(cut * 8 + 5) // 6 : (cut + len(raw)) * 8 // 6]
    try:
        known = raw.decode()
    except UnicodeDecodeError:
        return forms
    forms["UTF-16"] = known.encode("utf-16-le")
    forms["UTF-16, big end first"] = known.encode("utf-16-be")
    forms["JSON"] = json.dumps(known)[1:-1].encode()
    forms["percent"] = urllib.parse.quote(known, safe="").encode()
    digits = known.replace("-", "")
    if len(digits) == 32 and len(known) == 36:  # a UUID
        forms["digits"] = digits.encode()
        forms["octets"] = bytes.fromhex(digits)
    return forms


def places_of(directory: Path, values: Iterable[str | bytes]) -> Iterator[str]:
    """Where values are: file, position and form, without the value."""
    wanted = [(number, name, form) for number, value in enumerate(values) for name, form in forms_of(value).items()]
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        content = path.read_bytes()
        for number, name, form in wanted:
            position = content.find(form)
            if position >= 0:
                yield f"value {number} as {name} in {path.name} at {position}"


def assert_nowhere(directory: Path, values: Iterable[str | bytes]) -> None:
    """No file below a directory has any of the values, in any form."""
    found = list(places_of(directory, values))
    assert not found, "; ".join(found)


async def assert_unsealed_nowhere(store: SqliteStore, values: Iterable[str | bytes]) -> None:
    """No sealed value of a database has any of the values inside."""
    wanted = [(number, name, form) for number, value in enumerate(values) for name, form in forms_of(value).items()]
    found = [
        f"value {number} as {name} in {place}"
        for place, plaintext in await unsealed(store)
        for number, name, form in wanted
        if form in plaintext
    ]
    assert not found, "; ".join(found)


async def unsealed(store: SqliteStore) -> list[tuple[str, bytes]]:
    """Everything that is sealed in a database and opens, with where it is."""
    vault = store._vault
    found: list[tuple[str, bytes]] = []

    def keep(place: str, sealed: bytes | None, context: bytes) -> None:
        if sealed:
            try:
                found.append((place, vault._open(sealed, context)))
            except SealBroken:
                raise AssertionError(f"{place} does not open.") from None

    def look(connection: Connection) -> None:
        rows = connection.execute(text(_SUBSCRIPTIONS))
        for row in rows:
            keep(f"subscription {row.id}", row.sealed, b"subscription\0" + _id(row.project) + b"\0" + row.endpoint_hash)
        for row in connection.execute(text(_NOTIFICATIONS)):
            context = b"notification\0" + _id(row.project) + b"\0" + _id(row.public_id) + b"\0"
            keep(f"content of notification {row.id}", row.content, context + b"content")
            keep(f"payload of notification {row.id}", row.payload, context + b"payload")

        for row in connection.execute(text(_CONSENTS)):
            found.append(
                (f"consent {row.number}", vault.open_consent(_id(row.project).decode(), row.number, row.content))
            )

    await store.writer.run(look)
    return found


_SUBSCRIPTIONS = (
    "SELECT s.id, s.sealed, s.endpoint_hash, p.public_id AS project FROM subscriptions AS s "
    "JOIN projects AS p ON p.id = s.project_id"
)
_NOTIFICATIONS = (
    "SELECT n.id, n.public_id, n.content, n.payload, p.public_id AS project FROM notifications AS n "
    "JOIN projects AS p ON p.id = n.project_id"
)
_CONSENTS = (
    "SELECT c.number, c.content, p.public_id AS project FROM consents AS c "
    "JOIN projects AS p ON p.id = c.project_id WHERE c.content IS NOT NULL"
)


def _id(digits: str) -> bytes:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}".encode()
