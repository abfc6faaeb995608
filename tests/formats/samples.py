"""Rows as other products have them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pushkeep.adapters.formats.fields import Wishes
from pushkeep.adapters.formats.files import ForeignFile, open_foreign
from pushkeep.adapters.formats.octets import Octets
from pushkeep.domain.moving import Fault, ForeignSubscription, Format, Numbered
from pushkeep.protocol.encoding import b64url_encode
from tests.store.samples import BROWSER_KEY

P256DH = b64url_encode(BROWSER_KEY)
AUTH = b64url_encode(b"a" * 16)


def url(name: str = "one") -> str:
    return f"https://updates.push.services.mozilla.com/wpush/v2/{name}"


def browser_json(name: str = "one") -> dict[str, object]:
    return {"endpoint": url(name), "expirationTime": None, "keys": {"p256dh": P256DH, "auth": AUTH}}


def laravel_row(name: str = "one", **changes: object) -> dict[str, object]:
    return {
        "id": 1,
        "subscribable_type": "App\\Models\\User",
        "subscribable_id": 17,
        "endpoint": url(name),
        "public_key": P256DH,
        "auth_token": AUTH,
        "content_encoding": "aes128gcm",
        "created_at": "2024-05-01 10:00:00",
        "updated_at": "2025-05-01 10:00:00",
        **changes,
    }


def device_row(name: str = "one", **changes: object) -> dict[str, object]:
    return {
        "id": 1,
        "name": "",
        "active": True,
        "user_id": 17,
        "date_created": "2024-05-01 10:00:00.123456+00:00",
        "application_id": "",
        "registration_id": url(name),
        "p256dh": P256DH,
        "auth": AUTH,
        "browser": "FIREFOX",
        **changes,
    }


def as_csv(rows: Sequence[Mapping[str, object]], *, separator: str = ",", end: str = "\r\n") -> str:
    written = io.StringIO()
    table = csv.DictWriter(written, list(rows[0]), delimiter=separator, lineterminator=end)
    table.writeheader()
    table.writerows(rows)
    return written.getvalue()


def as_lines(rows: Sequence[object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@contextmanager
def opened(path: Path, content: str | bytes, format: Format | None = None, **wishes: object) -> Iterator[ForeignFile]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    octets = Octets(path)
    try:
        yield open_foreign(octets, format, Wishes(**wishes))  # type: ignore[arg-type]
    finally:
        octets.close()


def records(path: Path, content: str | bytes, format: Format | None = None, **wishes: object) -> list[Numbered | Fault]:
    """Everything a file says, read twice alike."""
    with opened(path, content, format, **wishes) as source:
        source.digest()
        found = list(source.read())
        assert list(source.read()) == found
        return found


def only(found: Sequence[Numbered | Fault]) -> ForeignSubscription:
    """The one record."""
    (one,) = found
    assert isinstance(one, Numbered), one
    assert isinstance(one.record, ForeignSubscription), one.why
    return one.record
