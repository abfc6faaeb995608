"""A line in the log for each fact that an operator wants to read afterwards.

Not for every message and checkpoint: these are counted. No line has an endpoint, a payload or anything of a person;
push services are named by their origin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pushkeep.domain import event as facts
from pushkeep.domain.event import Event
from pushkeep.domain.signing_keys import KeyEvent
from pushkeep.web.logs import get_logger

_log = get_logger("pushkeep.delivery")


def log_fact(event: Event) -> None:
    """Write the line of a fact that has one; to be given to :meth:`pushkeep.app.announcer.Announcer.listen`."""
    found = _LINES.get(type(event))
    if found is not None:
        found(event)


def _notification_finished(event: facts.NotificationFinished) -> None:
    counts = {kind.value: count for kind, count in event.counts.items()}
    _log.info(
        "notification_finished",
        notification=event.notification_id,
        state=event.state.value,
        seconds=round(event.seconds, 3),
        **counts,
    )


def _shards_set_aside(event: facts.ShardsSetAside) -> None:
    _log.error(
        "shards_set_aside",
        count=event.count,
        meaning="worker after worker lost them; look at their end in the log, then resume the notification",
    )


def _lane_rested(event: facts.LaneRested) -> None:
    _log.info("push_service_rests", origin=event.origin, vendor=event.vendor, seconds=round(event.seconds, 3))


def _circuit_opened(event: facts.CircuitOpened) -> None:
    _log.warning(
        "circuit_opened",
        origin=event.origin,
        signing_key=event.key_id,
        refusals=event.refusals,
        probe_in_seconds=round(event.seconds, 3),
        meaning="the push service refuses our token; run `pushkeep doctor`",
    )


def _circuit_closed(event: facts.CircuitClosed) -> None:
    _log.info("circuit_closed", origin=event.origin, signing_key=event.key_id)


def _lease_was_lost(event: facts.LeaseWasLost) -> None:
    _log.warning(
        "lease_lost",
        shard=event.shard_id,
        vendor=event.vendor,
        unwritten=event.unwritten,
        meaning="another worker took over, and may repeat what was not written down",
    )


def _sweep_ended(event: facts.SweepEnded) -> None:
    found = {
        "scope": event.scope,
        "seconds": round(event.seconds, 3),
        "living": event.living,
        "quarantined": event.quarantined,
        "expired": event.expired,
        "purged": event.purged,
        "likely_dead": event.likely_dead,
    }
    if not event.held:
        _log.info("sweep_ended", **found)
        return
    _log.error(
        "sweep_held_back",
        push_services=list(event.held),
        **found,
        meaning="it would have removed unusually many subscriptions of these push services, and removed none there; "
        "look with `pushkeep sweep --dry-run`, and do it with `pushkeep sweep --force` if it is right",
    )


def _signing_key_moved(event: facts.SigningKeyMoved) -> None:
    found: dict[str, object] = {"signing_key": event.key_id}
    if event.event is KeyEvent.LEAKED:
        _log.warning("signing_key_leaked", **found, meaning="its browsers are told to renew with the next message")
    elif event.given_up:
        _log.warning(
            "signing_key_retired",
            **found,
            given_up=event.given_up,
            meaning="these subscriptions get nothing until their browsers visit the site",
        )
    else:
        _log.info(f"signing_key_{event.event.value}", **found)


def _worker_started(event: facts.WorkerStarted) -> None:
    _log.info("worker_started", owner=event.owner, kind=event.kind)


def _worker_stopped(event: facts.WorkerStopped) -> None:
    _log.info("worker_stopped", owner=event.owner, kind=event.kind)


_LINES: Mapping[type, Callable[..., None]] = {
    facts.NotificationFinished: _notification_finished,
    facts.ShardsSetAside: _shards_set_aside,
    facts.LaneRested: _lane_rested,
    facts.CircuitOpened: _circuit_opened,
    facts.CircuitClosed: _circuit_closed,
    facts.LeaseWasLost: _lease_was_lost,
    facts.SweepEnded: _sweep_ended,
    facts.SigningKeyMoved: _signing_key_moved,
    facts.WorkerStarted: _worker_started,
    facts.WorkerStopped: _worker_stopped,
}
