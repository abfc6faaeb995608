"""A directory with secrets, as the doctor sees it: files are known by how they begin, whatever they are called."""

import sqlite3
from pathlib import Path

import pytest

from pushkeep.adapters import lying_files as module
from pushkeep.adapters.lying_files import look_at_folder
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.signing_key import SigningKey


def write(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)


def test_files_with_secrets_are_known_by_their_beginning(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "monday") as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE t (x)")
        connection.commit()
        write(tmp_path / "key", f"# ours\n{SigningKey.generate().to_pem()}", 0o600)
        write(tmp_path / "pushkeep.toml", 'contact = "mailto:a@b.dev"\nmaster_key = "x"\n', 0o640)
        write(tmp_path / "all.jsonl", '{"pushkeep": 1, "kind": "header"}\n{}\n')
        write(tmp_path / "subscription.json", '{"endpoint":"https://p.example/1","keys":{"p256dh":"B","auth":"a"}}')
        write(tmp_path / "master.key.old-1a2b3c4d", f"{b64url_encode(bytes(range(32)))}\n", 0o600)
        write(tmp_path / "notes.txt", "nothing secret; master_key_file is set elsewhere")
        (tmp_path / "below").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "key")
        found = look_at_folder(tmp_path)
    assert {(Path(file.path).name, file.holds, oct(file.mode)) for file in found.files if "-shm" not in file.path} == {
        ("monday", "a database", "0o644"),
        ("monday-wal", "a database's journal", "0o644"),
        ("key", "a private key", "0o600"),
        ("master.key.old-1a2b3c4d", "a key", "0o600"),
        ("pushkeep.toml", "the settings, with the master key in them", "0o640"),
        ("all.jsonl", "an export", "0o644"),
        ("subscription.json", "subscriptions", "0o644"),
    }
    assert not found.cut


def test_who_may_write_there_is_read_from_the_place_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real").chmod(0o770)
    (tmp_path / "link").symlink_to("real")
    found = look_at_folder(tmp_path / "link")
    assert (found.path, found.mode) == (str((tmp_path / "real").resolve()), 0o770)


def test_what_cannot_be_looked_at_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "file").write_text("")
    for name in ("nothing", "circle", "file"):
        assert look_at_folder(tmp_path / name).mode is None


def test_a_directory_without_end_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILES_LOOKED_AT_MAX", 3)
    for number in range(4):
        (tmp_path / str(number)).write_text("")
    assert look_at_folder(tmp_path).cut


def test_the_file_system_is_that_of_the_nearest_mount_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    spaced = str(tmp_path / "my share").replace(" ", "\\040")
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/x {spaced} nfs4 rw 0 0\nbroken\n")
    monkeypatch.setattr(module, "MOUNTS", mounts)
    (tmp_path / "my share" / "push").mkdir(parents=True)
    assert look_at_folder(tmp_path / "my share" / "push").file_system == "nfs4"
    assert look_at_folder(tmp_path).file_system == "ext4"
    monkeypatch.setattr(module, "MOUNTS", tmp_path / "nothing")
    assert look_at_folder(tmp_path).file_system is None
