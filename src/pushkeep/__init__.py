"""Pushkeep keeps Web Push subscriptions alive and delivers to them.

The names below are the library. They are loaded when first used, so that importing one part of the package does
not cost the others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pushkeep.adapters.http2_limits import TransportLimits
    from pushkeep.client import (
        Message,
        PushClient,
        RequestBuilder,
        SendResult,
        SyncPushClient,
        parse_response,
        send,
        send_many,
    )
    from pushkeep.domain.identity import sign_identity
    from pushkeep.domain.origin_map import OriginMap
    from pushkeep.domain.retry import RetryPolicy
    from pushkeep.errors import InvalidInput, PayloadTooLarge, PushkeepError
    from pushkeep.protocol.outcome import Explanation, Outcome
    from pushkeep.protocol.padding import no_padding, pad_to_buckets, pad_to_multiple
    from pushkeep.protocol.payload import (
        DeclarativeAction,
        DeclarativeMessage,
        build_declarative,
        parse_declarative,
    )
    from pushkeep.protocol.remedy import Remedy
    from pushkeep.protocol.request import PushRequest, Urgency, derive_topic
    from pushkeep.protocol.signing_key import SigningKey
    from pushkeep.protocol.subscription import Subscription
    from pushkeep.protocol.verdict import Verdict

__version__ = "0.1.0"

__all__ = [
    "DeclarativeAction",
    "DeclarativeMessage",
    "Explanation",
    "InvalidInput",
    "Message",
    "OriginMap",
    "Outcome",
    "PayloadTooLarge",
    "PushClient",
    "PushRequest",
    "PushkeepError",
    "Remedy",
    "RequestBuilder",
    "RetryPolicy",
    "SendResult",
    "SigningKey",
    "Subscription",
    "SyncPushClient",
    "TransportLimits",
    "Urgency",
    "Verdict",
    "__version__",
    "build_declarative",
    "derive_topic",
    "no_padding",
    "pad_to_buckets",
    "pad_to_multiple",
    "parse_declarative",
    "parse_response",
    "send",
    "send_many",
    "sign_identity",
]

_HOMES = {
    "DeclarativeAction": "pushkeep.protocol.payload",
    "DeclarativeMessage": "pushkeep.protocol.payload",
    "Explanation": "pushkeep.protocol.outcome",
    "InvalidInput": "pushkeep.errors",
    "Message": "pushkeep.client",
    "OriginMap": "pushkeep.domain.origin_map",
    "Outcome": "pushkeep.protocol.outcome",
    "PayloadTooLarge": "pushkeep.errors",
    "PushClient": "pushkeep.client",
    "PushRequest": "pushkeep.protocol.request",
    "PushkeepError": "pushkeep.errors",
    "Remedy": "pushkeep.protocol.remedy",
    "RequestBuilder": "pushkeep.client",
    "RetryPolicy": "pushkeep.domain.retry",
    "SendResult": "pushkeep.client",
    "SigningKey": "pushkeep.protocol.signing_key",
    "Subscription": "pushkeep.protocol.subscription",
    "SyncPushClient": "pushkeep.client",
    "TransportLimits": "pushkeep.adapters.http2_limits",
    "Urgency": "pushkeep.protocol.request",
    "Verdict": "pushkeep.protocol.verdict",
    "build_declarative": "pushkeep.protocol.payload",
    "derive_topic": "pushkeep.protocol.request",
    "no_padding": "pushkeep.protocol.padding",
    "pad_to_buckets": "pushkeep.protocol.padding",
    "pad_to_multiple": "pushkeep.protocol.padding",
    "parse_declarative": "pushkeep.protocol.payload",
    "parse_response": "pushkeep.client",
    "send": "pushkeep.client",
    "send_many": "pushkeep.client",
    "sign_identity": "pushkeep.domain.identity",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pushkeep' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return list(__all__)
