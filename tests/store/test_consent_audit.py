"""Verification of consent records: every single change, removal, addition or reorder is found, in a database and in a
file; what is erased as it should be is not."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from pushkeep.adapters.store import SqliteStore, open_store_inline
from pushkeep.app.consent_audit import export_lines, verify
from pushkeep.domain.consent_audit import Anchor, Findings
from pushkeep.domain.consent_file import verify_file
from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import Event, StateReason
from pushkeep.errors import InvalidInput
from pushkeep.ports.consents import Speaker
from tests.store.consent_contract import ANN, LATER_NEWS, by, declare, no, yes
from tests.store.doubles import MASTER_KEY, FakeClock, SeededEntropy
from tests.store.samples import NOW, new_project, registration, subscription

ERASE = """
    UPDATE consents SET subscription_id = NULL, contact_id = NULL, purpose_id = NULL, given = NULL, at = NULL,
        content = NULL, erased_at = 5.0 WHERE number = :number
"""
# Nothing is held to these: a row's id is nobody's business, and when a content was erased, or nothing rested on it any
# more, is not part of what was said.
FREE = frozenset({("consents", "id"), ("consents", "over_at")})


@pytest.fixture
async def kept() -> AsyncIterator[tuple[SqliteStore, Project, list[Anchor]]]:
    """Words of browsers and contacts, replaced, withdrawn, sealed twice, one erased, and two that wait."""
    store = open_store_inline(None, MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy())
    project = await store.ensure_project(new_project())
    await declare(store, project, "news", "offers")
    anchors = []

    async def sealed() -> None:
        seal = await store.seal_consents(project, now=NOW)
        assert seal is not None
        anchors.append(Anchor(seal.number, seal.head))

    first = await store.register(project, registration(subscription("a"), owner="ann", consents=(yes(), no("offers"))))
    await store.say(project, ANN, [yes("offers")], sequence=None, now=NOW)
    other = await store.register(project, registration(subscription("b"), consents=(yes(wording=LATER_NEWS),)))
    await sealed()
    renewed = registration(subscription("c"), replaces=first.record.public_id, now=NOW + 1)
    second = await store.register(project, renewed)
    await store.say(project, by(second.record), [no()], sequence=None, now=NOW + 2)
    await store.say(project, Speaker(contact="bob"), [yes(), yes("offers")], sequence=None, now=NOW + 3)
    await sealed()
    left = StateReason(Event.LEFT, NOW + 4)
    await store.end_subscription(project, AnyId(other.record.public_id, None), left)
    await store.say(project, Speaker(contact="cat"), [yes()], sequence=None, now=NOW + 5)

    def erase(connection: Connection) -> None:
        for statement in (ERASE, "DELETE FROM consent_states WHERE number = :number"):
            connection.execute(text(statement), {"number": 7})

    await store.writer.run(erase)
    yield store, project, anchors
    await store.aclose()


class _Undone(Exception):
    """Raised to have a change undone."""


async def tampered(
    store: SqliteStore, project: Project, anchors: Sequence[Anchor], change: Callable[[Connection], object]
) -> Findings:
    """What verification says of a change that is undone afterwards."""

    def begin(connection: Connection) -> None:
        connection.execute(text("PRAGMA foreign_keys = OFF"))
        connection.execute(text("PRAGMA ignore_check_constraints = ON"))

    saved = await store.writer.run(_saved)
    await store.writer.run(begin)
    try:
        await store.writer.run(lambda connection: change(connection) and None)
        return await verify(store, project, anchors)
    finally:
        await store.writer.run(lambda connection: _restore(connection, saved))


TABLES = ("consents", "consent_seals", "consent_states")


def _saved(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    return {name: [dict(row._mapping) for row in connection.execute(text(f"SELECT * FROM {name}"))] for name in TABLES}


def _restore(connection: Connection, saved: dict[str, list[dict[str, Any]]]) -> None:
    for name, rows in saved.items():
        connection.execute(text(f"DELETE FROM {name}"))
        for row in rows:
            columns = ", ".join(f'"{column}"' for column in row)
            values = ", ".join(f":{column}" for column in row)
            connection.execute(text(f"INSERT INTO {name} ({columns}) VALUES ({values})"), row)


def _others(value: object) -> list[object]:
    """Other values of the same kind, and nothing."""
    if isinstance(value, bytes):
        return [value[:-1] + bytes([value[-1] ^ 128]), None]
    if isinstance(value, int):
        return [value + 1, value - 1, None]
    if isinstance(value, float):
        return [value + 1.0, None]
    if isinstance(value, str):
        return ["c" if value == "s" else "s"]
    return [1]


def _changes(rows: dict[str, list[dict[str, Any]]]) -> Iterator[tuple[str, Callable[[Connection], object]]]:
    keys = {
        "consents": ("id",),
        "consent_seals": ("project_id", "number"),
        "consent_states": ("subject", "subject_id", "purpose_id"),
    }
    for table, found in rows.items():
        for row in found:
            where = " AND ".join(f'"{key}" = :key_{key}' for key in keys[table])
            named = {f"key_{key}": row[key] for key in keys[table]}
            which = f"{table} {named}"
            yield f"without {which}", partial(_execute, f"DELETE FROM {table} WHERE {where}", named)
            for column, value in row.items():
                if (table, column) in FREE or (column == "erased_at" and value is not None):
                    continue
                for other in [1 - value, None] if column == "given" and value is not None else _others(value):
                    if value is None and row.get("erased_at") is None and column not in ("erased_at", "contact_id"):
                        continue
                    statement = f'UPDATE OR IGNORE {table} SET "{column}" = :other WHERE {where}'
                    what = f"{which}: {column} {value!r} -> {other!r}"
                    yield what, partial(_execute, statement, {**named, "other": other})


def _execute(statement: str, values: dict[str, Any], connection: Connection) -> None:
    connection.execute(text(statement), values)


async def test_nothing_is_wrong_with_what_was_not_touched(kept: tuple[SqliteStore, Project, list[Anchor]]) -> None:
    store, project, anchors = kept
    findings = await verify(store, project, anchors)
    assert findings.faults == ()
    assert (findings.records, findings.erased, findings.sealed, findings.seals) == (9, 1, 7, 2)
    assert findings.head == anchors[-1].head


async def test_every_single_change_and_removal_is_found(kept: tuple[SqliteStore, Project, list[Anchor]]) -> None:
    store, project, anchors = kept
    rows = await store.writer.run(_saved)
    unseen, refused, tried = [], 0, 0
    for what, change in _changes(rows):
        try:
            findings = await tampered(store, project, anchors, change)
        except Exception:  # the database itself does not take it
            refused += 1
            continue
        tried += 1
        if findings.good and await _differs(store, rows, change):
            unseen.append(what)
    assert "\n".join(unseen) == ""
    assert tried > 150, (tried, refused)


async def _differs(
    store: SqliteStore, rows: dict[str, list[dict[str, Any]]], change: Callable[[Connection], object]
) -> bool:
    """Whether a change changes anything: a row that would be there twice stays as it is."""

    def unit(connection: Connection) -> bool:
        change(connection)
        differs = _saved(connection) != rows
        _restore(connection, rows)
        return differs

    return await store.writer.run(unit)


async def test_records_that_change_places_are_found(kept: tuple[SqliteStore, Project, list[Anchor]]) -> None:
    store, project, anchors = kept
    for one, other in itertools.combinations(range(1, 10), 2):

        def swap(connection: Connection, one: int = one, other: int = other) -> object:
            for old, new in ((one, -1), (other, one), (-1, other)):
                connection.execute(
                    text("UPDATE consents SET number = :new WHERE number = :old"), {"old": old, "new": new}
                )
            return True

        findings = await tampered(store, project, anchors, swap)
        assert not findings.good, (one, other)


async def test_a_chain_that_is_made_anew_is_found_by_who_kept_a_head(
    kept: tuple[SqliteStore, Project, list[Anchor]],
) -> None:
    store, project, anchors = kept
    saved = await store.writer.run(_saved)
    try:
        await store.writer.run(lambda c: c.execute(text(ERASE), {"number": 2}) and None)
        await store.writer.run(lambda c: c.execute(text("DELETE FROM consent_seals")) and None)
        await store.writer.run(
            lambda c: c.execute(text("UPDATE consents SET commitment = zeroblob(32) WHERE number = 2")) and None
        )
        await store.seal_consents(project, now=NOW)
        assert "is not the one that was kept outside" in " ".join((await verify(store, project, anchors)).faults)
        assert "no such seal any more" in " ".join((await verify(store, project, anchors)).faults)
    finally:
        await store.writer.run(lambda c: _restore(c, saved))


async def test_a_wording_that_was_changed_is_found(kept: tuple[SqliteStore, Project, list[Anchor]]) -> None:
    store, project, anchors = kept
    change = text("UPDATE wordings SET text = text || '!' WHERE version = '2'")
    back = text("UPDATE wordings SET text = substr(text, 1, length(text) - 1) WHERE version = '2'")
    await store.writer.run(lambda c: c.execute(change) and None)
    try:
        (fault,) = (await verify(store, project, anchors)).faults
        assert fault == "Record 4 refers to a wording that is not there any more as it was."
    finally:
        await store.writer.run(lambda c: c.execute(back) and None)


async def test_faults_are_exact(kept: tuple[SqliteStore, Project, list[Anchor]]) -> None:
    store, project, anchors = kept

    async def faults(statement: str) -> tuple[str, ...]:
        return (await tampered(store, project, anchors, lambda c: c.execute(text(statement)))).faults

    assert (await faults("UPDATE consents SET given = 0 WHERE number = 3"))[0] == (
        "Record 3 says another given than the column beside it."
    )
    assert "Record 2 is missing." in await faults("DELETE FROM consents WHERE number = 2")
    assert (await faults("UPDATE consents SET commitment = zeroblob(32) WHERE number = 7")) == (
        "Seal 2 does not hold: the commitment of one of records 5 to 7, or the seal itself, was changed.",
    )
    assert "follows from record 3, which is missing" in " ".join(
        await faults("UPDATE consents SET number = 99 WHERE number = 3")
    )


@pytest.fixture
async def exported(kept: tuple[SqliteStore, Project, list[Anchor]]) -> tuple[list[bytes], list[Anchor]]:
    store, project, anchors = kept
    return [line.encode() async for line in export_lines(store, project, now=NOW)], anchors


def test_an_exported_file_is_verified_without_database_and_keys(exported: tuple[list[bytes], list[Anchor]]) -> None:
    lines, anchors = exported
    findings = verify_file(lines, anchors)
    assert findings.faults == ()
    assert (findings.records, findings.erased, findings.sealed, findings.seals) == (9, 1, 7, 2)
    said = json.loads(lines[8])["record"]
    assert said["content"]["page"] == "https://example.com/welcome"


def _wrong(lines: Sequence[bytes], anchors: Sequence[Anchor]) -> bool:
    try:
        return not verify_file(lines, anchors).good
    except InvalidInput:
        return True


def test_every_line_that_is_missing_twice_or_elsewhere_is_found(exported: tuple[list[bytes], list[Anchor]]) -> None:
    lines, anchors = exported
    kinds = [next(iter(json.loads(line))) for line in lines]
    evidence = [index for index, kind in enumerate(kinds) if kind in ("seal", "record", "end")]
    for index in evidence:
        assert _wrong(lines[:index] + lines[index + 1 :], anchors), index
        assert _wrong([*lines[:index], lines[index], *lines[index:]], anchors), index
    for one, other in itertools.combinations(evidence, 2):
        moved = list(lines)
        moved[one], moved[other] = moved[other], moved[one]
        assert _wrong(moved, anchors), (one, other)
    for length in range(len(lines)):
        assert _wrong(lines[:length], anchors), length


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_every_value_that_is_changed_in_a_file_is_found(
    exported: tuple[list[bytes], list[Anchor]], data: st.DataObject
) -> None:
    lines, anchors = exported
    index = data.draw(st.sampled_from([i for i, line in enumerate(lines) if line[2:6] in (b"seal", b"reco", b"word")]))
    value = json.loads(lines[index])
    (kind,) = value
    part = value[kind]
    inner = part["content"] if kind == "record" and part["content"] and data.draw(st.booleans()) else part
    member = data.draw(st.sampled_from(sorted(inner)))
    if (kind, member) in {("wording", "created_at"), ("record", "content")}:
        return  # when it was declared is not what was shown; a content is changed member by member
    if member == "erased_at" and inner[member] is not None:
        return
    old = inner[member]
    inner[member] = data.draw(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=70), st.floats(allow_nan=False)).filter(
            lambda new: json.dumps(new) != json.dumps(old)
        )
    )
    changed = [*lines[:index], json.dumps(value).encode(), *lines[index + 1 :]]
    assert _wrong(changed, anchors), (index, member, old, inner[member])


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "The file is empty."),
        (b"{}\n", "This is no file of consent records"),
        (b'{"pushkeep":"consents","version":2}\n', "This is no file of consent records"),
        (b"PK\x03\x04", "This is no file of consent records"),
        (b"[" * 100_000, "Line 1 has over 65536 octets."),
        (b"[" * 60_000, "This is no file of consent records"),
        (b'{"pushkeep":"consents","version":1}\n{"record":{}}\n', "Line 2 is not as"),
        (b'{"pushkeep":"consents","version":1}\n{"seal":3}\n', "Line 2 is not as"),
        (b'{"pushkeep":"consents","version":1}\n{"end":{"records":0}}\n{}\n', "Line 3 stands behind the file's end."),
    ],
)
def test_a_file_of_something_else_is_refused_in_one_sentence(content: bytes, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        verify_file(content.splitlines(keepends=True))
