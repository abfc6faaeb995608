"""Sending with another signing key than a subscription was made with: to see what its push service says to it."""

from __future__ import annotations

from dataclasses import dataclass

from pushkeep.app.context import Services
from pushkeep.app.judge import key_found, reason_of
from pushkeep.app.send import send_one
from pushkeep.domain.compiled import compile_payload
from pushkeep.domain.health import not_dialled
from pushkeep.domain.ids import UUID7_RANDOM_BYTES, AnyId, uuid7
from pushkeep.domain.notification import Content
from pushkeep.domain.project import SIGNING, Project
from pushkeep.domain.subscription import Event, SubscriptionRecord
from pushkeep.errors import Conflict, NotFound
from pushkeep.ports import ResultUpdate
from pushkeep.protocol.outcome import Outcome
from pushkeep.protocol.request import PushOptions
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.sizes import check_size
from pushkeep.protocol.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of it.

    Attributes:
        record: the subscription, as it was before.
        outcome: the push service's answer; None where nothing was sent, because it has ended or cannot be read.
        ended: whether it has ended by this.
    """

    record: SubscriptionRecord
    outcome: Outcome | None
    ended: bool = False


async def try_key(
    services: Services,
    project: Project,
    any_id: object,
    key: SigningKey,
    content: Content | bytes | None,
    options: PushOptions,
) -> Tried:
    """Make one attempt with a foreign key.

    What the push service says to that key is no failure of the subscription and teaches nothing about its origin, so
    nothing is written down; but for "gone": gone is gone, whoever asks. And where it takes a key that signs for the
    project, that is the one the subscription was made with, whatever was believed.

    Args:
        services: the ports.
        project: whose subscription.
        any_id: its short id or UUID.
        key: signs the token.
        content: what to say; octets are sent as they are, None wakes the worker without a payload.
        options: TTL, urgency, topic.

    Raises:
        Conflict: its endpoint must not be dialled.
        InvalidInput: no id, or a URL in the content that leads nowhere safe.
        NotFound: the project has no such subscription.
        PayloadTooLarge: the payload does not fit into one message.
    """
    wanted = AnyId.parse(any_id, field="subscription")
    found = await services.store.find_recipient(project, wanted)
    if found is None:
        raise NotFound(f"The project has no subscription {wanted}.", field="subscription")
    record, subscription = found.record, found.subscription
    if not record.living or subscription is None:
        return Tried(record, None)
    if not_dialled(record):
        raise Conflict(
            f"The endpoint of subscription {record.short_id} leads to an address that is not dialled. Add its push "
            "service to the origin map and release the subscription first: pushkeep subscriptions release.",
            field="subscription",
        )
    vendor = services.policy.vendor_for(subscription.endpoint)
    payload = _payload(services, project, content)
    check_size(vendor, len(payload or b""))
    outcome = await send_one(
        services.transport,
        services.clock,
        services.entropy,
        services.tokens,
        subscription=subscription,
        key=key,
        contact=project.contact,
        payload=payload,
        options=options,
        vendor=vendor,
        reference=record.public_id,
    )
    now = services.clock.now()
    update = await _learnt(services, project, record, key, outcome, now)
    if update is None:
        return Tried(record, outcome)
    applied = await services.store.apply_results(project, [update], now=now)
    return Tried(record, outcome, update.event is Event.SAID_GONE and record.id in applied)


async def _learnt(
    services: Services, project: Project, record: SubscriptionRecord, key: SigningKey, outcome: Outcome, now: float
) -> ResultUpdate | None:
    """What is to be written down of the subscription."""
    if outcome.verdict is Verdict.GONE:
        return ResultUpdate(
            record.id, record.version, Event.SAID_GONE, reason_of(outcome, now), verdict=outcome.verdict
        )
    if outcome.verdict is Verdict.ACCEPTED:
        for known in await services.store.signing_keys(project):
            if known.key.public_bytes == key.public_bytes and known.state in SIGNING:
                return key_found(record, known.id)
    return None


def _payload(services: Services, project: Project, content: Content | bytes | None) -> bytes | None:
    if not isinstance(content, Content):
        return content
    notification_id = str(uuid7(services.clock.now(), services.entropy.token_bytes(UUID7_RANDOM_BYTES)))
    # No receipt could be told from any other: there is no notification of this id.
    return compile_payload(content, notification_id=notification_id, site_url=project.site_url, receipts=False).payload
