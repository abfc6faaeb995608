"""How each vendor's push service answers: hosts, statuses, bodies, headers, limits, as data.

One module per vendor names its sources. Where a service's answer to some mistake is not known, its row says so and
stays close to RFC 8030.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pushkeep.pushservice.personalities.apple import APPLE
from pushkeep.pushservice.personalities.fcm import FCM
from pushkeep.pushservice.personalities.mozilla import MOZILLA
from pushkeep.pushservice.personalities.personality import Personality, Quirks, Taken
from pushkeep.pushservice.personalities.refusal import Refusal
from pushkeep.pushservice.personalities.unifiedpush import unifiedpush
from pushkeep.pushservice.personalities.wns import wns


def personalities(quirks: Quirks) -> Mapping[str, Personality]:
    """Every personality by its vendor's name."""
    every = (MOZILLA, FCM, APPLE, wns(quirks), unifiedpush(quirks))
    return MappingProxyType({personality.vendor: personality for personality in every})


PERSONALITIES: Mapping[str, Personality] = personalities(Quirks())
"""By vendor name, without quirks."""

__all__ = ["PERSONALITIES", "Personality", "Quirks", "Refusal", "Taken", "personalities"]
