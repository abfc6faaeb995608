"""What must hold of each subscription's life, whatever the engine does: seen after each commit and at each message."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

from pushkeep.domain.shard import CHECKPOINT_SECONDS
from pushkeep.domain.subscription import TRANSITIONS
from tests.engine.ports import STORE_SECONDS
from tests.engine.push_services import Posted
from tests.engine.spy import Sight, Spy, SubscriptionRow
from tests.engine.virtual_time import EPOCH, VirtualLoop

KNOWLEDGE_SECONDS = CHECKPOINT_SECONDS
"""No attempt starts more than this after the commit that forbids it."""

WRITTEN_SECONDS = CHECKPOINT_SECONDS + 20 * STORE_SECONDS[1] + 0.5
"""An answer that came is on disk so soon after, unless its process or the database was disturbed."""

DUST = 1e-6
DAY_SECONDS = 86_400.0

DOUBTS = frozenset({"doubt", "gone", "refuse_token"})
"""Answers by which a push service may doubt a subscription; ``gone`` in a storm, a token if others' are taken."""

PROBES_DAYS = (3, 7)
"""From the first failed probe to the second, and on to the third."""

PROBES_LATE_SECONDS = 60.0
"""A probe's answer is counted from when it was heard, and written down so much later at most."""

_SENT_TO = frozenset({"active", "failing"})
_LIVING = frozenset({"active", "failing", "quarantined", "needs_renewal"})
_SIGNING = frozenset({"active", "retiring"})
_MOVES = frozenset((before.value, after.value) for (before, _), after in TRANSITIONS.items())


class LifeLaws:
    """Watches subscriptions.

    Args:
        loop, spy: what is watched.
        broken: called with a sentence for everything that should not have happened.
    """

    def __init__(self, loop: VirtualLoop, spy: Spy, broken: Callable[[str], None]) -> None:
        self._loop = loop
        self._spy = spy
        self._break = broken
        self._left: dict[int, float] = {}  # subscriptions that are not to be sent to, since when
        self._moved: dict[int, float] = {}  # subscriptions whose owner changed, since when the last time
        self._erased: dict[int, float] = {}  # subscriptions whose rows are gone, since when
        self._disused: dict[bytes, float] = {}  # signing keys that do not sign, since when
        self._posted: dict[int, list[Posted]] = defaultdict(list)  # by the row of the endpoint

    def adopt(self, posted: Mapping[int, list[Posted]], erased: Mapping[int, float]) -> None:
        """Remember what was known at an earlier moment."""
        self._posted.update({row: list(known) for row, known in posted.items()})
        self._erased.update(erased)

    def owner_changed(self, row: int) -> float:
        """When a subscription last changed hands; 0 if never."""
        return self._moved.get(row, 0.0)

    def commit(self, before: Sight, after: Sight) -> None:
        """Check one commit."""
        now = self._loop.time()
        for id in before.subscriptions.keys() - after.subscriptions.keys():
            self._erased.setdefault(id, now)
        for id, row in after.subscriptions.items():
            known = before.subscriptions.get(id)
            if known == row:
                continue
            if row.state in _SENT_TO:
                self._left.pop(id, None)
            elif known is None or (known.state, known.probe_at) != (row.state, row.probe_at):
                self._left[id] = now
            if known is not None and known.contact_id != row.contact_id:
                self._moved[id] = now
            self._standing(row)
            if known is not None:
                self._move(known, row, after)
        for public, (_, state) in after.keys.items():
            if state in _SIGNING:
                self._disused.pop(public, None)
            else:
                self._disused.setdefault(public, now)

    def posted(self, who: str, posted: Posted, row: int) -> None:
        """Check one request, at the moment in which it starts."""
        now, sight = self._loop.time(), self._spy.sight
        found = sight.subscriptions.get(row)
        if found is None:
            if now > self._erased[row] + KNOWLEDGE_SECONDS + DUST:
                self._break(f"{who}, who was erased {now - self._erased[row]:.3f} s ago")
            return
        since = self._left.get(row)
        probed = found.state == "quarantined" and found.probe_at is not None and found.probe_at <= EPOCH + now + DUST
        if since is not None and not probed and now > since + KNOWLEDGE_SECONDS + DUST:
            self._break(f"{who}, who has left for {now - since:.3f} s and is {found.state}")
        since = self._disused.get(posted.key)
        if posted.key not in sight.keys or (since is not None and now > since + KNOWLEDGE_SECONDS + DUST):
            self._break(f"{who} with a signing key that is not in use")
        self._posted[row].append(posted)

    def at_end(self) -> None:
        """The log of each life leads without a gap from its registration to where it stands, and its counts agree."""
        lives: dict[int, list[tuple[str | None, str]]] = defaultdict(list)
        for id, before, after in self._spy.rows(
            "SELECT subscription_id, state_before, state FROM lifecycle ORDER BY id"
        ):
            lives[id].append((before, after))
        for id, row in self._spy.sight.subscriptions.items():
            life = lives[id]
            if not life or life[0][0] is not None or life[-1][1] != row.state:
                self._break(f"subscription {id} is {row.state}, and its log says {life}")
            for (_, earlier), (later, _) in itertools.pairwise(life):
                if earlier != later:
                    self._break(f"subscription {id} was {earlier}, then {later}, and the log does not say why")
        ((counted,),) = self._spy.rows("SELECT coalesce(sum(count), 0) FROM lifecycle_days")
        if lives.keys() & self._erased.keys():
            self._break("the log says something of subscriptions that were erased")
        if counted != sum(map(len, lives.values())) and not self._erased:
            self._break(f"{counted} moves are counted, and {sum(map(len, lives.values()))} are logged")

    def _standing(self, row: SubscriptionRow) -> None:
        what = f"subscription {row.id}, {row.state},"
        if (row.ended_at is None) != (row.state in _LIVING):
            self._break(f"{what} ended at {row.ended_at}")
        if (row.state_reason is None) != (row.state == "active"):
            self._break(f"{what} has the reason {row.state_reason}")
        if row.probe_at is not None and row.state != "quarantined":
            self._break(f"{what} is probed at {row.probe_at}")
        if row.probes and row.state in _SENT_TO:
            self._break(f"{what} is sent to, and has {row.probes} failed probes")

    def _move(self, before: SubscriptionRow, after: SubscriptionRow, sight: Sight) -> None:
        """A row has changed: by a move there is, and for what a push service has really said."""
        what = f"subscription {after.id}"
        if after.probes > before.probes:
            self._probed(what, before, after)
        if before.state == after.state:
            return
        if (before.state, after.state) not in _MOVES:
            self._break(f"{what} went from {before.state} to {after.state}")
        heard = [(posted.kind, posted.heard_at) for posted in self._posted[after.id] if posted.heard_at is not None]
        said = Counter(kind for kind, _ in heard)
        days = {int((EPOCH + at) // DAY_SECONDS) for kind, at in heard if kind in DOUBTS}
        if after.state == "gone":
            last = before.state == "quarantined" and before.probes == len(PROBES_DAYS) and len(days) >= 6
            if not said["gone"] and not last:
                self._break(f"{what} is gone, and its push service said {dict(said)} on {len(days)} days")
        elif after.state == "quarantined" and len(days) < 3:
            self._break(f"{what} is quarantined, and was doubted on {len(days)} days")
        elif after.state == "needs_renewal" and not said["mismatch"]:
            retired = {id for id, state in sight.keys.values() if state == "retired"}
            if after.signing_key_id not in retired:
                self._break(f"{what} needs renewal, and its push service said {dict(said)}")

    def _probed(self, what: str, before: SubscriptionRow, after: SubscriptionRow) -> None:
        now = EPOCH + self._loop.time()
        if after.probes != before.probes + 1 or after.probes > len(PROBES_DAYS):
            self._break(f"{what} had {before.probes} failed probes, and has {after.probes}")
            return
        if before.probe_at is None or before.probe_at > now:
            self._break(f"{what} was probed before its time")
        least = now + PROBES_DAYS[after.probes - 1] * DAY_SECONDS - PROBES_LATE_SECONDS
        if after.probe_at is None or after.probe_at < least:
            self._break(f"{what} is probed again {(after.probe_at or now) - now:.0f} s later")
