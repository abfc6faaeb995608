"""What a notification says and whom it is for, checked once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from pushkeep.domain.ids import AnyId
from pushkeep.domain.plain_values import check_flag, check_json, check_line, check_text, check_url_text
from pushkeep.domain.subscription import check_external_id
from pushkeep.domain.tag import check_tag
from pushkeep.errors import InvalidInput
from pushkeep.protocol.payload import (
    APP_BADGE_MAX,
    JsonValue,
)

TITLE_CHARACTERS_MAX = 200
BODY_CHARACTERS_MAX = 2000
"""Systems show about 40 and 120 characters; these stop accidents while leaving every real text alone."""

TAG_CHARACTERS_MAX = 128
ACTIONS_MAX = 2
"""``Notification.maxActions`` of Chromium, Edge and Firefox; they drop the rest silently. Safari shows none."""

ACTION_NAME_CHARACTERS_MAX = 64
"""A word for programs."""

ACTION_TITLE_CHARACTERS_MAX = 80
"""Systems show about 20 characters on a button."""

TARGETS_MAX = 10_000
"""A list longer than that wants an audience, not a list; it bounds what one request makes us look up."""

_ACTION_MEMBERS = frozenset({"action", "title", "url", "icon"})


@dataclass(frozen=True, slots=True)
class Action:
    """A button of a notification, checked by :meth:`Content.of`.

    Attributes:
        action: what the site's code knows it by; unique in its notification.
        title: what the button says.
        url: what it opens: absolute, or relative to the project's site; None for what the notification opens.
        icon: a picture, absolute or relative to the site.
    """

    action: str
    title: str
    url: str | None = None
    icon: str | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """A notification's content. Build it with :meth:`of`, which checks it.

    Attributes:
        title: not empty.
        body: may be empty.
        url: opened on a click: absolute, or relative to the project's site; None for the site itself.
        icon, image, badge: pictures, absolute or relative to the site.
        tag: a shown notification with the same tag is replaced; None for the notification's own id, so that a
            repeated message replaces its copy.
        data: any JSON, handed to the site's code.
        lang, dir: language tag and ``ltr``, ``rtl`` or ``auto``.
        silent: without sound or vibration.
        require_interaction: stays until dealt with, where the system can.
        renotify: makes a sound again when it replaces another one; needs ``tag``.
        actions: buttons, where the browser shows any.
        app_badge: the number at the installed site's icon; 0 takes it away, None leaves it alone.
        receipts: whether browsers report that they displayed it, and that it was clicked or closed.
        compress: browsers that can read it get it compressed.
        fetch: the message has only title, the body's beginning and the URL; the browser fetches the rest.
    """

    title: str = field(repr=False)
    body: str = field(default="", repr=False)
    url: str | None = field(default=None, repr=False)
    icon: str | None = None
    image: str | None = None
    badge: str | None = None
    tag: str | None = None
    data: JsonValue = field(default=None, repr=False)
    lang: str | None = None
    dir: Literal["ltr", "rtl", "auto"] | None = None
    silent: bool = False
    require_interaction: bool = False
    renotify: bool = False
    actions: tuple[Action, ...] = ()
    app_badge: int | None = None
    receipts: bool = True
    compress: bool = False
    fetch: bool = False

    @classmethod
    def of(
        cls,
        *,
        title: object,
        body: object = "",
        url: object = None,
        icon: object = None,
        image: object = None,
        badge: object = None,
        tag: object = None,
        data: object = None,
        lang: object = None,
        dir: object = None,
        silent: object = False,
        require_interaction: object = False,
        renotify: object = False,
        actions: object = (),
        app_badge: object = None,
        receipts: object = True,
        compress: object = False,
        fetch: object = False,
    ) -> Content:
        """Check plain values.

        Args:
            actions: a list of up to 2 mappings with ``action``, ``title`` and, where wanted, ``url`` and ``icon``.
            app_badge: a whole number from 0 to 2**53 - 1.

        The others are described at the class.

        Raises:
            InvalidInput: a value has another type, is too long, has control characters, is a URL with characters
                that no URL has, or is not JSON; ``field`` names it, as in ``actions[1].title``. Where a URL leads is
                checked by :func:`compile_payload`, which knows the site.
        """
        if renotify and tag is None:
            raise InvalidInput("renotify needs a tag; give the notification one.", field="renotify")
        if dir is not None and dir not in ("ltr", "rtl", "auto"):
            raise InvalidInput("dir must be ltr, rtl or auto.", field="dir")
        return cls(
            title=check_text(title, "title", TITLE_CHARACTERS_MAX, empty=False),
            body=check_text(body, "body", BODY_CHARACTERS_MAX),
            url=check_url_text(url, "url"),
            icon=check_url_text(icon, "icon"),
            image=check_url_text(image, "image"),
            badge=check_url_text(badge, "badge"),
            tag=None if tag is None else check_text(tag, "tag", TAG_CHARACTERS_MAX, empty=False),
            data=check_json(data, "data"),
            lang=None if lang is None else check_text(lang, "lang", 35, empty=False),  # RFC 5646 section 4.4.1
            dir=dir,
            silent=check_flag(silent, "silent"),
            require_interaction=check_flag(require_interaction, "require_interaction"),
            renotify=check_flag(renotify, "renotify"),
            actions=_actions(actions),
            app_badge=_app_badge(app_badge),
            receipts=check_flag(receipts, "receipts"),
            compress=check_flag(compress, "compress"),
            fetch=check_flag(fetch, "fetch"),
        )

    def to_json(self) -> bytes:
        """What :meth:`from_json` reads: for storing what was asked, so that it can be compiled once more."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, stored: bytes) -> Content:
        """Undo :meth:`to_json`, with every check.

        Raises:
            InvalidInput: it is no content.
        """
        try:
            return cls.of(**json.loads(stored))
        except (ValueError, TypeError):
            raise InvalidInput("What is stored of this notification is no content.", field="content") from None


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a notification is for: exactly one of these.

    Attributes:
        kind: everyone with an active subscription, the contacts with a tag, contacts by external id, subscriptions
            by either id, or those whom an earlier notification failed to reach.
        contacts: for ``contacts``.
        subscriptions: for ``subscriptions``.
        tag: for ``tag``.
    """

    kind: Literal["all", "tag", "contacts", "subscriptions", "retry"]
    contacts: tuple[str, ...] = ()
    subscriptions: tuple[AnyId, ...] = field(default=())
    tag: str | None = None

    @classmethod
    def everyone(cls) -> Target:
        """Every active subscription of the project."""
        return cls("all")

    @classmethod
    def to_tag(cls, tag: object) -> Target:
        """Every active subscription of the contacts with this tag.

        Raises:
            InvalidInput: not a tag.
        """
        return cls("tag", tag=check_tag(tag))

    @classmethod
    def to_failed(cls) -> Target:
        """Whom the notification that is repeated did not reach."""
        return cls("retry")

    @classmethod
    def to_contacts(cls, external_ids: object) -> Target:
        """Every active subscription of these contacts.

        Raises:
            InvalidInput: not a list of 1 to 10,000 external ids.
        """
        values = _list(external_ids, "contacts")
        return cls("contacts", contacts=tuple(dict.fromkeys(check_external_id(v, field="contacts") for v in values)))

    @classmethod
    def to_subscriptions(cls, ids: object) -> Target:
        """These subscriptions, by short id or UUID.

        Raises:
            InvalidInput: not a list of 1 to 10,000 ids.
        """
        values = _list(ids, "subscriptions")
        return cls(
            "subscriptions",
            subscriptions=tuple(dict.fromkeys(AnyId.parse(v, field="subscriptions") for v in values)),
        )


def _list(values: object, name: str) -> Sequence[object]:
    if isinstance(values, list | tuple) and 0 < len(values) <= TARGETS_MAX:
        return values
    raise InvalidInput(f"{name} must be a list of 1 to {TARGETS_MAX} ids.", field=name)


def _actions(values: object) -> tuple[Action, ...]:
    if values is None:
        return ()
    if not isinstance(values, list | tuple):
        raise InvalidInput("actions must be a list of objects with action and title.", field="actions")
    if len(values) > ACTIONS_MAX:
        raise InvalidInput(
            f"actions has {len(values)} entries; browsers show {ACTIONS_MAX}, so leave out the others.", field="actions"
        )
    found: list[Action] = []
    for index, value in enumerate(values):
        item = _action(value, f"actions[{index}]")
        for other, earlier in enumerate(found):
            if earlier.action == item.action:
                name = f"actions[{index}].action"
                raise InvalidInput(
                    f"{name} is the same as actions[{other}].action; give each action a name of its own.", field=name
                )
        found.append(item)
    return tuple(found)


def _action(value: object, place: str) -> Action:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{place} must be an object with action and title.", field=place)
    for name in ("action", "title"):
        if value.get(name) is None:
            raise InvalidInput(f"{place}.{name} is missing.", field=f"{place}.{name}")
    if not _ACTION_MEMBERS.issuperset(value):
        raise InvalidInput(f"{place} may have action, title, url and icon; remove what else it has.", field=place)
    return Action(
        action=check_line(value["action"], f"{place}.action", ACTION_NAME_CHARACTERS_MAX),
        title=check_line(value["title"], f"{place}.title", ACTION_TITLE_CHARACTERS_MAX),
        url=check_url_text(value.get("url"), f"{place}.url"),
        icon=check_url_text(value.get("icon"), f"{place}.icon"),
    )


def _app_badge(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= APP_BADGE_MAX:
        raise InvalidInput(
            f"app_badge must be a whole number from 0, which takes it away, to {APP_BADGE_MAX}.", field="app_badge"
        )
    return value
