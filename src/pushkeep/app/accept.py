"""Taking on a notification: the request is checked once, compiled, and stored durably before anybody is told so."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from pushkeep.app.context import Services
from pushkeep.domain.compiled import compile_payload
from pushkeep.domain.consent_words import check_purpose_name
from pushkeep.domain.event import NotificationAccepted, NotificationRefused
from pushkeep.domain.idempotency import check_idempotency_key, request_hash
from pushkeep.domain.ids import UUID7_RANDOM_BYTES, uuid7
from pushkeep.domain.moment import parse_moment
from pushkeep.domain.notification import Content, Target
from pushkeep.domain.project import Project
from pushkeep.domain.sending import NewNotification, Priority, deadline_for
from pushkeep.errors import InvalidInput, PushkeepError
from pushkeep.ports.notifications import Accepted, AudienceCount, Leased
from pushkeep.protocol.encoding import b64_decode, b64url_encode
from pushkeep.protocol.payload import JsonValue
from pushkeep.protocol.request import PushOptions
from pushkeep.protocol.sizes import check_size
from pushkeep.protocol.vendors import UNKNOWN, VENDORS

CLOCK_SKEW_SECONDS_MAX = 60.0
"""A ``send_at`` this far in the past is a clock that goes wrong, or a slow request; further back it is a mistake."""

SEND_AT_SECONDS_MAX = 366 * 86_400.0
"""A year ahead, also a leap year: whatever is later was not meant, or is better asked for later."""

DEADLINE_SECONDS_MAX = 30 * 86_400.0
"""After ``send_at``; no push service keeps a message for longer than four weeks."""

BACKLOG_RECIPIENTS_MAX = 5_000_000
"""Some half an hour of one core's work; see the setting ``backlog_recipients_max``."""

_PRIORITIES: Mapping[str, Priority] = {priority.name.lower(): priority for priority in Priority}


class Taker(Protocol):
    """The worker of this process, as far as somebody who accepts has to know it."""

    @property
    def owner(self) -> str:
        """Its name in leases."""
        ...

    def take(self, leased: Sequence[Leased]) -> None:
        """Run shards that are on loan to it already."""
        ...


@dataclass(frozen=True, slots=True)
class AcceptRules:
    """What the operator allows.

    Attributes:
        backlog_max: while more recipients than this wait, nothing more is accepted.
        receipts: whether any notification carries a token with which browsers say what they did with it.
        purpose: whether every notification has to name its purpose.
    """

    backlog_max: int = BACKLOG_RECIPIENTS_MAX
    receipts: bool = True
    purpose: bool = False


DEFAULT_RULES = AcceptRules()
"""What the settings say by default."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to tell somebody something. Build it with :meth:`of`, which checks it.

    Whether its times are still to come is looked at when it is accepted.

    Attributes:
        target: whom to tell.
        content: what to say; octets are sent as they are, None wakes the worker without a payload.
        options: TTL, urgency, topic.
        priority: whose turn is first.
        send_at: epoch seconds; None for now.
        deadline: epoch seconds after which nothing more is tried; None for what TTL says.
        idempotency_key: by which the caller knows this request again.
        purpose: name of what it is for; None asks nobody's consent.
    """

    target: Target
    content: Content | bytes | None = field(repr=False)
    options: PushOptions
    priority: Priority = Priority.NORMAL
    send_at: float | None = None
    deadline: float | None = None
    idempotency_key: str | None = None
    purpose: str | None = None

    @classmethod
    def of(
        cls,
        target: Target,
        content: Content | bytes | None,
        options: PushOptions,
        *,
        priority: object = "normal",
        send_at: object = None,
        deadline: object = None,
        idempotency_key: object = None,
        purpose: object = None,
    ) -> Asked:
        """Check plain values.

        Args:
            target, content, options: checked by their own classes.
            priority: ``transactional``, ``normal`` or ``bulk``.
            send_at, deadline: a time as RFC 3339 or as epoch seconds.
            idempotency_key: 1 to 255 visible ASCII characters.
            purpose: the name of one; whether it is declared is looked at when it is accepted.

        Raises:
            InvalidInput: ``field`` says which of them is wrong, the message how it should be.
        """
        checked = cls(
            target,
            content,
            options,
            _priority(priority),
            _moment(send_at, "send_at"),
            _moment(deadline, "deadline"),
            None if idempotency_key is None else check_idempotency_key(idempotency_key),
            None if purpose is None else check_purpose_name(purpose),
        )
        if checked.send_at is not None and checked.deadline is not None:
            _check_deadline(checked.deadline, checked.send_at)
        return checked


async def accept(
    services: Services,
    project: Project,
    asked: Asked,
    *,
    worker: Taker | None,
    rules: AcceptRules = DEFAULT_RULES,
) -> Accepted:
    """Store a notification durably; what is small and due is handed to this process's worker at once.

    Args:
        services: the ports.
        project: whose subscriptions.
        asked: checked.
        worker: of this process; None leaves everything to others.
        rules: what the operator allows.

    Returns:
        what was stored, or what had been stored for the same request and idempotency key before.

    Raises:
        InvalidInput: a time is over or too far ahead, a URL in the content leads nowhere safe, there is no such tag or
            purpose, or no purpose is named where one has to be.
        PayloadTooLarge: the payload does not fit into one message to every recipient.
        Conflict: the idempotency key was used for another request.
        Unavailable: too much waits already.
    """
    now = services.clock.now()
    try:
        await _check_purpose(services, project, asked, rules)
        late = await _accepted_in_time(services, project, asked, now)
        if late is not None:
            return late
        return await store_new(services, project, compile_asked(services, project, asked, now, rules), worker, rules)
    except PushkeepError as error:
        services.announcer.announce(NotificationRefused(error.code))
        raise


async def _check_purpose(services: Services, project: Project, asked: Asked, rules: AcceptRules) -> None:
    if rules.purpose and asked.purpose is None:
        names = ", ".join(purpose.name for purpose in await services.store.purposes(project))
        raise InvalidInput(
            f"purpose is missing, and the setting require_purpose asks for one; declared are {names or 'none yet'}.",
            field="purpose",
        )


async def _accepted_in_time(services: Services, project: Project, asked: Asked, now: float) -> Accepted | None:
    """What was accepted for a request that comes again when its times are over: its caller lost the answer."""
    if asked.idempotency_key is None:
        return None
    try:
        _times(asked, now)
    except InvalidInput:
        known = request_hash(_canonical(asked))
        return await services.store.replay(project, asked.target, asked.idempotency_key, known)
    return None


async def preview(
    services: Services, project: Project, asked: Asked, *, rules: AcceptRules = DEFAULT_RULES
) -> AudienceCount:
    """Whom it would reach, with every check of :func:`accept` but the idempotency key's and the backlog's.

    Nothing is changed.

    Raises:
        InvalidInput, PayloadTooLarge: as for :func:`accept`.
    """
    await _check_purpose(services, project, asked, rules)
    new = compile_asked(services, project, asked, services.clock.now(), rules)
    count = await services.store.count_audience(project, asked.target, purpose=asked.purpose)
    for _, vendor in count.by_origin:
        check_size(VENDORS.get(vendor, UNKNOWN), len(new.payload or b""))
    return count


async def store_new(
    services: Services, project: Project, new: NewNotification, worker: Taker | None, rules: AcceptRules
) -> Accepted:
    """Store what is compiled, and hand the worker what was leased to it.

    Raises:
        Conflict, InvalidInput, Unavailable: as for :func:`accept`.
    """
    at_once = worker is not None and new.send_at <= new.accepted_at and new.priority is not Priority.BULK
    accepted = await services.store.accept(
        project, new, backlog_max=rules.backlog_max, lease_owner=worker.owner if worker and at_once else None
    )
    if worker is not None and accepted.leased:
        worker.take(accepted.leased)
    services.announcer.announce(
        NotificationAccepted(accepted.record.public_id, new.priority, accepted.targeted, accepted.replayed)
    )
    return accepted


def compile_asked(
    services: Services,
    project: Project,
    asked: Asked,
    now: float,
    rules: AcceptRules,
    *,
    retry_of: str | None = None,
) -> NewNotification:
    """Settle its times, give it an id, and make the payload.

    Raises:
        InvalidInput: a time is over or too far ahead, or a URL in the content leads nowhere safe.
        PayloadTooLarge: no push service takes it.
    """
    send_at, deadline = _times(asked, now)
    public_id = str(uuid7(now, services.entropy.token_bytes(UUID7_RANDOM_BYTES)))
    payload, token_offset, compress = asked.content or None, None, False
    if isinstance(payload, Content):
        compress = payload.compress
        compiled = compile_payload(
            payload, notification_id=public_id, site_url=project.site_url, receipts=rules.receipts
        )
        payload, token_offset = compiled.payload, compiled.token_offset
    check_size(UNKNOWN, len(payload or b""))
    return NewNotification(
        public_id=public_id,
        target=asked.target,
        content=keep_content(asked.content),
        payload=payload,
        token_offset=token_offset,
        options=asked.options,
        priority=asked.priority,
        accepted_at=now,
        send_at=send_at,
        deadline=deadline,
        idempotency_key=asked.idempotency_key,
        # A request to repeat says no more than what: its content is compiled by rules that may change meanwhile.
        request_hash=request_hash(_canonical(asked) if retry_of is None else {"retry_of": retry_of}),
        retry_of=retry_of,
        compress=compress,
        purpose=asked.purpose,
    )


def keep_content(content: Content | bytes | None) -> bytes:
    """As JSON, what has to be kept to say the same again; :func:`kept_content` reads it."""
    if isinstance(content, Content):
        return content.to_json()
    return json.dumps({"payload": b64url_encode(content)} if content else {}).encode()


def kept_content(kept: bytes, *, tag: str) -> Content | bytes | None:
    """Undo :func:`keep_content`.

    Args:
        kept: what :attr:`NewNotification.content` was.
        tag: for content that has none, so that it replaces what some of its readers see already.
    """
    stored = json.loads(kept)
    if "title" in stored:
        content = Content.from_json(kept)
        return content if content.tag else replace(content, tag=tag)
    return b64_decode(stored["payload"], field="payload") if stored else None


def _canonical(asked: Asked) -> JsonValue:
    """The request as it was understood: what makes two requests the same."""
    target, options = asked.target, asked.options
    named: dict[str, JsonValue] = {} if asked.purpose is None else {"purpose": asked.purpose}
    return named | {
        "content": keep_content(asked.content).decode(),
        "to": [target.kind, list(target.contacts), [str(one) for one in target.subscriptions], target.tag],
        "options": [options.ttl, options.urgency, options.topic],
        "priority": int(asked.priority),
        "send_at": asked.send_at,
        "deadline": asked.deadline,
    }


def _times(asked: Asked, now: float) -> tuple[float, float]:
    """When it begins and ends.

    Raises:
        InvalidInput: that is over, or too far ahead.
    """
    if asked.send_at is not None and asked.send_at < now - CLOCK_SKEW_SECONDS_MAX:
        raise InvalidInput("send_at is in the past; leave it out to send now.", field="send_at")
    if asked.send_at is not None and asked.send_at > now + SEND_AT_SECONDS_MAX:
        raise InvalidInput("send_at is more than a year ahead; ask for it later.", field="send_at")
    send_at = now if asked.send_at is None else max(asked.send_at, now)
    if asked.deadline is None:
        return send_at, min(deadline_for(send_at=send_at, ttl=asked.options.ttl), send_at + DEADLINE_SECONDS_MAX)
    _check_deadline(asked.deadline, send_at)
    return send_at, asked.deadline


def _check_deadline(deadline: float, send_at: float) -> None:
    if not send_at < deadline <= send_at + DEADLINE_SECONDS_MAX:
        days = int(DEADLINE_SECONDS_MAX // 86_400)
        raise InvalidInput(
            f"deadline must be later than send_at (or than now, without one) and at most {days} days after it.",
            field="deadline",
        )


def _priority(value: object) -> Priority:
    found = _PRIORITIES.get(value) if isinstance(value, str) else None
    if found is None:
        raise InvalidInput(f"priority must be one of {', '.join(_PRIORITIES)}.", field="priority")
    return found


def _moment(value: object, name: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return parse_moment(value, field=name)
