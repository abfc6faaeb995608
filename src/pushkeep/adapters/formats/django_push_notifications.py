"""django-push-notifications: the table of its model ``WebPushDevice``, as CSV or as a dump.

``id``, ``name``, ``active``, ``user_id``, ``date_created``, ``application_id``, ``registration_id``, ``p256dh``,
``auth``, ``browser``. A device that is not active is not sent to there, and is left out here. Before version 3 the
``registration_id`` of most browsers was only the end of the endpoint; the rest was a setting by browser, whose defaults
stand here.

Source: its ``models.py``, ``webpush.py`` and ``settings.py`` (``WP_POST_URL``).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pushkeep.adapters.formats.fields import Wishes, flag_of, moment_of, owner_of, subscription_of, text_of
from pushkeep.adapters.formats.rows import Fields
from pushkeep.domain.moving import ForeignSubscription
from pushkeep.errors import InvalidInput

MODEL = "push_notifications.webpushdevice"
USED = frozenset(
    [
        "id",
        "model",
        "name",
        "active",
        "user",
        "user_id",
        "date_created",
        "application_id",
        "registration_id",
        "p256dh",
        "auth",
        "browser",
    ]
)

POST_URLS: Mapping[str, str] = MappingProxyType(
    {
        "CHROME": "https://fcm.googleapis.com/fcm/send/",
        "OPERA": "https://fcm.googleapis.com/fcm/send/",
        "FIREFOX": "https://updates.push.services.mozilla.com/wpush/v2/",
    }
)
"""What stood before a ``registration_id`` that is no URL. Edge's default was one of many hosts: no guess."""

_SCHEME = "https://"


def recognises(names: frozenset[str]) -> bool:
    """Whether a row with these columns can be one."""
    return {"registration_id", "p256dh", "auth"} <= names


class Reader:
    """Reads the rows of one file."""

    def __init__(self) -> None:
        self._application: str | None = None
        self._seen = False

    def read(self, fields: Fields, wishes: Wishes) -> ForeignSubscription | str:
        """A row as a subscription, or in a word why it is left out.

        Raises:
            InvalidInput: a part is missing or wrong, or it is another application's than those before.
        """
        if fields.get("model", MODEL) != MODEL:
            return "other_rows"
        if not flag_of(fields, "active", default=True):
            return "inactive"
        self._check_application(fields)
        return ForeignSubscription(
            subscription_of(_whole(fields), endpoint="registration_id", p256dh="p256dh", auth="auth"),
            owner=owner_of(fields, wishes, "user_id", "user"),
            created_at=moment_of(fields, "date_created"),
        )

    def _check_application(self, fields: Fields) -> None:
        application = text_of(fields, "application_id")
        if self._seen and application != self._application:
            raise InvalidInput(
                "application_id is another one than in the rows before, and each has a signing key of its own; "
                "import them one after the other with --where application_id=….",
                field="application_id",
            )
        self._application, self._seen = application, True


def _whole(fields: Fields) -> Fields:
    """With an endpoint where there is only its end."""
    end = text_of(fields, "registration_id")
    if end is None or end.lower().startswith(_SCHEME):
        return fields
    before = POST_URLS.get((text_of(fields, "browser") or "CHROME").upper())
    if before is None:
        raise InvalidInput(
            "registration_id must be the whole endpoint, beginning with https://.", field="registration_id"
        )
    return {**fields, "registration_id": before + end}
