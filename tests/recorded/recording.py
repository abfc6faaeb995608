"""Shapes of real answers, one JSON file per push service, and how to compare an answer with one.

A recording says what was asked (``provoke``), what was answered, and where the fact comes from. What senders have
reported without saying how they came to it has no ``provoke``: it is only read, never provoked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "shapes"
VENDORS = sorted(path.stem for path in FOLDER.glob("*.json"))
# The members that say what an error is; the others are compared by type alone.
SPEAKING = frozenset({"reason", "errno", "code", "http", "unifiedpush", "event"})
WAYS = {"headers", "claims", "key", "k", "endpoint", "method", "device", "quirks", "offline", "fault"}
WAYS |= {"plaintext_bytes", "append_bytes"}
SHOWN_CHARACTERS_MAX = 300


@dataclass(frozen=True)
class Recording:
    """One answer.

    Attributes:
        source: where the fact comes from, in words.
        provoke: how the request differs from a right one; None if nobody knows.
        headers: pattern of each header's value, as a whole.
        absent: headers that are not there.
        body: as reported, or the part of it that is known.
        any_body: nothing is known about the body.
        live: whether it can be provoked with a subscription of one's own, at no cost.
    """

    vendor: str
    name: str
    source: str
    provoke: Mapping[str, object] | None
    status: int
    headers: Mapping[str, str]
    body: str
    verdict: str
    absent: tuple[str, ...] = ()
    any_body: bool = False
    live: bool = False

    def __str__(self) -> str:
        return f"{self.vendor}: {self.name}"


@dataclass(frozen=True)
class Given:
    """An answer to compare."""

    status: int
    headers: Mapping[str, str]
    text: str = field(repr=False)


def recordings(vendor: str) -> list[Recording]:
    """Those of one push service, in the order of its file."""
    rows = json.loads((FOLDER / f"{vendor}.json").read_text())
    return [Recording(vendor=vendor, **row | {"absent": tuple(row.get("absent", ()))}) for row in rows]


EVERY = [recording for vendor in VENDORS for recording in recordings(vendor)]


def differences(recorded: Recording, given: Given) -> list[str]:
    """How an answer differs in shape from the recording; nothing if it does not."""
    found = []
    if given.status != recorded.status:
        found.append(f"status {given.status} instead of {recorded.status}")
    for name, pattern in recorded.headers.items():
        value = given.headers.get(name)
        if value is None:
            found.append(f"no header {name}")
        elif not re.fullmatch(pattern, value):
            found.append(f"{name}: {value[:80]!r} does not match {pattern!r}")
    found += [f"header {name} is there" for name in recorded.absent if name in given.headers]
    return found + ([] if recorded.any_body else _body_differences(recorded.body, given.text))


def _body_differences(recorded: str, given: str) -> list[str]:
    wanted, got = _as_object(recorded), _as_object(given)
    if wanted is not None:
        if got is None:
            return [f"the body is not a JSON object: {given[:SHOWN_CHARACTERS_MAX]!r}"]
        return _member_differences(wanted, got)
    if not recorded:
        return [f"the body is not empty: {given[:SHOWN_CHARACTERS_MAX]!r}"] if given else []
    if recorded.strip().casefold() in given.casefold():
        return []
    return [f"the body says something else: {given[:SHOWN_CHARACTERS_MAX]!r}"]


def _member_differences(wanted: Mapping[str, object], got: Mapping[str, object]) -> list[str]:
    found = []
    if set(wanted) != set(got):
        found.append(f"members {sorted(got)} instead of {sorted(wanted)}")
    for name in sorted(set(wanted) & set(got)):
        if name in SPEAKING and wanted[name] != got[name]:
            found.append(f"{name} is {got[name]!r} instead of {wanted[name]!r}")
        elif type(wanted[name]) is not type(got[name]):
            found.append(f"{name} is {type(got[name]).__name__} instead of {type(wanted[name]).__name__}")
    return found


def _as_object(text: str) -> Mapping[str, object] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
