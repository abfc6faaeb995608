"""The library: send Web Push messages and learn what became of them."""

from __future__ import annotations

from pushkeep.client.asynchronous import PushClient
from pushkeep.client.given import encode_payload, read_subscription
from pushkeep.client.message import Message, SendResult

__all__ = ["Message", "PushClient", "SendResult", "encode_payload", "read_subscription"]
