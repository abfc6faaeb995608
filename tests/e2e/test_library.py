"""The library and the push service alone: a plain page, a stock browser, and ``PushClient``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from pushkeep import PayloadTooLarge, PushClient, SigningKey
from pushkeep.protocol.aesgcm import LEGACY_PLAINTEXT_BYTES_MAX
from pushkeep.protocol.ece import PLAINTEXT_BYTES_MAX
from pushkeep.protocol.verdict import Verdict
from pushkeep.testing.browser import Page
from pushkeep.testing.static_site import static_site

from .desk import Desk
from .static_site import FILES

pytestmark = pytest.mark.browser

CONTACT = "mailto:tests@example.org"


@dataclass(frozen=True, slots=True)
class Subscribed:
    page: Page
    subscription: dict[str, object]
    key: SigningKey
    client: PushClient


@pytest.fixture
def origin(desk: Desk) -> Iterator[str]:
    with static_site(FILES) as port:
        yield f"http://library-{desk.browser.name}.localhost:{port}"


@pytest_asyncio.fixture(loop_scope="session")
async def subscribed(desk: Desk, origin: str) -> AsyncIterator[Subscribed]:
    key = SigningKey.generate()
    await desk.browser.set_permission(origin, "granted")
    page = await desk.browser.open(f"{origin}/?key={key.public_b64}")
    await page.wait_for("window.ready")
    await page.click("#subscribe")
    subscription = await page.wait_for("window.subscription")
    assert isinstance(subscription, dict)
    origin_map = desk.service.origin_map_entries()
    async with PushClient(key=key, contact=CONTACT, origin_map=origin_map) as client:
        yield Subscribed(page, subscription, key, client)


SENT_AND_READ: tuple[tuple[str | dict[str, object] | None, str | None], ...] = (
    ("Grüße, 世界", "Grüße, 世界"),
    ({"n": 1}, '{"n":1}'),
    (None, None),
    ("x" * PLAINTEXT_BYTES_MAX, "x" * PLAINTEXT_BYTES_MAX),
)


async def test_what_is_sent_is_what_the_worker_reads(desk: Desk, subscribed: Subscribed) -> None:
    """Text, an object, nothing at all, and the longest message there is."""
    for number, (payload, read) in enumerate(SENT_AND_READ):
        outcome = await subscribed.client.send(subscribed.subscription, payload, ttl=60, urgency="high")
        assert outcome.accepted, outcome
        assert (await desk.notifications.next()).title == "pushed"
        told = await subscribed.page.wait_for(f"window.told.filter(each => 'pushed' in each)[{number}]")
        assert told == {"pushed": read}


async def test_another_key_is_refused_and_nothing_is_shown(desk: Desk, subscribed: Subscribed) -> None:
    entries = desk.service.origin_map_entries()
    async with PushClient(key=SigningKey.generate(), contact=CONTACT, origin_map=entries) as stranger:
        outcome = await stranger.send(subscribed.subscription, "stolen", ttl=60)
    assert outcome.verdict is Verdict.KEY_MISMATCH
    assert (await subscribed.client.send(subscribed.subscription, "mine", ttl=60)).accepted
    assert (await desk.notifications.next()).text == "mine"


LISTED = {"firefox": ["aes128gcm"], "chromium": ["aes128gcm", "aesgcm"]}


async def test_the_legacy_encoding_is_read_also_where_it_is_not_listed(desk: Desk, subscribed: Subscribed) -> None:
    listed = await subscribed.page.evaluate("PushManager.supportedContentEncodings")
    assert listed == LISTED[desk.browser.name]
    # Longer than what today's encoding holds: that it arrives shows which one was spoken.
    payload = "x" * LEGACY_PLAINTEXT_BYTES_MAX
    with pytest.raises(PayloadTooLarge):
        await subscribed.client.send({**subscribed.subscription, "supportedContentEncodings": listed}, payload)
    legacy = {**subscribed.subscription, "supportedContentEncodings": ["aesgcm"]}
    assert (await subscribed.client.send(legacy, payload, ttl=60, urgency="high")).accepted
    assert (await desk.notifications.next()).title == "pushed"
    assert await subscribed.page.wait_for("window.told.filter(each => 'pushed' in each)[0]") == {"pushed": payload}
