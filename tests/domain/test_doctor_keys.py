"""What the doctor says of the server's own signing keys."""

from __future__ import annotations

import dataclasses

import pytest

from pushkeep.domain.doctor.findings import Level
from pushkeep.domain.doctor.keys import bound_findings
from pushkeep.domain.project import KeyState
from pushkeep.domain.signing_keys import KeyRecord, KeyUsage
from pushkeep.protocol.signing_key import SigningKey

PAIR = SigningKey.generate()
ACTIVE = KeyRecord(1, PAIR.key_id, PAIR.public_bytes, KeyState.ACTIVE, 0.0)


def other(state: KeyState, **changes: float) -> KeyRecord:
    pair = SigningKey.generate()
    return dataclasses.replace(ACTIVE, id=2, key_id=pair.key_id, public_bytes=pair.public_bytes, state=state, **changes)


def used(bound: int, waiting: int = 0) -> KeyUsage:
    return KeyUsage(waiting, {7: bound})


def test_every_living_subscription_has_its_key() -> None:
    findings = list(bound_findings([ACTIVE, other(KeyState.RETIRING)], {1: used(1), 2: used(30)}))
    assert [item.seen for item in findings] == [
        "1 living subscription is bound to it",
        "30 living subscriptions are bound to it",
    ]
    assert [item.level for item in findings] == [Level.OK, Level.OK]
    assert "retiring" in findings[1].title


def test_subscriptions_whose_key_is_gone_are_counted() -> None:
    *_, lost = bound_findings([ACTIVE], {1: used(5), 7: used(2), 9: used(3)})
    assert (lost.level, lost.seen.split()[0]) == (Level.PROBLEM, "5")


def test_a_given_key_is_looked_for_among_the_servers() -> None:
    assert [item.level for item in bound_findings([ACTIVE], {}, PAIR)] == [Level.OK]
    assert [item.level for item in bound_findings([ACTIVE], {}, SigningKey.generate())] == [Level.OK, Level.WARNING]


@pytest.mark.parametrize(
    ("key", "bound", "level", "remedy"),
    [
        (other(KeyState.NEXT), 0, Level.OK, ""),
        (other(KeyState.RETIRING), 0, Level.WARNING, "keys retire"),
        (other(KeyState.RETIRING, leaked_at=1.0), 3, Level.PROBLEM, "--force"),
        (other(KeyState.RETIRING, leaked_at=1.0), 0, Level.PROBLEM, "Run: pushkeep keys retire"),
        (other(KeyState.RETIRED), 3, Level.PROBLEM, "Run again"),
    ],
)
def test_what_a_rotation_leaves_to_do(key: KeyRecord, bound: int, level: Level, remedy: str) -> None:
    first, found = bound_findings([ACTIVE, key], {1: used(1), 2: used(bound)})
    assert first.level is Level.OK
    assert (found.level, remedy in found.remedy) == (level, True)


def test_a_retired_key_is_history_and_who_waits_for_its_browser_is_counted() -> None:
    first, waiting = bound_findings([ACTIVE, other(KeyState.RETIRED)], {1: used(1), 2: used(0, 40)})
    assert (first.level, waiting.level) == (Level.OK, Level.WARNING)
    assert waiting.seen.startswith("40 living subscriptions are not sent to")
