"""What becomes of a message: from the push service's answer, by the table of actions, to settled, moved or once more.

What an answer teaches about its push service is learnt here, too: the window's statistics, circuits, rests. Nothing
waits: whoever is to be tried later goes to a follow-up, and only what helps at once is repeated in place.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from pushkeep.app.context import Services
from pushkeep.app.results import Results, SaidGone
from pushkeep.app.shard_run import ACCEPTED_AT, Again, Flight, ShardRun
from pushkeep.app.sharing import Sharing
from pushkeep.domain.action import ALERT_WORDS, Action, Alert, Change, Decision, Scope, success_needs_write
from pushkeep.domain.action_table import decide
from pushkeep.domain.circuit import COOL_DOWN_SECONDS
from pushkeep.domain.follow_up import FOLLOW_UP_RETRIES, due_at, history_with
from pushkeep.domain.origin_statistics import OriginView
from pushkeep.domain.retry import CHANCE_BYTES, chance_of
from pushkeep.domain.shard import KIND_OF_VERDICT, Kind
from pushkeep.domain.situation import Situation
from pushkeep.domain.subscription import Event, State, StateReason, SubscriptionRecord
from pushkeep.ports import ResultUpdate
from pushkeep.ports.shards import Move, SettledMember
from pushkeep.protocol.answer import Answer
from pushkeep.protocol.outcome import Outcome, read_answer
from pushkeep.protocol.remedy import is_of_use
from pushkeep.protocol.vendors import UNKNOWN, VENDORS
from pushkeep.protocol.verdict import Verdict

TOLD_REMEMBERED_MAX = 10_000
"""Alerts and faults told of late; after so many others one may be told once more."""

_EVENTS: Mapping[Action, Event] = MappingProxyType(
    {
        Action.END: Event.SAID_GONE,
        Action.FAIL: Event.FAILED,
        Action.NEEDS_RENEWAL: Event.KEY_REFUSED,
        Action.QUARANTINE: Event.QUARANTINED,
    }
)
"""What is written down of the subscription; of the other actions, nothing is."""

_COMPARED = frozenset({Verdict.GONE, Verdict.BAD_TOKEN, Verdict.THROTTLED})
"""Only these are weighed against what the push service told others; the rest is spared the look."""

_log = logging.getLogger("pushkeep.app")


class Judge:
    """Decides, for all messages of one worker.

    Args:
        services: the ports.
        sharing: told of rests and circuits.
    """

    def __init__(self, services: Services, sharing: Sharing) -> None:
        self._services = services
        self._sharing = sharing
        self._told: OrderedDict[tuple[int, str, str], None] = OrderedDict()

    def judge(self, flight: Flight, answer: Answer, verdict: Verdict, now: float) -> bool:
        """Take in an answer.

        Args:
            flight: the message.
            answer: what came of it.
            verdict: what that means.
            now: monotonic seconds.

        Returns:
            whether the message is to be sent once more at once: its :class:`Again` says how.
        """
        self.learn(flight, verdict, now)
        if verdict is Verdict.ACCEPTED:
            self._accepted(flight, answer, now)
            return False
        run = flight.run
        outcome = read_answer(
            run.vendor,
            answer,
            now=self._services.clock.now(),
            duration_ms=(now - flight.begun_at) * 1000,
            endpoint=flight.subscription.endpoint,
        )
        situation = self._situation(flight, outcome, now)
        decision = decide(situation)
        self._follow(flight, decision, now)
        again = flight.again or Again()
        again.before = (*again.before, verdict)
        if decision.action in (Action.RETRY, Action.HOLD):
            if decision.change is not None:
                return self._change(flight, again, decision.change, outcome)
            if self._moves(flight, again, decision.wait_seconds):
                return False
            situation = replace(situation, remaining_seconds=0.0)  # follow-ups are counted in full seconds
            decision = decide(situation)
        self._settle(flight, outcome, situation, decision)
        return False

    def learn(self, flight: Flight, verdict: Verdict | None, now: float) -> None:
        """Keep what an answer says about its push service; None where there was no answer at all."""
        services, run, key_id = self._services, flight.run, flight.key_id
        origin = run.shard.origin
        if verdict is not None:
            services.statistics.record(origin, verdict, endpoint=flight.record.id, key=key_id, now=now)
        # A token that is taken for others is not what is wrong, and their messages must not wait for this one.
        blameless = verdict is Verdict.BAD_TOKEN and self._view(flight, now).key_taken_for_others
        if flight.probe or not blameless:
            self._sharing.tell(key_id, origin, verdict, now, probe=flight.probe)

    def fault(self, flight: Flight, error: Exception, verdict: Verdict | None = None) -> None:
        """Something of ours is wrong with this one message: tried again later, never lost.

        It is told by its type, once for a notification and push service.

        Args:
            flight: the message.
            error: what was raised.
            verdict: what its push service answered; None where it was not asked. What was taken is not sent again.
        """
        run = flight.run
        if self._is_news(run, type(error).__name__):
            _log.error(
                "A message to %s failed with an internal error (%s).", flight.record.short_id, type(error).__name__
            )
        if verdict is Verdict.ACCEPTED:
            run.settle(ACCEPTED_AT[flight.position])
            return
        again = flight.again or Again()
        again.before = (*again.before, Verdict.TRANSIENT)
        attempts = run.shard.attempt - 1 + len(again.before)
        if attempts < FOLLOW_UP_RETRIES.attempts_max:
            wait = min(FOLLOW_UP_RETRIES.base_seconds * 2.0**attempts, FOLLOW_UP_RETRIES.wait_seconds_max)
            if self._moves(flight, again, wait):
                return
        run.settle(SettledMember(flight.position, Kind.TRANSIENT, attempts=attempts))

    def held_back(self, flight: Flight, seconds: float) -> None:
        """This endpoint rests: its message goes to a follow-up with the attempt that it has."""
        if not self._moves(flight, flight.again or Again(), seconds):
            flight.run.settle(SettledMember(flight.position, Kind.EXPIRED))

    def believe(self, run: ShardRun, results: Results, now: float) -> None:
        """Look once more at who was called gone, before it is written: so many may be gone that it cannot be true."""
        if not results.ended:
            return
        # An end that was doubted before is no part of it, and any endpoint of this origin will do to ask.
        record = results.ended[0].record
        view = self._services.statistics.view(run.shard.origin, endpoint=record.id, key=record.signing_key_id, now=now)
        for said in results.ended:
            decision = decide(replace(said.situation, origin=view))
            if decision.alert is not None:
                self._alert(run, decision.alert)
            update = _update(said.record, said.outcome, said.situation, decision)
            if update is not None:
                results.note(update, said.record.state)
            results.settled[said.index] = replace(results.settled[said.index], action=decision.action.value)
        results.ended.clear()

    def _accepted(self, flight: Flight, answer: Answer, now: float) -> None:
        run, record = flight.run, flight.record
        wall = self._services.clock.now()
        if flight.key_id != record.signing_key_id:
            run.update(key_found(record, flight.key_id), record.state)
        elif success_needs_write(
            now=wall,
            last_accepted_at=record.last_accepted_at,
            consecutive_failures=record.consecutive_failures,
            active=record.state is State.ACTIVE,
        ):
            run.update(ResultUpdate(record.id, record.version, Event.ACCEPTED, verdict=Verdict.ACCEPTED), record.state)
        if not run.job.keeps_outcomes:
            run.settle(ACCEPTED_AT[flight.position])
            return
        before = 0 if flight.again is None else len(flight.again.before)
        run.settle(
            SettledMember(
                flight.position,
                Kind.ACCEPTED,
                action=Action.DONE.value,
                status=getattr(answer, "status", None),
                duration_ms=(now - flight.begun_at) * 1000,
                attempts=run.shard.attempt + before,
            )
        )

    def _situation(self, flight: Flight, outcome: Outcome, now: float) -> Situation:
        services, run, record = self._services, flight.run, flight.record
        wall = services.clock.now()
        circuit = services.circuits.get(flight.key_id, run.shard.origin)
        again, remedy, verdict = flight.again, outcome.remedy, outcome.verdict
        before = run.shard.history if again is None else (*run.shard.history, *again.before)
        attempts_before = run.shard.attempt - 1 + (0 if again is None else len(again.before))
        assert flight.options is not None
        return Situation(
            verdict=verdict,
            vendor=VENDORS.get(run.shard.vendor, UNKNOWN),
            now=wall,
            age_seconds=wall - record.created_at,
            before=before,
            forgotten=attempts_before - len(before),
            remaining_seconds=run.job.deadline - wall,
            retry_after=outcome.retry_after,
            chance=chance_of(services.entropy.token_bytes(CHANCE_BYTES)),
            policy=FOLLOW_UP_RETRIES,
            suspect_days=record.suspect_days,
            is_probe=record.state is State.QUARANTINED,
            failed_probes=record.probes,
            origin=self._view(flight, now) if verdict in _COMPARED else OriginView(),
            circuit_wait_seconds=max(circuit.probe_at - now, 0.0) or COOL_DOWN_SECONDS,
            remedy=remedy if remedy is not None and is_of_use(flight.options, remedy) else None,
            remedies_tried=frozenset(() if again is None else again.remedies),
            other_key=self._other_key(flight) is not None,
        )

    def _follow(self, flight: Flight, decision: Decision, now: float) -> None:
        """Let rest what is to rest, and tell what is to be told."""
        rest, shard = decision.rest, flight.run.shard
        if rest is not None and rest.scope is Scope.ORIGIN:
            self._sharing.rest(shard.origin, shard.vendor, rest.seconds)
        elif rest is not None and rest.scope is Scope.ENDPOINT:
            self._services.statistics.hold_endpoint(flight.record.id, now + rest.seconds)
        if decision.alert is not None:
            self._alert(flight.run, decision.alert)

    def _change(self, flight: Flight, again: Again, change: Change, outcome: Outcome) -> bool:
        """Note what is different about the next attempt, which is made at once."""
        if change is Change.OTHER_KEY:
            again.keys_tried |= {flight.key_id}
            again.key_id = self._other_key(flight)
        elif outcome.remedy is not None:
            again.remedies = (*again.remedies, outcome.remedy)
        flight.run.again[flight.position] = flight.again = again
        return True

    def _moves(self, flight: Flight, again: Again, wait_seconds: float) -> bool:
        """Hand a member on to a follow-up; False if the deadline comes first."""
        run = flight.run
        due = due_at(self._services.clock.now(), wait_seconds, deadline=run.job.deadline)
        if due is None:
            return False
        attempt = run.shard.attempt + len(again.before)
        run.move(Move(flight.position, due, attempt, history_with(run.shard.history, *again.before)))
        return True

    def _settle(self, flight: Flight, outcome: Outcome, situation: Situation, decision: Decision) -> None:
        run, record, action = flight.run, flight.record, decision.action
        settled = SettledMember(
            flight.position,
            KIND_OF_VERDICT[outcome.verdict],
            action.value,
            outcome.status,
            outcome.explanation,
            outcome.retry_after,
            outcome.duration_ms,
            situation.attempt,
        )
        if action is Action.END and not decision.counts_as_suspect:
            run.settle_ended(settled, SaidGone(record, situation, outcome))
            return
        run.settle(settled)
        update = _update(record, outcome, situation, decision)
        if update is not None:
            run.update(update, record.state)

    def _other_key(self, flight: Flight) -> int | None:
        """A signing key of the project that this message was not tried with."""
        context, again = flight.run.context, flight.again
        assert context is not None
        tried = {flight.key_id} if again is None else {flight.key_id, *again.keys_tried}
        return next((key_id for key_id in context.senders if key_id not in tried), None)

    def _view(self, flight: Flight, now: float) -> OriginView:
        return self._services.statistics.view(
            flight.run.shard.origin, endpoint=flight.record.id, key=flight.key_id, now=now
        )

    def _alert(self, run: ShardRun, alert: Alert) -> None:
        """Tell the operator, once for a notification and push service."""
        if self._is_news(run, alert.value):
            _log.warning("%s: %s", run.shard.origin, ALERT_WORDS[alert])

    def _is_news(self, run: ShardRun, what: str) -> bool:
        """Whether this was not told yet for the notification and the push service."""
        told = (run.job.id, what, run.shard.origin)
        if told in self._told:
            return False
        self._told[told] = None
        if len(self._told) > TOLD_REMEMBERED_MAX:
            self._told.popitem(last=False)
        return True


def key_found(record: SubscriptionRecord, key_id: int) -> ResultUpdate:
    """A message was taken that was signed with another key than the subscription is believed to be made with."""
    return ResultUpdate(record.id, record.version, Event.KEY_FOUND, signing_key_id=key_id, verdict=Verdict.ACCEPTED)


def _update(
    record: SubscriptionRecord, outcome: Outcome, situation: Situation, decision: Decision
) -> ResultUpdate | None:
    """What is written down of the subscription; None where it is not to blame."""
    event = _EVENTS.get(decision.action)
    if event is None:
        return None
    probe_at = None
    if decision.probe_seconds is not None:
        probe_at = situation.now + decision.probe_seconds
        if situation.is_probe:
            event = Event.FAILED  # of a probe: it has been in quarantine before
    return ResultUpdate(
        record.id,
        record.version,
        event,
        reason_of(outcome, situation.now, event),
        situation.suspect_days_with_this if decision.counts_as_suspect else None,
        probe_at,
        verdict=outcome.verdict,
    )


def reason_of(outcome: Outcome, now: float, cause: Event = Event.SAID_GONE) -> StateReason:
    """Why a subscription stands where it stands, in the words of the push service that said so."""
    said, verdict = outcome.explanation, outcome.verdict.value
    if said is None:
        return StateReason(cause, now, status=outcome.status, verdict=verdict)
    return StateReason(cause, now, said.text, outcome.status, said.code, said.errno, said.more_info, verdict)
