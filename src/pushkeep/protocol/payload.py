"""Declarative Web Push: a payload that says by itself what to show (W3C Push API; webkit.org/blog/16535).

Safari shows it without a worker, and never counts it as a silent push; every other browser hands the same bytes to the
worker. Browsers tell such a payload by its content alone. ``mutable`` and ``app_badge`` are written in two places,
because implementations disagree on where they belong, and all of them ignore members they do not know.

Building is strict and reading forgiving: what any browser would silently not show is refused here, while a foreign
payload is read as the W3C's text and Firefox have it, where an optional member of a wrong type counts as absent. For
WebKit a single wrong one makes the whole payload an ordinary one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NoReturn, cast
from urllib.parse import urljoin, urlsplit

from pushkeep.errors import InvalidInput
from pushkeep.protocol.endpoint import is_loopback_host

DECLARATIVE_MAGIC = 8030
"""The member ``web_push`` that marks a payload as declarative: the number of the RFC."""

APP_BADGE_MAX = 2**53 - 1
"""The largest number that JavaScript counts exactly; systems show 99+ or the like long before."""

JsonValue = str | int | float | bool | None | Sequence["JsonValue"] | Mapping[str, "JsonValue"]
Direction = Literal["auto", "ltr", "rtl"]

_RESERVED = frozenset({"web_push", "notification", "mutable", "app_badge"})
# A host has none of the URL standard's forbidden characters (section 3.1), or is an IPv6 literal. A backslash before it
# would be a slash to browsers, and what we take for the host their path.
_AUTHORITY = re.compile(r"(?:[^@\\]*@)?(?:[^\x00-\x20\x7f#%/:<>?@\\^|\[\]]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_DIGITS = re.compile(r"[0-9]{1,16}")


@dataclass(frozen=True, slots=True)
class DeclarativeAction:
    """A button of a notification.

    Attributes:
        action: what the worker knows it by.
        title: what it says.
        navigate: the URL that it opens.
        icon: the absolute URL of a picture; the empty string stands for none.
    """

    action: str
    title: str
    navigate: str
    icon: str = ""


@dataclass(frozen=True, slots=True)
class DeclarativeMessage:
    """What a declarative payload says.

    Attributes:
        title: not empty.
        navigate: the absolute URL that a click opens.
        body, tag, lang, dir, icon, image, badge, silent, require_interaction, renotify: as in the Notifications API;
            URLs are absolute, and the empty string stands for none.
        data: any JSON, for the worker.
        actions: buttons; Safari shows none.
        app_badge: the number at the application's icon; 0 takes it away, None leaves it alone.
        mutable: whether the worker gets a push event with the notification proposed, and may show another one.
    """

    title: str = field(repr=False)
    navigate: str = field(repr=False)
    body: str = field(default="", repr=False)
    tag: str = ""
    icon: str = ""
    image: str = ""
    badge: str = ""
    lang: str = ""
    dir: Direction = "auto"
    silent: bool = False
    require_interaction: bool = False
    renotify: bool = False
    data: JsonValue = field(default=None, repr=False)
    actions: tuple[DeclarativeAction, ...] = ()
    app_badge: int | None = None
    mutable: bool = True


def build_declarative(message: DeclarativeMessage, *, extra: Mapping[str, JsonValue] | None = None) -> bytes:
    """Write a payload.

    Args:
        message: what to show.
        extra: further members of the outer object, for the site's own worker.

    Returns:
        UTF-8 JSON without spaces. Whether it fits into a message is checked when it is encrypted.

    Raises:
        InvalidInput: something for which a browser would show nothing: an empty title, a URL that is not absolute or
            neither https nor http on a loopback host, an action without title, a badge that is no whole number from 0,
            a text or flag of another type; or something that JSON has no form for. ``field`` names it.
    """
    _check(message)
    notification = {"title": message.title, "navigate": message.navigate, **_options(message)}
    outer: dict[str, JsonValue] = {"web_push": DECLARATIVE_MAGIC, "notification": notification}
    for name, value in (("app_badge", message.app_badge), ("mutable", message.mutable or None)):
        if value is not None:
            notification[name] = outer[name] = value
    if extra and not _RESERVED.isdisjoint(extra):
        _refuse("extra", f"must not have the members {', '.join(sorted(_RESERVED & set(extra)))}, which have a meaning")
    outer |= extra or {}
    try:
        return json.dumps(outer, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        raise InvalidInput(
            "payload has something that cannot be written as JSON: objects, lists, whole strings and finite numbers.",
            field="payload",
        ) from None


def parse_declarative(payload: bytes, *, base: str = "") -> DeclarativeMessage | None:
    """Read a payload as a browser does.

    Args:
        payload: the plaintext.
        base: the worker's scope, which relative URLs are resolved against; without one they count as no URLs.

    Returns:
        None if browsers take it for an ordinary payload: it is no JSON object, or ``web_push``, ``notification``,
        ``title`` or ``navigate`` is missing, of another type or no URL.
    """
    outer = _load(payload)
    notification = outer.get("notification")
    magic = outer.get("web_push")
    if isinstance(magic, bool | float) or magic != DECLARATIVE_MAGIC or not isinstance(notification, dict):
        return None
    title, navigate = notification.get("title"), _read_url(notification.get("navigate"), base)
    if not isinstance(title, str) or not title or not navigate:
        return None

    def text(name: str) -> str:
        value = notification.get(name)
        return value if isinstance(value, str) else ""

    badges = (_read_badge(place.get("app_badge")) for place in (outer, notification))
    direction = notification.get("dir")
    return DeclarativeMessage(
        title=title,
        navigate=navigate,
        body=text("body"),
        tag=text("tag"),
        icon=_read_url(notification.get("icon"), base),
        image=_read_url(notification.get("image"), base),
        badge=_read_url(notification.get("badge"), base),
        lang=text("lang"),
        dir=cast(Direction, direction) if direction in ("ltr", "rtl") else "auto",
        silent=notification.get("silent") is True,
        require_interaction=notification.get("requireInteraction") is True,
        renotify=notification.get("renotify") is True,
        data=notification.get("data"),
        actions=_read_actions(notification.get("actions"), base),
        app_badge=next((number for number in badges if number is not None), None),
        mutable=outer.get("mutable") is True or notification.get("mutable") is True,
    )


def _options(message: DeclarativeMessage) -> dict[str, JsonValue]:
    """The optional members of a notification that say something."""
    values: dict[str, JsonValue] = {
        "body": message.body,
        "tag": message.tag,
        "icon": message.icon,
        "image": message.image,
        "badge": message.badge,
        "lang": message.lang,
        "dir": "" if message.dir == "auto" else message.dir,
        "silent": message.silent,
        "requireInteraction": message.require_interaction,
        "renotify": message.renotify,
    }
    options: dict[str, JsonValue] = {name: value for name, value in values.items() if value}
    if message.data is not None:
        options["data"] = message.data
    if message.actions:
        options["actions"] = [
            {"action": item.action, "title": item.title, "navigate": item.navigate}
            | ({"icon": item.icon} if item.icon else {})
            for item in message.actions
        ]
    return options


def _check(message: DeclarativeMessage) -> None:
    for name in ("title", "navigate", "body", "tag", "icon", "image", "badge", "lang"):
        if not isinstance(getattr(message, name), str):
            _refuse(name, "must be a string")
    for name in ("silent", "require_interaction", "renotify", "mutable"):
        if not isinstance(getattr(message, name), bool):
            _refuse(name, "must be true or false")
    if not message.title.strip():
        _refuse("title", "must not be empty: browsers show no notification without one")
    if message.dir not in ("auto", "ltr", "rtl"):
        _refuse("dir", "must be auto, ltr or rtl")
    if message.renotify and not message.tag:
        _refuse("renotify", "needs a tag: browsers refuse the notification otherwise")
    badge = message.app_badge
    if badge is not None and (isinstance(badge, bool) or not isinstance(badge, int) or not 0 <= badge <= APP_BADGE_MAX):
        _refuse("app_badge", f"must be a whole number from 0 to {APP_BADGE_MAX}")
    check_url("navigate", message.navigate)
    for name, url in (("icon", message.icon), ("image", message.image), ("badge", message.badge)):
        if url:
            check_url(name, url)
    for item in message.actions:
        if not all(isinstance(text, str) for text in (item.action, item.title, item.navigate, item.icon)):
            _refuse("actions", "must each have strings for action, title, navigate and, if any, icon")
        if not item.action or not item.title.strip():
            _refuse("actions", "must each have an action and a title")
        check_url("actions", item.navigate)
        if item.icon:
            check_url("actions", item.icon)


def check_url(field: str, url: str) -> None:
    """Let through only what a browser opens as an ordinary page.

    Raises:
        InvalidInput: not absolute, without a proper host or port, neither https nor http on a loopback
            host, or with white space.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port  # asking for the port checks it
    except ValueError:
        _refuse(field, "is not a URL")
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback_host(host))
    plain = all(character >= "!" and character.isprintable() for character in url)
    if not (_AUTHORITY.fullmatch(parts.netloc) and secure and plain):
        _refuse(field, "must lead to https (or to http on localhost): browsers show or open nothing else")


def _refuse(field: str, why: str) -> NoReturn:
    raise InvalidInput(f"{field} {why}.", field=field)


def _load(payload: bytes) -> dict[str, JsonValue]:
    """The outer object; empty for everything else, which the caller takes for a payload of another kind."""

    def no_constant(name: str) -> NoReturn:
        raise ValueError(name)  # NaN and Infinity are Python's own, no browser reads them

    try:
        value = json.loads(payload.decode("utf-8-sig"), parse_constant=no_constant)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _read_url(value: JsonValue, base: str) -> str:
    if not isinstance(value, str) or not value.strip():
        return ""
    try:
        url = urljoin(base, value.strip())
        parts = urlsplit(url)
        usable = bool(parts.hostname) if parts.scheme in ("http", "https") else bool(_SCHEME.fullmatch(parts.scheme))
    except ValueError:
        return ""
    return url if usable else ""


def _read_badge(value: JsonValue) -> int | None:
    """A whole number from 0; WebKit also takes its digits as a string."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= APP_BADGE_MAX:
        return None
    return value


def _read_actions(value: JsonValue, base: str) -> tuple[DeclarativeAction, ...]:
    found = []
    for item in value if isinstance(value, list) else ():
        if not isinstance(item, dict):
            continue
        action, title, navigate = item.get("action"), item.get("title"), _read_url(item.get("navigate"), base)
        if isinstance(action, str) and isinstance(title, str) and navigate:
            found.append(DeclarativeAction(action, title, navigate, _read_url(item.get("icon"), base)))
    return tuple(found)
