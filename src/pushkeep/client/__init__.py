"""The library: send Web Push messages and learn what became of them."""

from __future__ import annotations

from pushkeep.client.asynchronous import PushClient
from pushkeep.client.blocking import SyncPushClient
from pushkeep.client.functions import send, send_many
from pushkeep.client.given import encode_payload, read_subscription
from pushkeep.client.message import Message, SendResult
from pushkeep.client.request_builder import RequestBuilder, parse_response

__all__ = [
    "Message",
    "PushClient",
    "RequestBuilder",
    "SendResult",
    "SyncPushClient",
    "encode_payload",
    "parse_response",
    "read_subscription",
    "send",
    "send_many",
]
