from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography import x509

from pushkeep.errors import ConfigurationError
from pushkeep.pushservice.certificates import Certificates, write_private

NAMES = ("localhost", "127.0.0.1", "::1", "jmt17.google.com")


def test_made_once_and_taken_again(tmp_path: Path) -> None:
    first = Certificates.load_or_make(tmp_path, NAMES)
    again = Certificates.load_or_make(tmp_path, NAMES)
    assert again.spki_sha256 == first.spki_sha256
    assert Certificates.load_or_make(tmp_path, (*NAMES, "fcm.googleapis.com")).spki_sha256 != first.spki_sha256


def test_the_cas_key_is_not_written(tmp_path: Path) -> None:
    made = Certificates.load_or_make(tmp_path, NAMES)
    assert "PRIVATE KEY" not in made.ca_file.read_text()
    leaf_file = tmp_path / "leaf.pem"
    assert leaf_file.read_text().count("PRIVATE KEY-----") == 2  # one key, its two marks
    leaf = x509.load_pem_x509_certificate(leaf_file.read_bytes())
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    ssl.create_default_context(cafile=str(made.ca_file))


@pytest.mark.parametrize("name", ["ca.pem", "leaf.pem"])
@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_broken_files_are_replaced(tmp_path: Path, name: str, content: bytes | None) -> None:
    first = Certificates.load_or_make(tmp_path, NAMES)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    again = Certificates.load_or_make(tmp_path, NAMES)
    assert again.spki_sha256 != first.spki_sha256
    again.server_context(("h2",))


def test_an_unwritable_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="choose another state directory"):
        Certificates.load_or_make(tmp_path / "file", NAMES)


def test_private_files_are_private_even_when_they_were_not(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)
