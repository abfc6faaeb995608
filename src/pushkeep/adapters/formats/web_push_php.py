"""minishlink/web-push, which is web-push-php: what ``Subscription::create`` takes.

That is ``endpoint``, ``publicKey``, ``authToken`` and ``contentEncoding``, or the browser's JSON with
``contentEncoding`` beside it. Where nothing is said, that library falls back to ``aesgcm``, for browsers of 2016; every
browser that still receives anything takes ``aes128gcm``, so that is what a row without it gets here.

Source: web-push-php, ``src/Subscription.php`` and README.
"""

from __future__ import annotations

from pushkeep.adapters.formats import browser_json
from pushkeep.adapters.formats.fields import Wishes, subscription_of
from pushkeep.adapters.formats.rows import Fields
from pushkeep.domain.moving import ForeignSubscription

WRAPPERS = ("subscription",)
USED = browser_json.USED | {"publicKey", "authToken", "contentEncoding", *WRAPPERS}


def recognises(names: frozenset[str]) -> bool:
    """Whether a row with these columns can be one."""
    return {"endpoint", "publicKey", "authToken"} <= names or {"endpoint", "keys", "contentEncoding"} <= names


def read(fields: Fields, wishes: Wishes) -> ForeignSubscription:
    """A row as a subscription.

    Raises:
        InvalidInput: a part is missing or wrong.
    """
    if "publicKey" not in fields:
        return browser_json.stored(fields, wishes, *WRAPPERS)
    found = subscription_of(
        fields, endpoint="endpoint", p256dh="publicKey", auth="authToken", encoding="contentEncoding"
    )
    return browser_json.made(found, fields, wishes)
