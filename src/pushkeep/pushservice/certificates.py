"""The service's TLS certificates: a private CA that is used once, and one leaf with every name we answer for.

The CA's own key is never written and is gone when this module returns, so trusting ``ca.pem`` in a test
profile trusts this one leaf and nothing that could be issued later.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import ipaddress
import os
import ssl
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pushkeep.errors import ConfigurationError

_CA_NAME, _LEAF_NAME = "ca.pem", "leaf.pem"


class Certificates:
    """The files in one directory and what is made of them.

    Attributes:
        ca_file: the CA's certificate, for those who shall trust the service.
        spki_sha256: base64 of the SHA-256 of the leaf's public key, for Chromium's
            ``--ignore-certificate-errors-spki-list``.
    """

    def __init__(self, directory: Path) -> None:
        self.ca_file = directory / _CA_NAME
        self._leaf_file = directory / _LEAF_NAME
        leaf = x509.load_pem_x509_certificate(self._leaf_file.read_bytes())
        spki = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.spki_sha256 = base64.b64encode(hashlib.sha256(spki).digest()).decode()

    @classmethod
    def load_or_make(cls, directory: Path, names: Sequence[str]) -> Certificates:
        """Take the certificates in ``directory`` if they are valid for exactly these names, else make new ones.

        Raises:
            ConfigurationError: the directory cannot be written.
        """
        try:
            if not _is_usable(directory, names):
                _make(directory, names)
            return cls(directory)
        except OSError as error:
            raise ConfigurationError(
                f"The push service cannot keep its certificates in {directory} ({error.strerror}); "
                "choose another state directory.",
                field="state_dir",
            ) from None

    def server_context(self, alpn: Sequence[str], *, http1_hosts: Collection[str] = ()) -> ssl.SSLContext:
        """A context for listening, TLS 1.2 or newer.

        Args:
            alpn: the protocols offered; none for connections that are not HTTP.
            http1_hosts: names at which only HTTP/1.1 is offered, to clients that send the name (SNI).
        """
        context = self._context(alpn)
        if http1_hosts:
            old = self._context(("http/1.1",))

            def choose(connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
                if name in http1_hosts:
                    connection.context = old

            context.sni_callback = choose
        return context

    def _context(self, alpn: Sequence[str]) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._leaf_file)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context


def _is_usable(directory: Path, names: Sequence[str]) -> bool:
    with contextlib.suppress(OSError, ValueError, x509.ExtensionNotFound):
        ca = x509.load_pem_x509_certificate((directory / _CA_NAME).read_bytes())
        leaf = x509.load_pem_x509_certificate((directory / _LEAF_NAME).read_bytes())
        leaf.verify_directly_issued_by(ca)
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        present = {str(item.value) for item in found}
        return present == {_canonical(name) for name in names} and leaf.not_valid_after_utc > datetime.now(UTC)
    return False


def _canonical(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def _make(directory: Path, names: Sequence[str]) -> None:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    ca = trustme.CA(organization_name="Pushkeep local push service", organization_unit_name="for tests only")
    leaf = ca.issue_cert(*names)
    # The leaf first: the loader takes the first certificate of the file.
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    write_private(directory / _LEAF_NAME, chain + leaf.private_key_pem.bytes())
    (directory / _CA_NAME).write_bytes(ca.cert_pem.bytes())


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, replacing an older one as a whole."""
    partial = path.with_name(path.name + ".new")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    partial.replace(path)
