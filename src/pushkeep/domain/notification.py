"""What a notification says and whom it is for, checked once; and the payload that browsers get, a declarative one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urljoin

from pushkeep.domain.ids import AnyId
from pushkeep.domain.subscription import check_external_id
from pushkeep.domain.tag import check_tag
from pushkeep.errors import InvalidInput
from pushkeep.protocol.payload import (
    APP_BADGE_MAX,
    DeclarativeAction,
    DeclarativeMessage,
    JsonValue,
    build_declarative,
    check_url,
)

TITLE_CHARACTERS_MAX = 200
BODY_CHARACTERS_MAX = 2000
"""Systems show about 40 and 120 characters; these stop accidents while leaving every real text alone."""

TAG_CHARACTERS_MAX = 128
URL_CHARACTERS_MAX = 1024
"""One URL must leave room for the rest in 3,993 octets."""

ACTIONS_MAX = 2
"""``Notification.maxActions`` of Chromium, Edge and Firefox; they drop the rest silently. Safari shows none."""

ACTION_NAME_CHARACTERS_MAX = 64
"""A word for programs."""

ACTION_TITLE_CHARACTERS_MAX = 80
"""Systems show about 20 characters on a button."""

DATA_DEPTH_MAX = 16
"""Real data is flat; deep nesting is an attack on whatever parses it."""

TARGETS_MAX = 10_000
"""A list longer than that wants an audience, not a list; it bounds what one request makes us look up."""

_TEXT_CONTROLS = frozenset("\n\t")
# Line breaks are meant. Other control characters, halves of a surrogate pair, forced directions, private and forbidden
# code points are accidents or tricks. What joins, spaces and directs is part of languages (Persian's U+200C, French's
# U+00A0, Japanese's U+3000, families of emoji), and what Python's tables do not know yet may be a new emoji.
_NEVER_SHOWN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202d\u202e\u206a-\u206f\ud800-\uf8ff\ufdd0-\ufdef\ufeff\ufff9-\ufffb"
    r"\ufffe\uffff\U000f0000-\U0010ffff]"
)
_BLANK = frozenset({"Zs", "Cf", "Cc"})
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
    """

    title: str
    body: str = ""
    url: str | None = None
    icon: str | None = None
    image: str | None = None
    badge: str | None = None
    tag: str | None = None
    data: JsonValue = None
    lang: str | None = None
    dir: Literal["ltr", "rtl", "auto"] | None = None
    silent: bool = False
    require_interaction: bool = False
    renotify: bool = False
    actions: tuple[Action, ...] = ()
    app_badge: int | None = None

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
            title=_text(title, "title", TITLE_CHARACTERS_MAX, empty=False),
            body=_text(body, "body", BODY_CHARACTERS_MAX),
            url=_url(url, "url"),
            icon=_url(icon, "icon"),
            image=_url(image, "image"),
            badge=_url(badge, "badge"),
            tag=None if tag is None else _text(tag, "tag", TAG_CHARACTERS_MAX, empty=False),
            data=_json(data, "data"),
            lang=None if lang is None else _text(lang, "lang", 35, empty=False),  # RFC 5646 section 4.4.1
            dir=dir,
            silent=_flag(silent, "silent"),
            require_interaction=_flag(require_interaction, "require_interaction"),
            renotify=_flag(renotify, "renotify"),
            actions=_actions(actions),
            app_badge=_app_badge(app_badge),
        )


def compile_payload(content: Content, *, notification_id: str, site_url: str) -> bytes:
    """Make the bytes that are encrypted for every recipient alike.

    Args:
        content: checked.
        notification_id: UUID text; the default tag, and what the worker knows repeats by.
        site_url: what relative URLs are relative to, and where a click leads by default.

    Returns:
        UTF-8 JSON without spaces. Whether it fits into a message is checked where the recipients are known.

    Raises:
        InvalidInput: a URL leads neither to https nor to http on a loopback host; ``field`` names it.
    """
    base = site_url if site_url.endswith("/") else site_url + "/"
    navigate = _absolute(base, content.url or "", "url")
    message = DeclarativeMessage(
        title=content.title,
        navigate=navigate,
        body=content.body,
        tag=content.tag or notification_id,
        icon=_absolute(base, content.icon, "icon"),
        image=_absolute(base, content.image, "image"),
        badge=_absolute(base, content.badge, "badge"),
        lang=content.lang or "",
        dir=content.dir or "auto",
        silent=content.silent,
        require_interaction=content.require_interaction,
        renotify=content.renotify,
        data=content.data,
        actions=tuple(
            DeclarativeAction(
                item.action,
                item.title,
                # The standard has no default: a browser takes an action without an address for none.
                navigate if item.url is None else _absolute(base, item.url, f"actions[{index}].url"),
                _absolute(base, item.icon, f"actions[{index}].icon"),
            )
            for index, item in enumerate(content.actions)
        ),
        app_badge=content.app_badge,
    )
    return build_declarative(message, extra={"pushkeep": {"id": notification_id}})


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


def _text(value: object, name: str, characters_max: int, *, empty: bool = True) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{name} must be a string.", field=name)
    wrong = _NEVER_SHOWN.search(value)
    if wrong:
        raise InvalidInput(
            f"{name} has a character that cannot be displayed (U+{ord(wrong[0]):04X}); remove it.", field=name
        )
    if len(value) > characters_max:
        raise InvalidInput(f"{name} has {len(value)} characters; the limit is {characters_max}.", field=name)
    if not empty and all(unicodedata.category(character) in _BLANK for character in value):
        raise InvalidInput(f"{name} must not be empty.", field=name)
    return value


def _line(value: object, name: str, characters_max: int) -> str:
    text = _text(value, name, characters_max, empty=False)
    if not _TEXT_CONTROLS.isdisjoint(text):
        raise InvalidInput(f"{name} must be one line without tabs.", field=name)
    return text


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
        action=_line(value["action"], f"{place}.action", ACTION_NAME_CHARACTERS_MAX),
        title=_line(value["title"], f"{place}.title", ACTION_TITLE_CHARACTERS_MAX),
        url=_url(value.get("url"), f"{place}.url"),
        icon=_url(value.get("icon"), f"{place}.icon"),
    )


def _app_badge(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= APP_BADGE_MAX:
        raise InvalidInput(
            f"app_badge must be a whole number from 0, which takes it away, to {APP_BADGE_MAX}.", field="app_badge"
        )
    return value


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(f"{name} must be true or false.", field=name)
    return value


def _url(value: object, name: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value or len(value) > URL_CHARACTERS_MAX:
        raise InvalidInput(f"{name} must be a URL of 1 to {URL_CHARACTERS_MAX} characters.", field=name)
    if not all(character >= "!" and character.isprintable() for character in value) or "\\" in value:
        raise InvalidInput(f"{name} has a character that cannot stand in a URL.", field=name)
    return value


def _absolute(base: str, url: str | None, name: str) -> str:
    """Resolve against the site; the empty string for a picture that is not there."""
    if url is None:
        return ""
    try:
        whole = urljoin(base, url)
    except ValueError:
        raise InvalidInput(f"{name} is not a URL.", field=name) from None
    check_url(name, whole)
    return whole


def _json(value: object, name: str, depth: int = 0) -> JsonValue:
    """Check that a value is JSON, and copy it."""
    if depth > DATA_DEPTH_MAX:
        raise InvalidInput(f"{name} is nested more than {DATA_DEPTH_MAX} deep.", field=name)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidInput(f"{name} has half a surrogate pair in a string.", field=name) from None
        return value
    if isinstance(value, float) and value == value and abs(value) != float("inf"):
        return value
    if isinstance(value, list | tuple):
        return [_json(item, name, depth + 1) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {str(_json(key, name)): _json(item, name, depth + 1) for key, item in value.items()}
    raise InvalidInput(f"{name} must be JSON: objects, lists, strings, finite numbers, true, false, null.", field=name)
