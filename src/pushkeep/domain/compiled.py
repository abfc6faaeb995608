"""From content to the payload that browsers get: a declarative one, with room for each recipient's receipt token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urljoin, urlsplit

from pushkeep.domain.notification import Content
from pushkeep.domain.receipt import RECEIPT_TOKEN_CHARACTERS
from pushkeep.errors import InvalidInput
from pushkeep.protocol.payload import DeclarativeAction, DeclarativeMessage, JsonValue, build_declarative, check_url

FETCHED_BYTES_MAX = 65_536
"""What a browser fetches within its seconds over a poor line; also what keeps a hundred of them in 6 MB here."""

FALLBACK_BODY_CHARACTERS_MAX = 300
"""Systems show about 120 characters, and 300 of four octets each leave room for title, URL and token."""

_NO_TOKEN = "." * RECEIPT_TOKEN_CHARACTERS  # no character of base64url: what was not filled in is no token


@dataclass(frozen=True, slots=True)
class Compiled:
    """A payload, alike for every recipient but for its token.

    Attributes:
        payload: UTF-8 JSON without spaces.
        token_offset: where in it the 27 characters of the receipt token begin; None where there is none.
    """

    payload: bytes = field(repr=False)
    token_offset: int | None


def compile_payload(content: Content, *, notification_id: str, site_url: str, receipts: bool = True) -> Compiled:
    """Make the bytes that are encrypted, with room for each recipient's token.

    Args:
        content: checked.
        notification_id: UUID text; the default tag, and what the worker knows repeats by.
        site_url: what relative URLs are relative to, and where a click leads by default.
        receipts: whether this installation wants any; the content may refuse them all the same.

    Returns:
        The payload; its length is that of every recipient's. Whether it fits into a message is checked where the
        recipients are known.

    Raises:
        InvalidInput: a URL leads neither to https nor to http on a loopback host, or what is to be fetched has more
            than 64 KB; ``field`` names it.
    """
    receipts = receipts and content.receipts
    known: dict[str, JsonValue] = {"id": notification_id}
    if content.fetch:
        compile_fetched(content, notification_id=notification_id, site_url=site_url)  # refused now or never
        known["fetch"] = True
        if not receipts:
            known["receipts"] = False  # the token is for fetching only
        content = _fallback(content)
    if not (receipts or content.fetch):
        return Compiled(_declarative(content, notification_id, site_url, known), None)
    payload = _declarative(content, notification_id, site_url, {**known, "token": _NO_TOKEN})
    # The token is the last member of the last member, so that its place is known, and it can be left out.
    return Compiled(payload, len(payload) - len('"}}') - RECEIPT_TOKEN_CHARACTERS)


def compile_fetched(content: Content, *, notification_id: str, site_url: str) -> bytes:
    """Make what a browser gets that fetches the rest: the whole notification, in the form of a payload.

    Raises:
        InvalidInput: as :func:`compile_payload`.
    """
    whole = _declarative(content, notification_id, site_url, {"id": notification_id})
    if len(whole) > FETCHED_BYTES_MAX:
        raise InvalidInput(
            f"content has {len(whole)} octets and the limit for what browsers fetch is {FETCHED_BYTES_MAX}; "
            f"shorten data.",
            field="data",
        )
    return whole


def _fallback(content: Content) -> Content:
    """What is shown if the rest cannot be fetched: complete in itself, and small enough for every push service."""
    body = content.body
    if len(body) > FALLBACK_BODY_CHARACTERS_MAX:
        body = body[: FALLBACK_BODY_CHARACTERS_MAX - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
    return replace(content, body=body, icon=None, image=None, badge=None, data=None, actions=(), app_badge=None)


def _declarative(content: Content, notification_id: str, site_url: str, known: Mapping[str, JsonValue]) -> bytes:
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
    return build_declarative(message, extra={"pushkeep": known})


def _absolute(base: str, url: str | None, name: str) -> str:
    """Resolve against the site; the empty string for a picture that is not there."""
    if url is None:
        return ""
    try:
        whole = urljoin(base, url)
    except ValueError:
        raise InvalidInput(f"{name} is not a URL.", field=name) from None
    check_url(name, whole)
    if "@" in urlsplit(whole).netloc:
        raise InvalidInput(
            f"{name} must not have a user name or password: whoever is notified could read them, and the worker opens "
            f"no such address.",
            field=name,
        )
    return whole
