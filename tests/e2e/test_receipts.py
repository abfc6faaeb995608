"""Receipts from stock browsers, messages that are compressed or fetched, and one that is delivered twice."""

from __future__ import annotations

from typing import Any

import pytest

from pushkeep import PushClient
from pushkeep.app.payloads import COMPRESSED_MARKER, PayloadMaker
from pushkeep.domain.compiled import compile_payload
from pushkeep.domain.ids import AnyId
from pushkeep.domain.notification import Content
from pushkeep.domain.receipt import receipt_key
from pushkeep.domain.sending import NotificationJob, Priority
from pushkeep.domain.subscription import Recipient
from pushkeep.protocol.request import PushOptions
from pushkeep.testing.browser import poll

from .insides import SHOWN
from .site import SUBSCRIBE_SECONDS_MAX, Visitor

pytestmark = pytest.mark.browser

ID = "01a20069-9469-7f10-87df-063c7022572e"
NOTHING = {"displayed": 0, "clicked": 0, "closed": 0}
SAY = """import("/pushkeep/sdk.js").then(async ({ Pushkeep }) => {
  const push = new Pushkeep({ projectKey: document.body.dataset.projectKey });
  await push.setReceipts(%s);
  return push.receipts();
})"""

GONE = f"{SHOWN}.then((shown) => shown.every(({{title}}) => title !== 'From an unseen visitor'))"
# The worker tells the page of everything it shows, and whether it had shown it before.
LISTEN = """void navigator.serviceWorker.addEventListener("message", (event) => {
  self.repeated ||= event.data?.pushkeep?.repeat === true;
})"""


async def tell(visitor: Visitor, title: str, *, options: dict[str, object] | None = None, **content: object) -> str:
    """Notify the visitor as a site's backend would; the notification's id."""
    asked = {
        "to": {"subscriptions": [visitor.short_id]},
        "content": {"title": title, **content},
        "options": options or {},
    }
    answer = await visitor.site.http.post("/v1/notifications", json=asked)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def receipts(visitor: Visitor, notification: str, **counts: int) -> None:
    """Wait until the server knows this of a notification; figures are a second old at most."""
    wanted = {**NOTHING, **counts}

    async def ask() -> object:
        answer = await visitor.site.http.get(f"/v1/notifications/{notification}")
        return answer.json()["receipts"]

    await poll(
        ask,
        timeout_seconds=SUBSCRIBE_SECONDS_MAX,
        waiting_for=f"receipts {wanted}",
        accept=lambda found: found == wanted,
    )


async def recipient(visitor: Visitor) -> Recipient:
    """The visitor as the store knows them."""
    serving = visitor.site.serving
    named = AnyId.parse(visitor.short_id)
    found = await serving.services.store.find_recipient(serving.project, named)
    assert found is not None
    return found


class Post:
    """Sends to the visitor past the server, as often as wanted, under the server's own key."""

    def __init__(self, visitor: Visitor, maker: PayloadMaker, recipient: Recipient, key: Any) -> None:
        self._visitor = visitor
        self._maker = maker
        self._recipient = recipient
        self._key = key

    @classmethod
    async def of(cls, visitor: Visitor, *, compress: bool = False, **content: object) -> Post:
        serving = visitor.site.serving
        store = serving.services.store
        compiled = compile_payload(Content.of(**content), notification_id=ID, site_url=visitor.site.url)
        job = NotificationJob(
            id=1,
            project_id=serving.project.id,
            public_id=ID,
            payload=compiled.payload,
            token_offset=compiled.token_offset,
            options=PushOptions(ttl=60),
            priority=Priority.NORMAL,
            deadline=0.0,
            compress=compress,
            keeps_outcomes=True,
        )
        (key, *_) = await store.signing_keys(serving.project)
        secrets = await store.project_secrets(serving.project)
        return cls(visitor, PayloadMaker(job, receipt_key(secrets.sync)), await recipient(visitor), key.key)

    def payload(self) -> bytes:
        record = self._recipient.record
        made = self._maker.plaintext(record.id, record.abilities, record.vendor)
        assert made is not None
        return made

    async def send(self) -> None:
        subscription = self._recipient.subscription
        assert subscription is not None
        entries = self._visitor.desk.service.origin_map_entries()
        async with PushClient(key=self._key, contact="mailto:tests@example.org", origin_map=entries) as client:
            outcome = await client.send(subscription, self.payload(), ttl=60, urgency="high")
        assert outcome.accepted, outcome


async def test_displayed_clicked_and_closed_arrive(visitor: Visitor) -> None:
    clicked = await tell(visitor, "To be clicked", url="/demo/info?from=receipt")
    seen = await visitor.sees("To be clicked")
    await receipts(visitor, clicked, displayed=1)
    await visitor.desk.notifications.click(seen)
    await visitor.desk.notifications.wait_closed(seen)
    await receipts(visitor, clicked, displayed=1, clicked=1)

    closed = await tell(visitor, "To be closed")
    seen = await visitor.sees("To be closed")
    await receipts(visitor, closed, displayed=1)
    await visitor.desk.notifications.dismiss(seen)
    await receipts(visitor, closed, displayed=1, closed=1)
    # A click is no dismissal, also where the browser takes the notification away itself.
    await receipts(visitor, clicked, displayed=1, clicked=1)


async def test_whoever_does_not_want_them_sends_none(visitor: Visitor) -> None:
    by_site = await tell(visitor, "Without receipts", options={"receipts": False})
    await visitor.sees("Without receipts")
    assert await visitor.page.evaluate(SAY % "false") is False
    by_visitor = await tell(visitor, "From an unseen visitor")
    seen = await visitor.sees("From an unseen visitor")
    await visitor.desk.notifications.dismiss(seen)
    # The browser hears of the dismissal in its own time; by the next message it has told the worker.
    await visitor.page.wait_for(GONE, timeout_seconds=SUBSCRIBE_SECONDS_MAX)
    await tell(visitor, "To the same visitor")
    await visitor.sees("To the same visitor")
    await visitor.shown("To the same visitor")
    assert await visitor.page.evaluate(SAY % "true") is True
    # One that is reported, sent and shown after them: what they would have said has come by then.
    last = await tell(visitor, "Reported again")
    await visitor.sees("Reported again")
    await receipts(visitor, last, displayed=1)
    await receipts(visitor, by_site)
    await receipts(visitor, by_visitor)


async def test_a_compressed_message_is_shown_as_it_was_written(visitor: Visitor) -> None:
    assert (await recipient(visitor)).record.abilities == {"deflate"}
    body = "Ihr Päckchen ist unterwegs und kommt morgen an. " * 30
    post = await Post.of(visitor, compress=True, title="Compressed", body=body, data={"order": 7})
    assert post.payload().startswith(COMPRESSED_MARKER)
    assert len(post.payload()) < 600
    notification = await tell(visitor, "Compressed", options={"compress": True}, body=body, data={"order": 7})
    seen = await visitor.sees("Compressed")
    assert seen.text.strip().startswith(body[:200].strip())
    shown = await visitor.shown("Compressed")
    assert shown["body"] == body
    assert shown["data"]["order"] == 7
    await receipts(visitor, notification, displayed=1)


async def test_what_is_too_long_for_a_message_is_fetched(visitor: Visitor) -> None:
    body, data = "word " * 390, {"items": ["x" * 100] * 100}
    notification = await tell(visitor, "Fetched", options={"fetch": True}, body=body, data=data)
    await visitor.sees("Fetched")
    shown = await visitor.shown("Fetched")
    assert shown["body"] == body
    assert shown["data"]["items"] == data["items"]
    await receipts(visitor, notification, displayed=1)


async def test_a_message_that_is_delivered_twice_leaves_one_notification(visitor: Visitor) -> None:
    post = await Post.of(visitor, title="Only once", body="however often it comes")
    await post.send()
    await visitor.sees("Only once")
    await visitor.shown("Only once")
    await visitor.page.evaluate(LISTEN)
    await post.send()
    await visitor.page.wait_for("self.repeated === true", timeout_seconds=SUBSCRIBE_SECONDS_MAX)
    kept = await visitor.page.evaluate(SHOWN)
    assert isinstance(kept, list)
    assert [one["title"] for one in kept if isinstance(one, dict)] == ["Only once"]
    assert [shown.title for shown in visitor.desk.notifications.open].count("Only once") == 1


async def test_a_server_that_is_gone_delays_nothing(visitor: Visitor) -> None:
    plain = await Post.of(visitor, title="Nobody listens")
    fetched = await Post.of(visitor, title="The beginning", body="word " * 300, fetch=True)
    visitor.site.serving.stop()
    await plain.send()
    await visitor.sees("Nobody listens")
    await fetched.send()
    seen = await visitor.sees("The beginning")
    assert seen.text.startswith("word word")
