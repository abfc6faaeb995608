"""Who has left is dropped, with the push service's own reason; a wrong key drops nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from pushkeep import SigningKey

from .site import Visitor

pytestmark = pytest.mark.browser


async def test_who_left_is_reported_gone_and_dropped(visitor: Visitor) -> None:
    site, short_id = visitor.site, visitor.short_id
    await visitor.leaves_unnoticed()
    assert [one["state"] for one in await site.subscriptions()] == ["active"]
    sent = await site.pushkeep("send", short_id, "--title", "Are you there?")
    assert sent.status == 3, sent.err
    lines = sent.err.splitlines()
    if visitor.desk.browser.name == "firefox":
        assert lines[0] == f"Failed to send to {short_id}: No such subscription"
        assert any("106" in line for line in lines[1:-1])
    else:
        assert lines[0].startswith(f"Failed to send to {short_id}: ")
    assert lines[-1] == f"Dropping no longer valid user: {short_id}"
    stored = await site.subscription(short_id)
    assert stored["state"] == "gone"
    assert stored["ended"]["status"] == 410
    assert stored["ended"]["text"]
    assert await site.subscriptions("active") == []


async def test_a_visit_after_being_dropped_subscribes_again(visitor: Visitor) -> None:
    """The visitor never said no: the next visit finds the subscription lost and makes a new one."""
    site = visitor.site
    await visitor.leaves_unnoticed()
    assert (await site.http.delete(f"/v1/subscriptions/{visitor.short_id}")).status_code == 204
    await visitor.page.goto(site.url)
    new_id = await visitor.page.wait_for("document.querySelector('#short-id').textContent.trim()", timeout_seconds=60)
    (active,) = await site.subscriptions("active")
    assert active["short_id"] == new_id != visitor.short_id
    assert (await site.notify_one(str(new_id), content={"title": "Back again"}))["kind"] == "accepted"
    await visitor.sees("Back again")


# One browser is enough for the second door to the same use case: with Google's service the answer "gone" about a
# subscription this young is asked for again during twelve seconds.
@pytest.mark.parametrize("session_desk", ["firefox"], indirect=True)
async def test_the_api_says_gone_and_drops_too(visitor: Visitor) -> None:
    site = visitor.site
    await visitor.leaves_unnoticed()
    outcome = await site.notify_one(visitor.short_id, content={"title": "Are you there?"})
    assert (outcome["kind"], outcome["action"], outcome["status"]) == ("gone", "dropped", 410)
    assert outcome["explanation"]["text"] == "No such subscription"
    assert (await site.subscription(visitor.short_id))["state"] == "gone"
    assert await site.has_left(visitor.short_id)


async def test_the_pages_button_ends_it_everywhere(visitor: Visitor) -> None:
    site, short_id = visitor.site, visitor.short_id
    mailbox = await visitor.mailbox()
    await visitor.page.click("#unsubscribe")
    await visitor.page.wait_for("document.querySelector('#status').dataset.state === 'unsubscribed'")
    await visitor.desk.service.wait_for_unsubscription(mailbox.id, 30)
    assert (await site.subscription(short_id))["state"] == "unsubscribed"
    sent = await site.pushkeep("send", short_id, "--title", "Still there?")
    assert sent.status == 3, sent.err
    assert short_id in sent.err


async def test_another_key_is_refused_and_the_record_is_kept(visitor: Visitor, tmp_path: Path) -> None:
    site, short_id = visitor.site, visitor.short_id
    other = tmp_path / "other.pem"
    other.write_text(SigningKey.generate().to_pem())
    other.chmod(0o600)
    sent = await site.pushkeep("send", short_id, "--title", "Forged", "--key", str(other))
    assert sent.status == 4, (sent.out, sent.err)
    assert sent.err.startswith(f"Failed to send to {short_id}: ")
    assert "Dropping" not in sent.err
    assert (await site.subscription(short_id))["state"] == "active"
    assert (await site.pushkeep("send", short_id, "--title", "Genuine")).status == 0
    await visitor.sees("Genuine")
    assert "Forged" not in {shown.title for shown in visitor.desk.notifications.shown}
