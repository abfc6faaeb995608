"""Telling people something: one notification to at most a thousand subscriptions, with a result for each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pushkeep.app.context import Services
from pushkeep.app.deliver import Deliverer, HeldBack
from pushkeep.domain.action import Action, Decision, success_needs_write
from pushkeep.domain.compiled import compile_payload
from pushkeep.domain.ids import UUID7_RANDOM_BYTES, uuid7
from pushkeep.domain.notification import Content, Target
from pushkeep.domain.project import Project
from pushkeep.domain.situation import DAY_SECONDS
from pushkeep.domain.subscription import (
    SUSPECT_DAYS_TO_END,
    EndReason,
    Event,
    Recipient,
    State,
    SubscriptionRecord,
)
from pushkeep.errors import InvalidInput, PushkeepError, Unavailable
from pushkeep.ports import ResultUpdate
from pushkeep.protocol.outcome import Outcome
from pushkeep.protocol.request import PushOptions
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.sizes import check_size
from pushkeep.protocol.vendors import UNKNOWN, VENDORS

RECIPIENTS_MAX = 1000
"""The caller waits while it is sent: about a second of curve work. More wants a queue."""

IN_FLIGHT_MAX = 100
"""What one HTTP/2 connection carries at Apple and most others (SETTINGS_MAX_CONCURRENT_STREAMS)."""

_FAILURES = frozenset({Action.FAIL, Action.NEEDS_RENEWAL, Action.QUARANTINE})
"""What is written down as a failure of the subscription."""

_log = logging.getLogger("pushkeep.app")


@dataclass(frozen=True, slots=True)
class RecipientResult:
    """What became of the notification for one recipient.

    Attributes:
        public_id: the subscription's UUID; as it was asked for when there is no such subscription.
        short_id: its eight characters; None when there is no such subscription.
        external_id: the contact; None while anonymous.
        outcome: the push service's answer to the last attempt; None when nothing was sent.
        action: what was done about it; None when nothing was sent.
        skipped: why nothing was sent; None when something was.
    """

    public_id: str | None
    short_id: str | None
    external_id: str | None
    outcome: Outcome | None
    action: Action | None
    skipped: str | None


@dataclass(frozen=True, slots=True)
class NotificationResult:
    """What became of one notification.

    Attributes:
        id: UUID text.
        results: one for each subscription, and for each id or contact that led to none.
    """

    id: str
    results: tuple[RecipientResult, ...]


async def notify(
    services: Services,
    project: Project,
    target: Target,
    content: Content | bytes | None,
    options: PushOptions,
    *,
    recipients_max: int = RECIPIENTS_MAX,
    signing_key: SigningKey | None = None,
) -> NotificationResult:
    """Send one notification and wait for the answers, up to 20 s and one attempt. No recipient stops the rest.

    Args:
        services: the ports.
        project: whose subscriptions.
        target: whom to tell.
        content: what to say; octets are sent as they are, None wakes the worker without a payload.
        options: TTL, urgency, topic.
        recipients_max: more than this many are refused before anything is sent; at most 1,000.
        signing_key: sign with this one instead of the key each subscription was made with; for finding out what a
            push service says to it.

    Raises:
        InvalidInput: too many recipients, or a URL in the content that leads nowhere safe.
        PayloadTooLarge: the payload does not fit into one message; nothing was sent.
    """
    now = services.clock.now()
    notification_id = str(uuid7(now, services.entropy.token_bytes(UUID7_RANDOM_BYTES)))
    payload = (
        compile_payload(content, notification_id=notification_id, site_url=project.site_url, receipts=False).payload
        if isinstance(content, Content)
        else content
    )
    _check_size(payload, [UNKNOWN.name])
    recipients, missing = await _resolve(services, project, target, min(recipients_max, RECIPIENTS_MAX))
    _check_size(payload, {recipient.record.vendor for recipient in recipients})
    keys = {key.id: signing_key or key.key for key in await services.store.signing_keys(project)}
    deliverer = Deliverer(
        services, project, payload, options, keys, own_keys=signing_key is None, in_flight_max=IN_FLIGHT_MAX
    )
    results = await _Sending(services, project, keys, deliverer).send_all(recipients)
    return NotificationResult(notification_id, (*results, *missing))


def _check_size(payload: bytes | None, vendors: Iterable[str]) -> None:
    """Refuse what a recipient's push service does not take, before the first message leaves."""
    for name in vendors:
        check_size(VENDORS.get(name, UNKNOWN), len(payload or b""))


async def _resolve(
    services: Services, project: Project, target: Target, recipients_max: int
) -> tuple[tuple[Recipient, ...], list[RecipientResult]]:
    """Find the recipients, and make the results of ids and contacts that lead to none."""
    store = services.store
    if target.kind == "subscriptions":
        _check_count(len(target.subscriptions), recipients_max)
        found = await store.recipients_by_id(project, target.subscriptions)
        known = {r.record.public_id for r in found} | {r.record.short_id for r in found}
        unknown = [str(wanted) for wanted in target.subscriptions if str(wanted) not in known]
        return found, [_nobody(public_id=text, skipped="no such subscription") for text in unknown]
    if target.kind == "all":
        found = await store.recipients_of_all(project, limit=recipients_max + 1, after=0)
        _check_count(len(found), recipients_max)
        return found, []
    _check_count(len(target.contacts), recipients_max)
    found = await store.recipients_by_contact(project, target.contacts, limit=recipients_max + 1)
    _check_count(len(found), recipients_max)
    reached = {recipient.record.contact_external_id for recipient in found}
    return found, [
        _nobody(external_id=contact, skipped="this contact has no active subscription")
        for contact in target.contacts
        if contact not in reached
    ]


def _check_count(count: int, recipients_max: int) -> None:
    if count > recipients_max:
        raise InvalidInput(
            f"The target has more than {recipients_max} recipients, the most that one synchronous notification "
            f"takes; name fewer contacts or subscriptions and send several.",
            field="target",
        )


def _nobody(*, public_id: str | None = None, external_id: str | None = None, skipped: str) -> RecipientResult:
    return RecipientResult(public_id, None, external_id, None, None, skipped)


class _Sending:
    """One notification on its way: sends to each recipient, then writes down what changed in one transaction."""

    def __init__(self, services: Services, project: Project, keys: dict[int, SigningKey], deliverer: Deliverer) -> None:
        self._services = services
        self._project = project
        self._keys = keys
        self._deliverer = deliverer
        self._updates: list[ResultUpdate] = []
        self._gone: list[tuple[SubscriptionRecord, ResultUpdate]] = []

    async def send_all(self, recipients: Sequence[Recipient]) -> list[RecipientResult]:
        applied: frozenset[int] = frozenset()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._send_guarded(recipient)) for recipient in recipients]
        finally:
            # Also when the caller gives up half-way: what push services have already said stays true.
            self._updates += [self._believed(record, update) for record, update in self._gone]
            if self._updates:
                applied = await self._write_down()
        ended = {update.id for update in self._updates if update.action is Action.END} & applied
        return [
            _settled(task.result(), recipient.record.id in ended)
            for task, recipient in zip(tasks, recipients, strict=True)
        ]

    def _believed(self, record: SubscriptionRecord, update: ResultUpdate) -> ResultUpdate:
        """The end of a subscription, unless by now too many have ended there to be true."""
        if self._deliverer.unbelievable(record):
            days = _doubted(record, self._services.clock.now())
            if len(days) < SUSPECT_DAYS_TO_END:
                return ResultUpdate(update.id, update.version, Action.FAIL, suspect_days=days)
        return update

    async def _write_down(self) -> frozenset[int]:
        """Store what changed; returns the rows it was stored for."""
        work = self._services.store.apply_results(self._project, self._updates, now=self._services.clock.now())
        try:
            return await asyncio.shield(work)
        except Unavailable as error:
            # The messages are out: an error would make the caller send them once more to everybody. What could not be
            # stored is learnt again from the next message.
            _log.warning("results of %d messages are not stored: %s", len(self._updates), error.message)
            return frozenset()

    async def _send_guarded(self, recipient: Recipient) -> RecipientResult:
        record = recipient.record
        try:
            return await self._send(recipient)
        except PushkeepError as error:
            return _skipped(record, error.message)
        except Exception as error:
            # Whatever is wrong with one recipient is that recipient's result; the others get their message.
            return _skipped(record, f"internal error ({type(error).__name__})")

    async def _send(self, recipient: Recipient) -> RecipientResult:
        record, subscription = recipient.record, recipient.subscription
        if record.state is not State.ACTIVE:
            return _skipped(record, f"no longer subscribed ({record.state.value})")
        if record.signing_key_id not in self._keys:
            return _skipped(record, "its signing key is retired")
        if subscription is None:
            return _skipped(record, "what is stored of it is damaged; remove it, and its browser brings it again")
        try:
            outcome, decision = await self._deliverer.deliver(record, subscription)
        except HeldBack as held:
            return _skipped(record, str(held))
        self._note(record, outcome, decision)
        return RecipientResult(
            record.public_id, record.short_id, record.contact_external_id, outcome, decision.action, None
        )

    def _note(self, record: SubscriptionRecord, outcome: Outcome, decision: Decision) -> None:
        now, action = self._services.clock.now(), decision.action
        if action is Action.DONE:
            needed = success_needs_write(
                now=now,
                last_accepted_at=record.last_accepted_at,
                consecutive_failures=record.consecutive_failures,
            )
            if needed:
                self._updates.append(ResultUpdate(record.id, record.version, action))
        elif action in _FAILURES:
            days = _doubted(record, now) if decision.counts_as_suspect else None
            self._updates.append(ResultUpdate(record.id, record.version, Action.FAIL, suspect_days=days))
        elif action is Action.END:
            update = ResultUpdate(record.id, record.version, action, _why(outcome, now))
            if decision.counts_as_suspect:
                self._updates.append(update)  # doubted for long enough, storm or no storm
            else:
                self._gone.append((record, update))


def _doubted(record: SubscriptionRecord, now: float) -> frozenset[int]:
    """The days on which the push service doubted it, with today."""
    return record.suspect_days | {int(now // DAY_SECONDS)}


def _why(outcome: Outcome, now: float) -> EndReason:
    said = outcome.explanation
    if said is None:
        return EndReason(Event.SAID_GONE, now, status=outcome.status)
    return EndReason(Event.SAID_GONE, now, said.text, outcome.status, said.code, said.errno, said.more_info)


def _skipped(record: SubscriptionRecord, why: str) -> RecipientResult:
    return RecipientResult(record.public_id, record.short_id, record.contact_external_id, None, None, why)


def _settled(result: RecipientResult, ended: bool) -> RecipientResult:
    """A verdict that was not applied is void: the row's browser came back meanwhile, or it was not believed."""
    if result.action is Action.END and not ended:
        return replace(result, action=Action.FAIL_BLAMELESS)
    return result
