"""The erasure list as a file: what is in it is on disk, what was cut off never counted, and nobody is named."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from pushkeep.adapters.disk import FILE_MODE
from pushkeep.adapters.erasure_file import DIGEST_BYTES, LINE_BYTES_MAX, ErasureFile
from pushkeep.domain.project import Project
from pushkeep.errors import Unavailable
from pushkeep.ports.privacy import ErasedKind, ErasedName

PROJECT = Project(1, "00000000-0000-7000-8000-000000000001", "Shop", "https://shop.example.com", "pk", "mailto:a@b.c")
NOW = 1_800_000_000.0


def names(*numbers: int) -> list[ErasedName]:
    return [ErasedName(ErasedKind.CONTACT, bytes([number]) * DIGEST_BYTES) for number in numbers]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "erasures.jsonl"


async def add(path: Path, *numbers: int, after: int = 0) -> tuple[int, int]:
    return await ErasureFile(path).append(PROJECT, names(*numbers), at=NOW, after=after)


async def numbers(path: Path, after: int = 0) -> list[tuple[int, int]]:
    """Number and name of each entry."""
    return [(entry.number, entry.name.digest[0]) for entry in await ErasureFile(path).read(after=after)]


async def test_entries_are_numbered_as_they_come(path: Path) -> None:
    assert await ErasureFile(path).read(after=0) == []
    assert (await ErasureFile(path).standing()).last == 0
    assert not path.exists(), "looking makes nothing"
    assert await add(path, 1) == (1, 1)
    assert await add(path, 2, 3) == (2, 3)
    assert await numbers(path) == [(1, 1), (2, 2), (3, 3)]
    assert await numbers(path, after=2) == [(3, 3)]
    assert path.stat().st_mode & 0o777 == FILE_MODE
    standing = await ErasureFile(path).standing()
    assert (standing.last, standing.last_at, standing.missing, standing.damaged) == (3, NOW, 0, ())
    entry = json.loads(path.read_text().splitlines()[0])
    assert entry.keys() == {"number", "at", "project", "kind", "hash"}


async def test_many_who_write_at_once_get_numbers_of_their_own(path: Path) -> None:
    found = await asyncio.gather(*(add(path, number, number) for number in range(20)))
    assert sorted(number for first, last in found for number in (first, last)) == list(range(1, 41))
    assert [number for number, _ in await numbers(path)] == list(range(1, 41))


@pytest.mark.parametrize("cut", [1, 50, 150])
async def test_a_line_that_was_cut_off_never_counted(path: Path, cut: int) -> None:
    await add(path, 1, 2)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert await numbers(path) == [(1, 1)]
    assert await add(path, 3) == (2, 2)
    assert await numbers(path) == [(1, 1), (2, 3)]


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"nonsense",
        b"\xff\xfe",
        b"[" * 500,
        b"null",
        b'{"number":2,"at":1,"project":"p","kind":"contact","hash":"00"}',
        b'{"number":2,"at":1,"project":"p","kind":"stranger","hash":"' + b"00" * 32 + b'"}',
        b"x" * (3 * LINE_BYTES_MAX),
        b'{"number":1e999,"at":1,"project":"p","kind":"contact","hash":"' + b"00" * 32 + b'"}',
        b'{"number":9223372036854775808,"at":1,"project":"p","kind":"contact","hash":"' + b"00" * 32 + b'"}',
        b'{"number":2,"at":NaN,"project":"p","kind":"contact","hash":"' + b"00" * 32 + b'"}',
    ],
    ids=["empty", "words", "octets", "deep", "null", "short", "kind", "long", "endless", "beyond", "no time"],
)
async def test_a_damaged_line_is_named_and_the_others_are_read(path: Path, line: bytes) -> None:
    await add(path, 1)
    first = path.read_bytes()
    path.write_bytes(first + line + b"\n")
    await add(path, 3, after=2)
    assert await numbers(path) == [(1, 1), (3, 3)]
    standing = await ErasureFile(path).standing()
    assert (standing.last, standing.missing, standing.damaged[0]) == (3, 1, 2)


async def test_a_list_that_was_lost_goes_on_behind_what_was_applied(path: Path) -> None:
    assert await add(path, 1, after=7) == (8, 8)
    assert (await ErasureFile(path).standing()).missing == 7


async def test_a_full_disk_leaves_the_list_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await add(path, 1)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match=r"cannot be written \(No space left on device\), so nothing was erased"):
        await add(path, 2)
    assert path.read_bytes() == before


async def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"")
    path.symlink_to(elsewhere)
    with pytest.raises(Unavailable, match="cannot be written"):
        await add(path, 1)
    assert elsewhere.read_bytes() == b""


async def test_a_list_that_cannot_be_read_is_said(path: Path) -> None:
    path.mkdir()
    with pytest.raises(Unavailable, match="cannot be read"):
        await ErasureFile(path).read(after=0)
