"""django-webpush: the tables of its models ``SubscriptionInfo``, ``PushInformation`` and ``Group``.

A subscription (``browser``, ``user_agent``, ``endpoint``, ``auth``, ``p256dh``) does not know whose it is: rows of
``PushInformation`` give it a user, or a group, or both. A dump has all three and is put together here, the groups
becoming tags of the user's contact; a CSV is put together by the query in ``docs/moving.md``. Where several users have
had the same browser, the last one counts.

Source: its ``models.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pushkeep.adapters.formats.browser_json import CREATED
from pushkeep.adapters.formats.fields import Wishes, moment_of, owner_of, subscription_of, text_of
from pushkeep.adapters.formats.rows import Fields
from pushkeep.domain.moving import ForeignSubscription
from pushkeep.domain.tag import TAGS_PER_CONTACT_MAX, check_tag
from pushkeep.errors import InvalidInput

SUBSCRIPTION = "webpush.subscriptioninfo"
INFORMATION = "webpush.pushinformation"
GROUP = "webpush.group"
_MODELS_OWN = ("model", "name", "user", "subscription", "subscription_id", "group", "group_id")
USED = frozenset(
    ["id", "endpoint", "p256dh", "auth", "browser", "user_agent", "user_id", "groups", *_MODELS_OWN, *CREATED]
)


def recognises(names: frozenset[str]) -> bool:
    """Whether a row with these columns can be one."""
    return {"endpoint", "p256dh", "auth"} <= names and not names.isdisjoint({"groups", "browser", "user_agent"})


@dataclass(slots=True)
class _Belonging:
    user: object = None
    groups: list[str] = field(default_factory=list)


class Reader:
    """Reads the rows of one file; of a dump twice, since what belongs together stands apart."""

    def __init__(self) -> None:
        self._groups: dict[str, str] = {}
        self._belonging: dict[str, _Belonging] = {}

    def note(self, fields: Fields) -> None:
        """Remember what other rows need. What is wrong with it is said when it is read."""
        model = fields.get("model")
        if model == GROUP:
            self._groups[str(fields.get("id"))] = str(fields.get("name"))
        if model != INFORMATION:
            return
        belonging = self._belonging.setdefault(str(fields.get("subscription")), _Belonging())
        if fields.get("user") is not None:
            belonging.user = fields["user"]
        if fields.get("group") is not None and str(fields["group"]) not in belonging.groups:
            belonging.groups.append(str(fields["group"]))

    def read(self, fields: Fields, wishes: Wishes) -> ForeignSubscription | str:
        """A row as a subscription, or in a word why it is left out.

        Raises:
            InvalidInput: a part is missing or wrong.
        """
        if "model" in fields:
            if fields["model"] != SUBSCRIPTION:
                return "other_rows"
            fields = self._joined(fields)
        owner = owner_of(fields, wishes, "user_id")
        tags = _tags(text_of(fields, "groups"))
        return ForeignSubscription(
            subscription_of(fields, endpoint="endpoint", p256dh="p256dh", auth="auth"),
            owner=owner,
            tags=tags if owner is not None else (),
            created_at=moment_of(fields, *CREATED),
        )

    def _joined(self, fields: Fields) -> Fields:
        belonging = self._belonging.get(str(fields.get("id")), _Belonging())
        names = [self._groups.get(group, group) for group in belonging.groups]
        return {**fields, "user_id": belonging.user, "groups": ",".join(names)}


def _tags(groups: str | None) -> tuple[str, ...]:
    """Groups as tags: ``Big News`` is ``big-news``."""
    names = [name for name in (groups or "").split(",") if name.strip()]
    if len(names) > TAGS_PER_CONTACT_MAX:
        raise InvalidInput(
            f"groups has {len(names)} groups; a contact has at most {TAGS_PER_CONTACT_MAX} tags.", field="groups"
        )
    return tuple(dict.fromkeys(check_tag(re.sub(r"\s+", "-", name.strip().lower()), field="groups") for name in names))
