"""The fixtures come with Pushkeep: push_subscription, vapid_key, sent_messages, faults."""

from wsgiref.util import setup_testing_defaults

import pytest
import shop


@pytest.fixture(autouse=True)
def customer(monkeypatch, push_subscription, vapid_key):
    """A customer who has subscribed with the shop's key."""
    monkeypatch.setenv("VAPID_PRIVATE_KEY", vapid_key.private)
    monkeypatch.setitem(shop.subscriptions, "anna", push_subscription.to_dict())


@pytest.mark.push_vendor("all")
def test_a_customer_is_told_whatever_the_browser(push_subscription):
    assert shop.tell("anna", "Your parcel", "It is on its way.")
    message = push_subscription.receive()
    assert message.json() == {"title": "Your parcel", "body": "It is on its way."}
    assert (message.ttl, message.urgency) == (3600, "high")


def test_the_web_application_tells_too(push_subscription, sent_messages):
    environ = {"PATH_INFO": "/shipped/anna", "REQUEST_METHOD": "POST"}
    setup_testing_defaults(environ)
    assert shop.application(environ, lambda status, headers: None) == [b'{"told": true}']
    assert [message.json()["title"] for message in sent_messages] == ["Your parcel"]


@pytest.mark.push_vendor("all")
def test_a_customer_who_left_is_forgotten(push_subscription):
    push_subscription.end()
    assert not shop.tell("anna", "Your parcel", "It is on its way.")
    assert "anna" not in shop.subscriptions


@pytest.mark.parametrize("fault", ["status=429 retry-after=60", "status=503", "answer=bad_signature"])
def test_a_bad_day_of_the_push_service_costs_no_customer(faults, fault):
    faults.add(fault)
    assert not shop.tell("anna", "Your parcel", "It is on its way.")
    assert "anna" in shop.subscriptions
