"""One message to one recipient: attempt, decide, wait, attempt again, as the table of actions says.

The caller waits for it, so what would take longer than some seconds is given up and told, not waited for: a push
service that asks for an hour's patience, a circuit that is open.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from dataclasses import dataclass, field, replace

from pushkeep.app.context import Services
from pushkeep.app.send import send_one
from pushkeep.domain.action import ALERT_WORDS, Action, Alert, Change, Decision, Scope
from pushkeep.domain.action_table import decide
from pushkeep.domain.circuit import COOL_DOWN_SECONDS, Permission
from pushkeep.domain.origin_statistics import OriginView
from pushkeep.domain.project import Project
from pushkeep.domain.retry import CHANCE_BYTES, RetryPolicy, chance_of
from pushkeep.domain.situation import Situation
from pushkeep.domain.subscription import SubscriptionRecord
from pushkeep.protocol.outcome import Outcome
from pushkeep.protocol.padding import no_padding
from pushkeep.protocol.remedy import Remedy, apply_remedy, is_of_use
from pushkeep.protocol.request import PushOptions
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.subscription import Subscription
from pushkeep.protocol.vendors import UNKNOWN, VENDORS
from pushkeep.protocol.verdict import Verdict

WAIT_SECONDS_MAX = 20.0
"""No attempt begins later than this after the notification did: HTTP clients and proxies wait 30 to 60 s."""

RETRY_POLICY = RetryPolicy(attempts_max=3)
"""A fault that outlasts two more attempts within seconds outlasts the caller."""

_COMPARED = frozenset({Verdict.GONE, Verdict.BAD_TOKEN, Verdict.THROTTLED})
"""Only these are weighed against what the push service told others; the rest is spared the look."""

_log = logging.getLogger("pushkeep.app")


class HeldBack(Exception):
    """The message may not go now, and not before its caller has gone; the text says why and until when."""


@dataclass(slots=True)
class _Message:
    """What is different from attempt to attempt."""

    key_id: int
    options: PushOptions
    keys_tried: set[int]
    before: tuple[Verdict, ...] = ()
    remedies: set[Remedy] = field(default_factory=set)


class Deliverer:
    """Delivers the messages of one notification.

    Args:
        services: the ports.
        project: whose contact stands in the token.
        payload: what every recipient gets.
        options: TTL, urgency, topic.
        keys: the project's signing keys by number, in the order in which they are tried.
        own_keys: whether these are the keys the subscriptions were made with. If not, push services are asked what
            they say to another one, and nothing is learnt from it but who is gone.
        in_flight_max: attempts at once at one vendor, so that one that hangs does not hold up the others.
    """

    def __init__(
        self,
        services: Services,
        project: Project,
        payload: bytes | None,
        options: PushOptions,
        keys: dict[int, SigningKey],
        *,
        own_keys: bool,
        in_flight_max: int,
    ) -> None:
        self._services = services
        self._project = project
        self._payload = payload
        self._options = options
        self._keys = keys
        self._own_keys = own_keys
        self._in_flight: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(in_flight_max))
        self._deadline = services.clock.monotonic() + WAIT_SECONDS_MAX
        self._probes: dict[tuple[int, str], asyncio.Event] = {}
        self._alerted: set[tuple[Alert, str]] = set()

    async def deliver(self, record: SubscriptionRecord, subscription: Subscription) -> tuple[Outcome, Decision]:
        """Attempt until the table of actions says that it is over; the last outcome, and what is done about it.

        Raises:
            HeldBack: the push service rests or its circuit is open for longer than the caller waits, or it is too slow.
            PushkeepError: nothing could be sent.
        """
        message = _Message(record.signing_key_id, self._options, {record.signing_key_id})
        age_seconds = self._services.clock.now() - record.created_at
        outcome: Outcome | None = None
        while True:
            try:
                answered = await self._attempt(record, subscription, message)
            except HeldBack:
                if outcome is None:
                    raise
                # It may not go in time, so it is as if there were no time left.
                return outcome, self._decide(record, message, outcome, age_seconds, 0.0)
            if outcome is not None:
                message.before += (outcome.verdict,)
                answered = replace(answered, attempts=len(message.before) + 1)
            outcome = answered
            decision = self._decide(record, message, outcome, age_seconds, self._remaining_seconds())
            if decision.action not in (Action.RETRY, Action.HOLD):
                return outcome, decision
            if decision.change is Change.OTHER_KEY:
                message.key_id = self._other_keys(message)[0]
                message.keys_tried.add(message.key_id)
            elif decision.change is Change.REMEDY and outcome.remedy is not None:
                message.options = apply_remedy(message.options, outcome.remedy)
                message.remedies.add(outcome.remedy)
            if decision.wait_seconds > 0:
                await self._services.sleeper.sleep(decision.wait_seconds)

    def unbelievable(self, record: SubscriptionRecord) -> bool:
        """Whether so many were called gone there by now that an earlier such answer is not believed either."""
        if not self._view(record, record.signing_key_id).gone_storm:
            return False
        self._alert(Alert.GONE_STORM, record.origin)
        return True

    async def _attempt(self, record: SubscriptionRecord, subscription: Subscription, message: _Message) -> Outcome:
        """Post once, as soon as it may go."""
        origin, key_id = record.origin, message.key_id
        while True:
            running = self._probes.get((key_id, origin))
            if running is not None:
                await running.wait()
            async with self._in_flight[record.vendor]:
                if self._remaining_seconds() <= 0:
                    raise HeldBack(f"not sent: {origin} is slow, and its turn did not come in {WAIT_SECONDS_MAX:g} s")
                # Asked here and not before: what waited its turn must heed what was learnt meanwhile.
                permission, why = self._ask(record, key_id)
                if permission.granted:
                    return await self._post(record, subscription, message, probe=permission.probe)
            if (key_id, origin) in self._probes:
                continue
            if permission.wait_seconds >= self._remaining_seconds():
                raise HeldBack(f"held back: {why}; may go in {permission.wait_seconds:.0f} s")
            await self._services.sleeper.sleep(permission.wait_seconds)

    def _ask(self, record: SubscriptionRecord, key_id: int) -> tuple[Permission, str]:
        services, now, origin = self._services, self._services.clock.monotonic(), record.origin
        if not self._own_keys:
            return Permission(True), ""
        held_seconds = services.statistics.held_seconds(origin, record.id, now)
        if held_seconds > 0:
            return Permission(False, wait_seconds=held_seconds), f"{origin} asked for patience"
        permission = services.circuits.ask(key_id, origin, now)
        if permission.probe:
            self._probes[key_id, origin] = asyncio.Event()
        return permission, f"{origin} refused our token (see `pushkeep doctor`)"

    async def _post(
        self, record: SubscriptionRecord, subscription: Subscription, message: _Message, *, probe: bool
    ) -> Outcome:
        services = self._services
        verdict: Verdict | None = None
        try:
            outcome = await send_one(
                services.transport,
                services.clock,
                services.entropy,
                services.tokens,
                subscription=subscription,
                key=self._keys[message.key_id],
                contact=self._project.contact,
                payload=self._payload,
                options=message.options,
                vendor=services.policy.vendor_for(subscription.endpoint),
                padding=no_padding,
                reference=record.public_id,
            )
            verdict = outcome.verdict
            return outcome
        finally:
            if self._own_keys:
                self._learn(record, message.key_id, verdict, probe=probe)

    def _learn(self, record: SubscriptionRecord, key_id: int, verdict: Verdict | None, *, probe: bool) -> None:
        services, now = self._services, self._services.clock.monotonic()
        if verdict is not None:
            services.statistics.record(record.origin, verdict, endpoint=record.id, key=key_id, now=now)
        # A token that is taken for others is not what is wrong, and their messages must not wait for this one.
        blameless = verdict is Verdict.BAD_TOKEN and self._view(record, key_id).key_taken_for_others
        if probe or not blameless:
            services.circuits.tell(key_id, record.origin, verdict, now, probe=probe)
        if probe:
            self._probes.pop((key_id, record.origin)).set()

    def _decide(
        self,
        record: SubscriptionRecord,
        message: _Message,
        outcome: Outcome,
        age_seconds: float,
        remaining_seconds: float,
    ) -> Decision:
        services = self._services
        now = services.clock.monotonic()
        circuit = services.circuits.get(message.key_id, record.origin)
        remedy = outcome.remedy
        decision = decide(
            Situation(
                verdict=outcome.verdict,
                vendor=VENDORS.get(record.vendor, UNKNOWN),
                now=services.clock.now(),
                age_seconds=age_seconds,
                before=message.before,
                remaining_seconds=remaining_seconds,
                retry_after=outcome.retry_after,
                chance=chance_of(services.entropy.token_bytes(CHANCE_BYTES)),
                policy=RETRY_POLICY,
                suspect_days=record.suspect_days,
                origin=self._view(record, message.key_id) if outcome.verdict in _COMPARED else OriginView(),
                circuit_wait_seconds=max(circuit.probe_at - now, 0.0) or COOL_DOWN_SECONDS,
                remedy=remedy if remedy is not None and is_of_use(message.options, remedy) else None,
                remedies_tried=frozenset(message.remedies),
                other_key=bool(self._other_keys(message)),
            )
        )
        if not self._own_keys:
            # What a service says to a foreign key is no failure of the subscription; gone is gone, whoever asks.
            known = decision.action in (Action.DONE, Action.END, Action.RETRY)
            return decision if known else Decision(Action.FAIL_BLAMELESS)
        rest = decision.rest
        if rest is not None and rest.scope is Scope.ORIGIN:
            services.statistics.hold(record.origin, now + rest.seconds)
        elif rest is not None and rest.scope is Scope.ENDPOINT and not decision.counts_as_suspect:
            # A suspect is tried with each notification: most of them live, and nothing here would send to it later.
            services.statistics.hold_endpoint(record.id, now + rest.seconds)
        if decision.alert is not None:
            self._alert(decision.alert, record.origin)
        return decision

    def _other_keys(self, message: _Message) -> list[int]:
        return [key_id for key_id in self._keys if key_id not in message.keys_tried] if self._own_keys else []

    def _view(self, record: SubscriptionRecord, key_id: int) -> OriginView:
        if not self._own_keys:
            return OriginView()
        services = self._services
        return services.statistics.view(record.origin, endpoint=record.id, key=key_id, now=services.clock.monotonic())

    def _remaining_seconds(self) -> float:
        return self._deadline - self._services.clock.monotonic()

    def _alert(self, alert: Alert, origin: str) -> None:
        """Tell the operator, once for this notification and push service."""
        if (alert, origin) not in self._alerted:
            self._alerted.add((alert, origin))
            _log.warning("%s: %s", origin, ALERT_WORDS[alert])
