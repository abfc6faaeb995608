"""Django's own test client, and the fixtures of Pushkeep."""

import news_site  # noqa: F401 - configures Django
import pytest
from django.core.cache import cache
from django.test import Client
from django.test.utils import override_settings


@pytest.fixture
def reader(push_subscription, vapid_key):
    """A client of the site, where Anna has subscribed with the site's key."""
    with override_settings(VAPID_PRIVATE_KEY=vapid_key.private):
        client = Client()
        answer = client.post("/subscribe/anna", push_subscription.to_dict(), content_type="application/json")
        assert answer.status_code == 201
        yield client


def test_a_reader_is_told(reader, push_subscription):
    assert reader.post("/publish/anna", {"headline": "Rain"}).json() == {"told": True}
    assert push_subscription.receive().text == "Rain"


def test_a_reader_who_left_is_forgotten(reader, push_subscription):
    push_subscription.end()
    assert reader.post("/publish/anna", {"headline": "Rain"}).json() == {"told": False}
    assert cache.get("anna") is None


def test_a_reader_is_kept_when_the_push_service_is_down(reader, faults):
    faults.add("status=503")
    assert reader.post("/publish/anna", {"headline": "Rain"}).json() == {"told": False}
    assert cache.get("anna") is not None
