"""From the body of a request to what the use cases are asked."""

from __future__ import annotations

from msgspec import UNSET
from msgspec.structs import asdict

from pushkeep.app.accept import Asked
from pushkeep.domain.notification import Content, Target
from pushkeep.errors import InvalidInput
from pushkeep.protocol.encoding import b64_decode
from pushkeep.protocol.request import PushOptions
from pushkeep.web.exchange import HttpRequest
from pushkeep.web.notification_schemas import NotificationOptions, NotificationRequest, Recipients


def asked_by(body: NotificationRequest, idempotency_key: str | None) -> Asked:
    """What a request asks for, checked.

    Raises:
        InvalidInput: ``field`` names what is wrong.
    """
    return Asked.of(
        _target(body.to),
        _message(body),
        _push_options(body),
        priority=body.priority,
        send_at=body.send_at,
        deadline=body.deadline,
        idempotency_key=idempotency_key,
        purpose=body.purpose,
    )


def idempotency_key_of(request: HttpRequest) -> str | None:
    """The key in the request's header, as it is; None without one.

    Raises:
        InvalidInput: there are several.
    """
    values = request.headers.getall("idempotency-key", [])
    if len(values) > 1:
        raise InvalidInput("Give Idempotency-Key once.", field="Idempotency-Key")
    return values[0] if values else None


def _target(to: Recipients) -> Target:
    given = [name for name in ("all", "tag", "contacts", "subscriptions") if getattr(to, name) is not UNSET]
    if len(given) != 1:
        raise InvalidInput('to must have exactly one of "all", "tag", "contacts" and "subscriptions".', field="to")
    if to.tag is not UNSET:
        return Target.to_tag(to.tag)
    if to.contacts is not UNSET:
        return Target.to_contacts(to.contacts)
    if to.subscriptions is not UNSET:
        return Target.to_subscriptions(to.subscriptions)
    return Target.everyone()


def _message(body: NotificationRequest) -> Content | bytes | None:
    given = [name for name in ("content", "payload", "payload_base64") if getattr(body, name) is not None]
    if len(given) != 1:
        raise InvalidInput('Give exactly one of "content", "payload" and "payload_base64".', field="content")
    if body.payload is not None:
        return body.payload.encode() or None
    if body.payload_base64 is not None:
        return b64_decode(body.payload_base64, field="payload_base64") or None
    content, options = body.content, body.options
    assert content is not None
    return Content.of(
        title=content.title,
        body=content.body,
        url=content.url,
        icon=content.icon,
        image=content.image,
        badge=content.badge,
        tag=options.tag,
        data=content.data,
        lang=content.lang,
        dir=content.dir,
        silent=options.silent,
        require_interaction=options.require_interaction,
        renotify=options.renotify,
        actions=[asdict(action) for action in content.actions],
        app_badge=content.app_badge,
        receipts=options.receipts,
        compress=options.compress,
        fetch=options.fetch,
    )


def _push_options(body: NotificationRequest) -> PushOptions:
    options = body.options
    unset = NotificationOptions(ttl=options.ttl, urgency=options.urgency, topic=options.topic)
    if body.content is None and options != unset:
        raise InvalidInput(
            "Only ttl, urgency and topic go with a payload of your own; the other options are part of content.",
            field="options",
        )
    if options.ttl is UNSET:
        return PushOptions.of(urgency=options.urgency, topic=options.topic)
    return PushOptions.of(ttl=options.ttl, urgency=options.urgency, topic=options.topic)
