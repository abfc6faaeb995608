"""pywebpush: it stores nothing itself; ``webpush()`` takes the browser's JSON as ``subscription_info``.

Source: pywebpush README, "subscription_info": ``{"endpoint": …, "keys": {"auth": …, "p256dh": …}}``.
"""

from __future__ import annotations

from pushkeep.adapters.formats import browser_json
from pushkeep.adapters.formats.fields import Wishes
from pushkeep.adapters.formats.rows import Fields
from pushkeep.domain.moving import ForeignSubscription

WRAPPERS = ("subscription_info", "subscription")
USED = browser_json.USED | frozenset(WRAPPERS)


def recognises(names: frozenset[str]) -> bool:
    """Whether a row with these columns can be one."""
    return "subscription_info" in names


def read(fields: Fields, wishes: Wishes) -> ForeignSubscription:
    """A row as a subscription.

    Raises:
        InvalidInput: a part is missing or wrong.
    """
    return browser_json.stored(fields, wishes, *WRAPPERS)
