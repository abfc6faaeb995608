"""The master key's file: made once, whole, for one user, never over another."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from pushkeep.adapters.master_key import open_master_key, read_master_key
from pushkeep.errors import ConfigurationError
from pushkeep.protocol.encoding import b64url_encode


def opened(directory: Path) -> bytes:
    return open_master_key(directory / "master.key", database=directory / "pushkeep.db", random_bytes=os.urandom)


def test_the_first_start_makes_a_private_file_and_later_ones_read_it(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "data"
    key = opened(directory)
    assert len(key) == 32
    assert stat.S_IMODE((directory / "master.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert opened(directory) == key
    assert [entry.name for entry in directory.iterdir()] == ["master.key"]


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    keys: list[bytes] = []
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait()
        keys.append(opened(tmp_path))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_a_first_start_that_another_one_overtakes_takes_its_key(tmp_path: Path) -> None:
    database = tmp_path / "pushkeep.db"

    class Overtaken(type(tmp_path)):  # type: ignore[misc]  # the platform's own path class
        """The place of the key; another process starts for the first time right after it was looked for."""

        def exists(self, **_: object) -> bool:
            found = Path(self).exists()
            opened(tmp_path)
            database.touch()
            return found

    key = open_master_key(Overtaken(tmp_path / "master.key"), database=database, random_bytes=os.urandom)
    assert key == opened(tmp_path)


def test_a_lost_key_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "pushkeep.db").touch()
    with pytest.raises(ConfigurationError, match="Restore the key from a backup"):
        opened(tmp_path)
    assert not (tmp_path / "master.key").exists()


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o620, 0o666])
def test_a_key_others_can_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    opened(tmp_path)
    (tmp_path / "master.key").chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        opened(tmp_path)


def test_a_service_group_may_read_it(tmp_path: Path) -> None:
    key = opened(tmp_path)
    (tmp_path / "master.key").chmod(0o640)
    assert opened(tmp_path) == key


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 43, b"A" * 44, b"A" * 1_000_000])
def test_what_is_no_key_is_named_without_being_shown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError) as caught:
        read_master_key(path)
    assert str(path) in caught.value.message
    assert "A" * 20 not in caught.value.message


def test_a_final_line_break_is_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(b64url_encode(bytes(range(32))) + "\r\n")
    path.chmod(0o600)
    assert read_master_key(path) == bytes(range(32))


def test_a_named_file_has_to_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        read_master_key(tmp_path / "key")


def test_a_place_that_cannot_hold_it_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="Choose another place for it"):
        opened(tmp_path / "file" / "data")
    (tmp_path / "directory").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_master_key(tmp_path / "directory")
