"""laravel-notification-channels/webpush: its table ``push_subscriptions``.

``id``, ``subscribable_type``, ``subscribable_id``, ``endpoint``, ``public_key``, ``auth_token``, ``content_encoding``,
``created_at``, ``updated_at``; versions before 6 have ``user_id`` in place of the two ``subscribable`` columns. Two
models can have the same ids, so a file with two of them must say which is meant.

Source: its ``migrations/create_push_subscriptions_table.php.stub`` and ``src/PushSubscription.php``.
"""

from __future__ import annotations

from pushkeep.adapters.formats.fields import Wishes, moment_of, owner_of, subscription_of, text_of
from pushkeep.adapters.formats.rows import Fields
from pushkeep.domain.moving import ForeignSubscription
from pushkeep.errors import InvalidInput

USED = frozenset(
    [
        "id",
        "subscribable_type",
        "subscribable_id",
        "user_id",
        "endpoint",
        "public_key",
        "auth_token",
        "content_encoding",
        "created_at",
        "updated_at",
    ]
)


def recognises(names: frozenset[str]) -> bool:
    """Whether a row with these columns can be one."""
    return {"endpoint", "public_key", "auth_token"} <= names


class Reader:
    """Reads the rows of one file."""

    def __init__(self) -> None:
        self._model: str | None = None

    def read(self, fields: Fields, wishes: Wishes) -> ForeignSubscription:
        """A row as a subscription.

        Raises:
            InvalidInput: a part is missing or wrong, or it is another model's than those before.
        """
        if wishes.owner_columns is None:
            self._check_model(fields)
        return ForeignSubscription(
            subscription_of(
                fields, endpoint="endpoint", p256dh="public_key", auth="auth_token", encoding="content_encoding"
            ),
            owner=owner_of(fields, wishes, "subscribable_id", "user_id"),
            created_at=moment_of(fields, "created_at"),
        )

    def _check_model(self, fields: Fields) -> None:
        model = text_of(fields, "subscribable_type")
        if model is None or model == self._model:
            return
        if self._model is not None:
            raise InvalidInput(
                "subscribable_type is another one than in the rows before, and ids of two models can be the same; "
                "take one with --where subscribable_type=…, or both into the owner's id with "
                "--owner-column subscribable_type,subscribable_id.",
                field="subscribable_type",
            )
        self._model = model
