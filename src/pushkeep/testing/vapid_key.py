"""A VAPID key pair in every form that senders ask for."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.signing_key import SigningKey


class VapidKey:
    """A key pair for tests. ``repr()`` shows only the key id.

    Args:
        private: your application's private key in any form that :meth:`SigningKey.read` takes; None makes a new one.

    Raises:
        InvalidInput: it is no such key.
    """

    def __init__(self, private: str | bytes | Mapping[str, object] | None = None) -> None:
        self.signing_key = SigningKey.generate() if private is None else SigningKey.read(private)

    @cached_property
    def private(self) -> str:
        """The private key as npm web-push and pywebpush print it: base64url of its 32 octets."""
        return self.signing_key.to_raw()

    @cached_property
    def public(self) -> str:
        """The public key, ``applicationServerKey``: base64url of its 65 octets."""
        return self.signing_key.public_b64

    @cached_property
    def public_bytes(self) -> bytes:
        """The public key, 65 octets."""
        return self.signing_key.public_bytes

    @cached_property
    def pem(self) -> str:
        """The private key as PKCS#8 PEM text."""
        return self.signing_key.to_pem()

    @cached_property
    def pem_file(self) -> str:
        """Path of a file with that text; it is gone when this object is."""
        directory = tempfile.mkdtemp(prefix="pushkeep-vapid-")
        weakref.finalize(self, shutil.rmtree, directory, ignore_errors=True)
        path = Path(directory) / "vapid.pem"
        path.touch(mode=0o600)
        path.write_text(self.pem, encoding="ascii")
        return str(path)

    @cached_property
    def der(self) -> str:
        """The private key as base64url of its PKCS#8 DER form."""
        return b64url_encode(self.signing_key.to_der())

    @cached_property
    def jwk(self) -> Mapping[str, str]:
        """The private key as a JSON Web Key (RFC 7518 section 6.2)."""
        return self.signing_key.to_jwk()

    def __repr__(self) -> str:
        return f"<VapidKey {self.signing_key.key_id}>"
