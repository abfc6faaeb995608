"""What the service remembers, under simulated time."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pushkeep.errors import Conflict, RateLimited
from pushkeep.pushservice.core import Client, Core, Draft, Message, Subscription
from pushkeep.pushservice.limits import Limits
from pushkeep.pushservice.tokens import Tokens


def make_core(**limits: int) -> Core:
    return Core(Tokens(b"s" * 32, random.Random(1).randbytes), Limits(**limits))


def subscribed(core: Core, channel: str = "a", client_id: str = "c") -> Subscription:
    client = core.client(client_id, "local", 0)
    return core.subscribe(client, vendor="mozilla", channel=channel, key=None, app="", now=0)[0]


def draft(ttl: int = 60, topic: str | None = None, body: bytes = b"x") -> Draft:
    return Draft(body=body, ttl=ttl, urgency="normal", topic=topic, encoding="aes128gcm")


def accept(core: Core, subscription: Subscription, made: Draft, *, now: float = 0) -> Message:
    return core.accept(subscription, made, online=False, now=now)[0]


def taken(core: Core, client: Client, now: float = 0) -> list[str]:
    return [message.id for message in core.take(client, count_max=100, now=now)[0]]


def test_same_channel_and_key_gives_the_same_subscription() -> None:
    core = make_core()
    client = core.client("c", "firefox", 0)
    first, is_new = core.subscribe(client, vendor="mozilla", channel="a", key=None, app="", now=0)
    again, is_again_new = core.subscribe(client, vendor="mozilla", channel="a", key=None, app="", now=9)
    assert (is_new, is_again_new) == (True, False)
    assert again is first


def test_one_channel_under_two_keys_is_two_subscriptions_that_end_together() -> None:
    core = make_core()
    client = core.client("c", "chromium", 0)
    for octet in (b"1", b"2"):
        core.subscribe(client, vendor="fcm", channel="a", key=octet * 65, app="", now=0)
    assert len(core.channel(client, "a")) == 2
    assert len(core.channel(client, "a", b"2" * 65)) == 1
    for subscription in core.channel(client, "a"):
        core.end(subscription)
    assert core.subscriptions == {}


def test_a_key_of_another_length_is_refused() -> None:
    core = make_core()
    with pytest.raises(Conflict, match="65 octets"):
        core.subscribe(core.client("c", "local", 0), vendor="fcm", channel="a", key=b"1", app="", now=0)


def test_messages_wait_for_an_offline_client_in_order() -> None:
    core = make_core()
    subscription = subscribed(core)
    ids = [accept(core, subscription, draft()).id for _ in range(3)]
    assert taken(core, subscription.client) == ids
    assert taken(core, subscription.client) == []  # handed out once per connection


def test_ttl_ends_the_wait() -> None:
    core = make_core()
    subscription = subscribed(core)
    short, long = accept(core, subscription, draft(10)), accept(core, subscription, draft(20))
    ready, lost = core.take(subscription.client, count_max=10, now=10)
    assert [loss.message for loss in lost] == [short]
    assert lost[0].reason == "expired"
    assert ready == [long]


def test_a_sweep_drops_what_is_overdue_and_nothing_else() -> None:
    core = make_core()
    subscription = subscribed(core)
    accept(core, subscription, draft(10))
    kept = accept(core, subscription, draft(20))
    assert [loss.reason for loss in core.expire(now=15)] == ["expired"]
    assert list(core.messages) == [kept.id]


def test_ttl_zero_is_now_or_never() -> None:
    core = make_core()
    subscription = subscribed(core)
    message, lost = core.accept(subscription, draft(0), online=False, now=0)
    assert [(loss.message, loss.reason) for loss in lost] == [(message, "offline")]
    assert core.messages == {}
    online, lost = core.accept(subscription, draft(0), online=True, now=0)
    assert lost == []
    assert taken(core, subscription.client, now=5) == [online.id]
    assert [loss.reason for loss in core.release(subscription.client, now=5)] == ["offline"]


def test_a_topic_replaces_the_waiting_message_with_all_its_options() -> None:
    core = make_core()
    subscription, other = subscribed(core), subscribed(core, "b")
    old = accept(core, subscription, draft(1000, "t"))
    elsewhere = accept(core, other, draft(1000, "t"))
    new, lost = core.accept(subscription, draft(10, "t", b"new"), online=False, now=0)
    assert [(loss.message, loss.reason) for loss in lost] == [(old, "replaced")]
    assert taken(core, subscription.client) == [elsewhere.id, new.id]
    core.release(subscription.client, now=11)
    assert list(core.messages) == [elsewhere.id]  # the new one's TTL counts


def test_a_topic_does_not_take_back_what_is_on_its_way() -> None:
    core = make_core()
    subscription = subscribed(core)
    old = accept(core, subscription, draft(topic="t"))
    core.take(subscription.client, count_max=1, now=0)
    _, lost = core.accept(subscription, draft(topic="t"), online=True, now=0)
    assert lost == []
    assert core.acknowledge(subscription.client, old.id) is old


def test_what_a_topic_took_over_is_not_sent_again_after_a_broken_connection() -> None:
    core = make_core()
    subscription = subscribed(core)
    accept(core, subscription, draft(topic="t"))
    core.take(subscription.client, count_max=1, now=0)
    new, _ = core.accept(subscription, draft(topic="t"), online=True, now=0)
    assert [loss.reason for loss in core.release(subscription.client, now=1)] == ["replaced"]
    assert taken(core, subscription.client) == [new.id]


def test_unacknowledged_messages_come_again_first_and_in_order() -> None:
    core = make_core()
    subscription = subscribed(core)
    ids = [accept(core, subscription, draft()).id for _ in range(4)]
    core.take(subscription.client, count_max=3, now=0)
    core.acknowledge(subscription.client, ids[1])
    core.release(subscription.client, now=1)
    ready, _ = core.take(subscription.client, count_max=10, now=1)
    assert [message.id for message in ready] == [ids[0], ids[2], ids[3]]
    assert [message.attempts for message in ready] == [2, 2, 1]


def test_a_late_ack_strikes_off_a_message_that_waits_again() -> None:
    core = make_core()
    subscription = subscribed(core)
    message = accept(core, subscription, draft())
    core.take(subscription.client, count_max=1, now=0)
    core.release(subscription.client, now=0)
    assert core.acknowledge(subscription.client, message.id) is message
    assert taken(core, subscription.client) == []


def test_an_ack_for_another_channel_or_of_another_client_changes_nothing() -> None:
    core = make_core()
    subscription = subscribed(core)
    message = accept(core, subscription, draft())
    assert core.acknowledge(subscription.client, message.id, "other") is None
    assert core.acknowledge(core.client("stranger", "local", 0), message.id) is None
    assert message.id in core.messages


def test_a_waiting_message_can_be_withdrawn_a_sent_one_not() -> None:
    core = make_core()
    subscription = subscribed(core)
    sent, waiting = accept(core, subscription, draft()), accept(core, subscription, draft())
    core.take(subscription.client, count_max=1, now=0)
    assert core.withdraw(sent.id) == []
    assert [loss.reason for loss in core.withdraw(waiting.id)] == ["withdrawn"]
    assert core.withdraw(waiting.id) == []


def test_ending_a_subscription_takes_its_messages_and_leaves_the_others() -> None:
    core = make_core()
    subscription, other = subscribed(core), subscribed(core, "b")
    message, kept = accept(core, subscription, draft()), accept(core, other, draft())
    assert [loss.message for loss in core.end(subscription)] == [message]
    assert core.subscription_by_id(subscription.id) is None
    assert taken(core, other.client) == [kept.id]


def test_forgetting_a_client_leaves_nothing_of_it() -> None:
    core = make_core()
    subscription = subscribed(core)
    accept(core, subscription, draft(topic="t"))
    ended, lost = core.forget(subscription.client)
    assert (ended, len(lost)) == ([subscription], 1)
    assert (core.clients, core.subscriptions, core.messages) == ({}, {}, {})


def test_a_full_client_loses_its_oldest() -> None:
    core = make_core(messages_per_client_max=2)
    subscription = subscribed(core)
    first = accept(core, subscription, draft())
    second = accept(core, subscription, draft())
    third, lost = core.accept(subscription, draft(), online=False, now=0)
    assert [(loss.message, loss.reason) for loss in lost] == [(first, "queue_full")]
    assert list(core.messages) == [second.id, third.id]


@pytest.mark.parametrize(
    ("limit", "name"),
    [({"messages_max": 1}, "messages_max"), ({"message_bytes_max": 10}, "message_bytes_max")],
)
def test_a_full_service_refuses_messages(limit: dict[str, int], name: str) -> None:
    core = make_core(**limit)
    subscription = subscribed(core)
    accept(core, subscription, draft(body=b"12345678"))
    with pytest.raises(RateLimited, match=name):
        accept(core, subscription, draft(body=b"12345678"))


@pytest.mark.parametrize("limit", ["clients_max", "subscriptions_max", "subscriptions_per_client_max"])
def test_a_full_service_refuses_clients_and_subscriptions(limit: str) -> None:
    core = make_core(**{limit: 1})
    subscribed(core)
    with pytest.raises(RateLimited, match=limit):
        subscribed(core, "b", "d" if limit == "clients_max" else "c")


class Lifecycle(RuleBasedStateMachine):
    """No sequence of events loses count, delivers twice at once, or brings back what is over."""

    @initialize(seed=st.integers(0, 2**32))
    def start(self, seed: int) -> None:
        self.core = Core(Tokens(b"s" * 32, random.Random(seed).randbytes), Limits(messages_per_client_max=5))
        self.now = 0.0
        self.over: set[str] = set()
        self.accepted: set[str] = set()
        self.mailboxes = [subscribed(self.core, channel) for channel in "ab"]
        self.client = self.mailboxes[0].client
        self.online = False

    @rule(index=st.integers(0, 1), ttl=st.sampled_from([0, 5, 50]), topic=st.sampled_from([None, "t"]))
    def accept(self, index: int, ttl: int, topic: str | None) -> None:
        message, lost = self.core.accept(self.mailboxes[index], draft(ttl, topic), online=self.online, now=self.now)
        self.accepted.add(message.id)
        self.over |= {loss.message.id for loss in lost}

    @rule()
    def deliver(self) -> None:
        if self.online:
            ready, lost = self.core.take(self.client, count_max=3, now=self.now)
            self.over |= {loss.message.id for loss in lost}
            assert not self.over & {message.id for message in ready}
            assert all(message.draft.ttl == 0 or self.now < message.expires_at for message in ready)

    @rule(index=st.integers(0, 10))
    def acknowledge(self, index: int) -> None:
        sent = list(self.client.sent)
        if index < len(sent):
            assert self.core.acknowledge(self.client, sent[index]) is not None
            self.over.add(sent[index])

    @rule()
    def connect(self) -> None:
        self.online = True

    @rule()
    def break_connection(self) -> None:
        self.over |= {loss.message.id for loss in self.core.release(self.client, self.now)}
        self.online = False
        assert not self.client.sent

    @rule(seconds=st.sampled_from([1.0, 10.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.over |= {loss.message.id for loss in self.core.expire(self.now)}

    @invariant()
    def every_message_is_over_or_in_exactly_one_queue(self) -> None:
        waiting, sent = set(self.client.waiting), set(self.client.sent)
        assert not waiting & sent
        assert waiting | sent == set(self.core.messages)
        assert self.accepted == self.over | waiting | sent
        assert not self.over & (waiting | sent)
        assert len(waiting | sent) <= 5
        for mailbox in self.mailboxes:
            assert all(message.id in self.core.messages for message in mailbox.topics.values())


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
