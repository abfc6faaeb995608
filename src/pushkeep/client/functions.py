"""Sending without making a client first: for scripts, notebooks and a handful of messages."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from pathlib import Path

from pushkeep.client.blocking import SyncPushClient
from pushkeep.client.given import KeyLike, Payload, SubscriptionLike
from pushkeep.client.message import Message, SendResult
from pushkeep.domain.origin_map import OriginMap
from pushkeep.domain.retry import RetryPolicy
from pushkeep.protocol.outcome import Outcome
from pushkeep.protocol.request import TTL_SECONDS_DEFAULT


def send(
    subscription: SubscriptionLike,
    payload: Payload = None,
    *,
    key: KeyLike,
    contact: str,
    ttl: int = TTL_SECONDS_DEFAULT,
    urgency: str | None = None,
    topic: str | None = None,
    reference: object = None,
    retry: RetryPolicy | None = None,
    origin_map: OriginMap | Iterable[str] | None = None,
    proxy: str | None = None,
    ca_file: str | Path | None = None,
) -> Outcome:
    """Send one message and wait for what becomes of it, over a connection of its own.

    ::

        outcome = pushkeep.send(subscription, "Hello", key=Path("vapid.pem"), contact="mailto:ops@example.org")

    For more than a few messages make a :class:`SyncPushClient` or a :class:`PushClient`, which keep connections.

    Args:
        subscription: as in :meth:`PushClient.send`, like ``payload``, ``ttl``, ``urgency``, ``topic``, ``reference``
            and ``retry``.
        payload: see there.
        key: as in :class:`PushClient`, like ``contact``, ``origin_map``, ``proxy`` and ``ca_file``.
        contact: see there.
        ttl: see there.
        urgency: see there.
        topic: see there.
        reference: see there.
        retry: see there.
        origin_map: see there.
        proxy: see there.
        ca_file: see there.

    Raises:
        InvalidInput: an argument is not as described; nothing was sent.
        ConfigurationError: ``proxy`` is not as described.
    """
    with SyncPushClient(key=key, contact=contact, origin_map=origin_map, proxy=proxy, ca_file=ca_file) as client:
        return client.send(
            subscription, payload, ttl=ttl, urgency=urgency, topic=topic, reference=reference, retry=retry
        )


def send_many(
    messages: Iterable[Message],
    *,
    key: KeyLike,
    contact: str,
    retry: RetryPolicy | None = None,
    origin_map: OriginMap | Iterable[str] | None = None,
    proxy: str | None = None,
    ca_file: str | Path | None = None,
) -> Generator[SendResult, None, None]:
    """Send any number of messages over connections of their own and hand out each result as it comes.

    ::

        for result in pushkeep.send_many(messages, key=Path("vapid.pem"), contact="mailto:ops@example.org"):
            ...

    Args:
        messages: as in :meth:`SyncPushClient.send_many`, like ``retry``.
        key: as in :class:`PushClient`, like ``contact``, ``origin_map``, ``proxy`` and ``ca_file``.
        contact: see there.
        retry: see there.
        origin_map: see there.
        proxy: see there.
        ca_file: see there.

    Raises:
        InvalidInput: an argument is not as described; nothing was sent.
        ConfigurationError: ``proxy`` is not as described.
    """
    client = SyncPushClient(key=key, contact=contact, origin_map=origin_map, proxy=proxy, ca_file=ca_file)

    def results() -> Generator[SendResult, None, None]:
        with client:
            yield from client.send_many(messages, retry=retry)

    return results()
