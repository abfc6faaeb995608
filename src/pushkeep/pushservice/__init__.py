"""A local push service for stock Firefox and Chromium, and for tests without a browser.

It speaks RFC 8030 over https, autopush to Firefox, and check-in, registration and MCS to Chromium. Everything
is in memory; nothing leaves the machine.

    async with PushService() as service:
        subscriber = await service.subscribe(key.public_bytes)
        ...  # post to subscriber.subscription.endpoint
        message = await subscriber.receive(timeout=5)
"""

from pushkeep.pushservice.control import ClientInfo, Control, MessageInfo, SubscriptionInfo
from pushkeep.pushservice.hub import Ack
from pushkeep.pushservice.limits import Limits
from pushkeep.pushservice.personalities import Quirks
from pushkeep.pushservice.service import PushService
from pushkeep.pushservice.subscriber import LocalSubscriber, ReceivedMessage

__all__ = [
    "Ack",
    "ClientInfo",
    "Control",
    "Limits",
    "LocalSubscriber",
    "MessageInfo",
    "PushService",
    "Quirks",
    "ReceivedMessage",
    "SubscriptionInfo",
]
