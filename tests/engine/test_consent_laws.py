"""The laws of consent, erasure and keys bite: each is broken by a database that is changed behind the engine's back."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from pushkeep.domain.notification import Target
from tests.engine.push_services import FCM, Posted
from tests.engine.virtual_time import Process
from tests.engine.world import World, simulated

PURPOSE = (
    "INSERT INTO purposes (id, project_id, name, description, basis, created_at) VALUES (1, 1, 'news', '', '{}', 1)"
)
RECORD = (
    "INSERT INTO consents (project_id, number, commitment, subscription_id, purpose_id, given, at, content) "
    "SELECT 1, {number}, zeroblob(32), 1, 1, {given}, 1, sealed FROM subscriptions WHERE id = 1"
)
STATE = (
    "INSERT OR REPLACE INTO consent_states (subject, subject_id, purpose_id, project_id, given, number, contact_id) "
    "VALUES ('{subject}', 1, 1, 1, {given}, {number}, {contact})"
)
FORGET = (
    "UPDATE consents SET erased_at = 2, subscription_id = NULL, contact_id = NULL, purpose_id = NULL, given = NULL, "
    "at = NULL, content = NULL WHERE number = 1"
)


def _change(world: World, *statements: str) -> str:
    with world.office.store._writing.begin() as connection:  # type: ignore[attr-defined]  # behind its back
        for statement in statements:
            connection.exec_driver_sql(statement)
    world.spy.look(None)
    return " | ".join(world.laws.broken)


def _agreed(world: World) -> None:
    world.subscribe("b0", FCM, owner="ann")
    given = RECORD.format(number=1, given=1)
    assert not _change(world, PURPOSE.format("consent"), given, STATE.format(subject="s", given=1, number=1, contact=1))


def _head(first: int, last: int, number: int = 1, previous: bytes = bytes(32)) -> bytes:
    told = b"pushkeep consent seal 1\0" + previous + struct.pack(">QQd", number, first, 1.0)
    return hashlib.sha256(told + bytes(32) * (last - first + 1)).digest()


def _seal(head: bytes) -> str:
    return f"INSERT INTO consent_seals VALUES (1, 1, 1, 1, zeroblob(32), x'{head.hex()}', 1.0)"


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM consents", "consent record 1 vanished"),
        (RECORD.format(number=3, given=1), "have a gap: [1, 3]"),
        ("UPDATE consents SET given = 0", "record 1 was changed"),
        ("UPDATE consents SET commitment = randomblob(32)", "has another commitment"),
        ("UPDATE consents SET erased_at = 2", "is erased, and says something"),
        (STATE.format(subject="s", given=0, number=1, contact=1), "is not what record 1 says"),
        (STATE.format(subject="c", given=1, number=2, contact="NULL"), "follows from record 2: there is none"),
        (_seal(bytes(32)), "seal 1 of consent records does not match"),
        (
            "DELETE FROM lifecycle; DELETE FROM subscriptions",
            "subscription 1 vanished, and nobody has asked to erase it",
        ),
    ],
)
def test_a_database_that_is_changed_behind_the_back(tmp_path: Path, statement: str, words: str) -> None:
    with simulated(1, tmp_path) as world:
        _agreed(world)
        assert words in _change(world, *statement.split(";"))


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE sealing_keys SET key_id = zeroblob(4) WHERE kind = 'data'", "with a key nobody has any more"),
        ("UPDATE subscriptions SET lookup_key_id = 99", "is hashed with lookup key 99"),
        ("DELETE FROM key_wraps WHERE sealing_key_id = 1", "no master key opens sealing keys [1]"),
    ],
)
def test_what_no_key_opens_any_more(tmp_path: Path, statement: str, words: str) -> None:
    with simulated(2, tmp_path) as world:
        world.subscribe("b0", FCM)
        assert words in _change(world, statement, "UPDATE installation SET keys_version = keys_version + 1")


def test_what_is_erased_and_sealed_breaks_no_law(tmp_path: Path) -> None:
    with simulated(3, tmp_path) as world:
        _agreed(world)
        assert not _change(world, _seal(_head(1, 1)))
        assert not _change(world, FORGET, "DELETE FROM consent_states")


WITHDRAWN_BY_CONTACT = (
    RECORD.format(number=2, given=0),
    STATE.format(subject="c", given=0, number=2, contact="NULL"),
)


@pytest.mark.parametrize(
    ("basis", "changes", "allowed"),
    [
        ("consent", (), True),
        ("consent", ("DELETE FROM consent_states",), False),
        ("contract", ("DELETE FROM consent_states",), True),
        ("consent", (STATE.format(subject="s", given=1, number=1, contact=7),), False),
        ("consent", WITHDRAWN_BY_CONTACT, False),
        ("contract", WITHDRAWN_BY_CONTACT, False),
    ],
)
def test_a_message_to_who_does_not_agree(tmp_path: Path, basis: str, changes: tuple[str, ...], allowed: bool) -> None:
    with simulated(4, tmp_path) as world:
        _agreed(world)
        assert not _change(world, f"UPDATE purposes SET basis = '{basis}'", *changes)
        world.accept(Target.everyone())
        world.advance(2)
        (notification,) = world.spy.sight.notifications.values()
        posted = Posted(1, world.loop.time(), Process("somebody", world.loop), FCM, "b0", 1, None, b"", b"")
        world.laws.consent.posted("somebody posts", posted, replace(notification, purpose_id=1), world.rows["b0"])
        words = [] if allowed else ["at 2.000: somebody posts, who does not agree to that for 2.000 s"]
        assert [line.partition(",")[0] for line in world.laws.broken] == [line.partition(",")[0] for line in words]
