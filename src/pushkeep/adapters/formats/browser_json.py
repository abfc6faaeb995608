"""What the browser's ``PushSubscription.toJSON()`` looks like where somebody has stored it, whole or in columns.

Libraries that have no table of their own take this object as it is: npm web-push as ``pushSubscription``, pywebpush as
``subscription_info``, web-push-php in ``Subscription::create``. Around it stands what the site itself has noted.
"""

from __future__ import annotations

from collections.abc import Mapping

from pushkeep.adapters.formats.fields import Wishes, moment_of, owner_of, subscription_of
from pushkeep.adapters.formats.rows import Fields, parsed
from pushkeep.domain.moving import ForeignSubscription
from pushkeep.errors import InvalidInput
from pushkeep.protocol.subscription import SUBSCRIPTION_JSON_BYTES_MAX, Subscription

CREATED = ("created_at", "createdAt")
"""Columns that say since when it is there."""

USED = frozenset({"endpoint", "keys", "p256dh", "auth", "expirationTime", "expiration_time", *CREATED})
"""Columns that mean something."""


def stored(fields: Fields, wishes: Wishes, *wrappers: str) -> ForeignSubscription:
    """A row of the browser's JSON.

    Args:
        fields: the object itself, or its parts as columns, or what it stands in.
        wishes: of the operator.
        wrappers: names under which the object may stand, as an object or as JSON text.

    Raises:
        InvalidInput: a part is missing or wrong.
    """
    for name in wrappers:
        value = fields.get(name)
        if value is not None:
            return made(Subscription.from_dict(_object(value, name)), fields, wishes)
    if "keys" in fields:
        return made(Subscription.from_dict({**fields, "keys": _object(fields["keys"], "keys")}), fields, wishes)
    return made(subscription_of(fields, endpoint="endpoint", p256dh="p256dh", auth="auth"), fields, wishes)


def made(subscription: Subscription, fields: Fields, wishes: Wishes) -> ForeignSubscription:
    """A subscription with what stands around it.

    Raises:
        InvalidInput: its owner or its time is wrong.
    """
    return ForeignSubscription(subscription, owner=owner_of(fields, wishes), created_at=moment_of(fields, *CREATED))


def _object(value: object, name: str) -> Mapping[str, object]:
    if isinstance(value, str):
        if len(value) > SUBSCRIPTION_JSON_BYTES_MAX:
            raise InvalidInput(f"{name} is over {SUBSCRIPTION_JSON_BYTES_MAX} characters of JSON.", field=name)
        try:
            value = parsed(value)
        except ValueError:
            raise InvalidInput(f"{name} is no JSON.", field=name) from None
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{name} must be a JSON object.", field=name)
    return value
