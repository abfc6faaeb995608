"""Projects, subscriptions and registrations to test with."""

from __future__ import annotations

import dataclasses
import itertools
import uuid
from typing import Any

from pushkeep.domain.ids import SHORT_ID_ALPHABET, AnyId
from pushkeep.domain.notification import Target
from pushkeep.domain.project import NewProject, Project
from pushkeep.domain.registration import Registration
from pushkeep.domain.sending import NewNotification, Priority
from pushkeep.domain.subscription import Recipient, State
from pushkeep.ports import Store
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.request import PushOptions
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.subscription import Subscription
from tests.store.doubles import SeededEntropy

BROWSER_KEY = SigningKey(SeededEntropy(10).ephemeral_key()).public_bytes
OTHER_BROWSER_KEY = SigningKey(SeededEntropy(11).ephemeral_key()).public_bytes
NOW = 1_800_000_000.0

_count = itertools.count(1)


def new_project(**changes: object) -> NewProject:
    number = next(_count)
    made = NewProject(
        public_id=str(uuid.UUID(int=number << 64 | 7 << 76 | 2 << 62)),
        name="Example",
        site_url="https://example.com",
        contact="mailto:push@example.com",
        publishable_key=f"pk_{number:024d}",
        signing_key=SigningKey.generate(),
        identity_secret=b"i" * 32,
        sync_secret=b"s" * 32,
        created_at=NOW,
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def endpoint(name: str = "one", host: str = "updates.push.services.mozilla.com") -> Endpoint:
    return Endpoint.parse(f"https://{host}/wpush/v2/{name}")


def subscription(
    name: str = "one", *, p256dh: bytes = BROWSER_KEY, auth: bytes = b"a" * 16, host: str | None = None
) -> Subscription:
    return Subscription(endpoint(name) if host is None else endpoint(name, host), p256dh, auth)


def registration(
    given: Subscription,
    signing_key_id: int = 1,
    *,
    owner: str | None = None,
    replaces: str | tuple[str, ...] | None = None,
    now: float = NOW,
    short_ids: tuple[str, ...] | None = None,
    abilities: frozenset[str] | None = None,
    vendor: str = "mozilla",
    **more: Any,
) -> Registration:
    number = next(_count)
    return Registration(
        subscription=given,
        signing_key_id=signing_key_id,
        vendor=vendor,
        owner=owner,
        replaces=replaces if isinstance(replaces, tuple) else () if replaces is None else (replaces,),
        now=now,
        public_id=str(uuid.UUID(int=int(now) << 80 | 7 << 76 | 2 << 62 | number)),
        short_ids=short_ids or tuple(_short(number * 4 + offset) for offset in range(4)),
        abilities=abilities,
        **more,
    )


def _short(number: int) -> str:
    characters = []
    for _ in range(8):
        number, digit = divmod(number, len(SHORT_ID_ALPHABET))
        characters.append(SHORT_ID_ALPHABET[digit])
    return "".join(characters)


def new_notification(target: Target, **changes: object) -> NewNotification:
    """To be sent now and for an hour, unless changed."""
    made = NewNotification(
        public_id=str(uuid.UUID(int=int(NOW) << 80 | 7 << 76 | 2 << 62 | next(_count))),
        target=target,
        content=b'{"title":"Hello"}',
        payload=b'{"web_push":8030}',
        token_offset=None,
        options=PushOptions(ttl=3600),
        priority=Priority.NORMAL,
        accepted_at=NOW,
        send_at=NOW,
        deadline=NOW + 3600,
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def foreign(project: Project) -> Project:
    """A project that the store does not have."""
    return dataclasses.replace(project, id=project.id + 1000)


async def sendable(store: Store, project: Project) -> list[Recipient]:
    """Whom a message to everybody is for, in the order of their ids."""
    records = await store.list_subscriptions(project, state=State.ACTIVE, limit=1000, after=0)
    found = [await store.find_recipient(project, AnyId(record.public_id, None)) for record in records]
    return [recipient for recipient in found if recipient is not None]
