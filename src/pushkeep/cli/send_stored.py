"""``pushkeep send ID``: one message to one stored subscription, delivered by this process and not by the server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pushkeep.cli.common import EXIT_BY_VERDICT, Exit
from pushkeep.cli.message import Message
from pushkeep.cli.opened import accept_rules, opened_project
from pushkeep.errors import NotFound
from pushkeep.ports import Cancellable, Clock, Transport
from pushkeep.protocol.answer import Answer
from pushkeep.protocol.outcome import Outcome, read_answer
from pushkeep.protocol.request import PushRequest
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.verdict import Verdict

if TYPE_CHECKING:
    from pushkeep.app.context import Services
    from pushkeep.config import Settings
    from pushkeep.domain.endpoint_policy import EndpointPolicy
    from pushkeep.domain.project import Project
    from pushkeep.ports.notifications import Leased, RecipientOutcome


GONE_SECONDS_MAX = 20.0
"""A young subscription at Google that is called gone is asked about twice more, 12 s in all."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of it.

    Attributes:
        name: the subscription's short id, or what was asked for where there is none.
        outcome: the push service's last answer; None where nothing was sent.
        remarks: what else is to be known, a sentence each.
        status: of the command.
        notification: the notification's id; None where none was made.
        action: what was done about it: ``done``, ``dropped``, ``kept``; None where nothing was sent.
        goes_on: whether it is tried again later.
    """

    name: str
    outcome: Outcome | None
    remarks: tuple[str, ...]
    status: Exit
    notification: str | None = None
    action: str | None = None
    goes_on: bool = False

    def to_dict(self) -> dict[str, object]:
        """A JSON object."""
        about = {"recipient": self.name, "notification": self.notification, "action": self.action}
        outcome = {"verdict": None} if self.outcome is None else self.outcome.to_dict()
        return {**about, **outcome, "goes_on": self.goes_on, "remarks": list(self.remarks)}


async def send_stored(settings: Settings, any_id: str, message: Message) -> Sent:
    """Accept a notification and make its first attempt here; what is to be tried later is left to the server.

    Raises:
        PushkeepError: the message or the id is wrong, or nothing can be stored.
    """
    from pushkeep.app.accept import Asked, accept
    from pushkeep.app.progress import wait_done
    from pushkeep.compose import new_owner, open_worker
    from pushkeep.domain.notification import Target

    async with opened_project(settings) as (opened, project):
        ear = _Ear(opened.transport, opened.clock, opened.policy)
        services = replace(opened, transport=ear)
        hand = _Hand(new_owner(services.entropy))
        asked = Asked.of(Target.to_subscriptions([any_id]), message.content(), message.options)
        accepted = await accept(services, project, asked, worker=hand, rules=accept_rules(settings))
        if not accepted.leased:
            return await _nobody(services, project, any_id)
        record = accepted.record
        async with open_worker(
            settings, services, owner=hand.owner, kind="command", notification_id=record.id
        ) as worker:
            worker.take(hand.leased)
            await worker.wait_idle()
            if ear.outcome is not None and ear.outcome.verdict is Verdict.GONE:
                # Where that is doubted, it is asked again within seconds: the word to end with is the last one.
                await wait_done(services, project, record.public_id, seconds_max=GONE_SECONDS_MAX)
        return await _look(services, project, record.public_id, any_id, ear)


async def send_with_key(settings: Settings, any_id: str, message: Message, key: SigningKey) -> Sent:
    """Make one attempt with another signing key than the subscription's, to see what the push service says.

    Raises:
        PushkeepError: the message or the id is wrong.
    """
    from pushkeep.app.try_key import try_key

    async with opened_project(settings) as (services, project):
        try:
            tried = await try_key(services, project, any_id, key, message.content(), message.options)
        except NotFound:
            return await _nobody(services, project, any_id)
        name = tried.record.short_id
        if tried.outcome is None:
            return await _nobody(services, project, any_id)
        return Sent(
            name,
            tried.outcome,
            (f"Dropping no longer valid user: {name}",) if tried.ended else (),
            EXIT_BY_VERDICT[tried.outcome.verdict],
            action="done" if tried.outcome.accepted else "dropped" if tried.ended else "kept",
        )


async def _nobody(services: Services, project: Project, any_id: str) -> Sent:
    """Nothing was sent: the subscription has ended, or there never was one."""
    from pushkeep.app.subscribe import find_subscription

    try:
        record = await find_subscription(services, project, any_id)
    except NotFound:
        return Sent(any_id, None, (f"Nothing sent to {any_id}: no such subscription.",), Exit.USAGE)
    why = f"Nothing sent to {record.short_id}: no longer subscribed ({record.state.value})."
    return Sent(record.short_id, None, (why,), Exit.GONE)


async def _look(services: Services, project: Project, public_id: str, any_id: str, ear: _Ear) -> Sent:
    """What became of the only recipient."""
    from pushkeep.app.progress import list_outcomes
    from pushkeep.app.subscribe import find_subscription
    from pushkeep.domain.action import Action
    from pushkeep.web.notification_reports import ACTION_WORDS

    name = (await find_subscription(services, project, any_id)).short_id
    settled = (await list_outcomes(services, project, public_id)).items
    if not settled:
        return await _goes_on(services, name, public_id, ear.outcome)
    (found,) = settled
    action = None if found.action is None else ACTION_WORDS[Action(found.action)]
    remarks = (f"Dropping no longer valid user: {name}",) if action == "dropped" else ()
    if ear.outcome is not None:
        status = EXIT_BY_VERDICT[ear.outcome.verdict]
        return Sent(name, replace(ear.outcome, attempts=found.attempts), remarks, status, public_id, action)
    return _not_sent(name, public_id, found)


async def _goes_on(services: Services, name: str, public_id: str, outcome: Outcome | None) -> Sent:
    """It has no final state: a later attempt is stored."""
    remarks = [f"It is tried again later: pushkeep notifications show {public_id}"]
    if outcome is None:
        remarks.insert(0, f"Nothing sent to {name} yet: its push service rests or refuses our token for now.")
    if not await services.store.workers():
        remarks.append("No server runs beside this directory: it goes on when `pushkeep serve` is started.")
    status = Exit.TRY_LATER if outcome is None else EXIT_BY_VERDICT[outcome.verdict]
    return Sent(name, outcome, tuple(remarks), status, public_id, "kept", goes_on=True)


def _not_sent(name: str, public_id: str, found: RecipientOutcome) -> Sent:
    from pushkeep.cli.notification_view import EXIT_BY_KIND
    from pushkeep.domain.shard import KIND_WORDS

    why = f"Nothing sent to {name}: {KIND_WORDS[found.kind]}."
    return Sent(name, None, (why,), EXIT_BY_KIND[found.kind], public_id)


@dataclass(slots=True)
class _Hand:
    """Takes what is leased to this process, before there is a worker that knows which notification it is for."""

    owner: str
    leased: list[Leased] = field(default_factory=list)

    def take(self, leased: Sequence[Leased]) -> None:
        """Keep it."""
        self.leased.extend(leased)


class _Ear:
    """A transport that remembers the last answer: of an attempt that is to be repeated nothing else is kept.

    Attributes:
        outcome: what the last answer meant; None before the first.
    """

    def __init__(self, transport: Transport, clock: Clock, policy: EndpointPolicy) -> None:
        self.outcome: Outcome | None = None
        self._transport = transport
        self._clock = clock
        self._policy = policy

    async def post(self, request: PushRequest) -> Answer:
        """See the port."""
        begun = self._clock.monotonic()
        answer = await self._transport.post(request)
        self._hear(request, answer, begun)
        return answer

    def start(self, request: PushRequest, done: Callable[[Answer], None]) -> Cancellable:
        """See the port."""
        begun = self._clock.monotonic()

        def heard(answer: Answer) -> None:
            self._hear(request, answer, begun)
            done(answer)

        return self._transport.start(request, heard)

    async def aclose(self) -> None:
        """See the port."""
        await self._transport.aclose()

    def _hear(self, request: PushRequest, answer: Answer, begun: float) -> None:
        self.outcome = read_answer(
            self._policy.vendor_for(request.endpoint),
            answer,
            now=self._clock.now(),
            duration_ms=(self._clock.monotonic() - begun) * 1000,
            endpoint=request.endpoint,
            warnings=request.warnings,
        )
