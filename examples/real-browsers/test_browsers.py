"""The same sender, and a stock browser at the other end: it decrypts, wakes its worker and shows a notification."""

import json

import pytest
from pywebpush import WebPushException, webpush


def tell(subscription, key, title):
    """Your sender."""
    webpush(
        subscription,
        json.dumps({"title": title, "body": "It is on its way."}),
        vapid_private_key=key,
        vapid_claims={"sub": "mailto:you@your-domain.org"},
        ttl=60,
    )


@pytest.fixture(params=["firefox_push", "chromium_push"])
def browser(request):
    """A page in each browser, subscribed."""
    return request.getfixturevalue(request.param)


def test_the_browser_shows_it(browser, vapid_key):
    tell(browser.subscription.to_dict(), vapid_key.private, "Your parcel")
    assert browser.receive().json()["title"] == "Your parcel"
    assert [shown.title for shown in browser.notifications()] == ["Your parcel"]


def test_a_visitor_who_unsubscribes_is_gone(browser, vapid_key):
    browser.unsubscribe()
    with pytest.raises(WebPushException, match="410"):
        tell(browser.subscription.to_dict(), vapid_key.private, "Your parcel")
