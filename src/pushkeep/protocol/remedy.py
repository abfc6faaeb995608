"""Two refusals that a sender can put right by itself: it changes one option and sends once more.

Sources: Apple answers ``BadWebPushTopic`` to topics it cannot decode; Microsoft answers "Ttl value conflicts with
X-WNS-Cache-Policy" to TTL 0 when the header does not forbid caching. Both are about the message, never about the
subscription, and a second refusal is final.
"""

from __future__ import annotations

import re
from dataclasses import replace
from enum import StrEnum

from pushkeep.protocol.answer import Answer, PushResponse
from pushkeep.protocol.request import PushOptions
from pushkeep.protocol.vendors import Vendor

_BAD_TOPIC = re.compile(rb"BadWebPushTopic", re.IGNORECASE)
_TTL_CONFLICT = re.compile(r"ttl value conflicts|cache-?policy", re.IGNORECASE)


class Remedy(StrEnum):
    """What to change before the same message is sent once more."""

    DROP_TOPIC = "drop_topic"
    FIX_CACHE_POLICY = "fix_cache_policy"


def remedy_for(vendor: Vendor, answer: Answer) -> Remedy | None:
    """The remedy the answer itself names; None for every other answer."""
    if not isinstance(answer, PushResponse) or answer.status != 400:
        return None
    if vendor.topic_must_decode and _BAD_TOPIC.search(answer.body):
        return Remedy.DROP_TOPIC
    said = answer.headers.get("x-wns-error-description", "") + answer.body.decode("utf-8", "replace")
    if vendor.cache_policy and _TTL_CONFLICT.search(said):
        return Remedy.FIX_CACHE_POLICY
    return None


def apply_remedy(options: PushOptions, remedy: Remedy) -> PushOptions:
    """The options for the second and last try.

    The right cache policy always goes with the TTL. If WNS objects all the same, it is to TTL 0: a second is the
    shortest TTL that it takes whatever it makes of the header.
    """
    if remedy is Remedy.DROP_TOPIC:
        return replace(options, topic=None)
    return replace(options, ttl=max(options.ttl, 1))


def is_of_use(options: PushOptions, remedy: Remedy) -> bool:
    """Whether the remedy changes these options: the same message once more would get the same answer."""
    return apply_remedy(options, remedy) != options
