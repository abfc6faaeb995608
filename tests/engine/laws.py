"""What must hold, checked from outside: against the database after every commit, and the push services' record.

Nothing here asks the engine what it thinks. A law that is broken is noted with its time, and whoever drives the
simulation looks at the notes: raised inside the engine it could be caught there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from pushkeep.domain.shard import Kind
from tests.engine.consent_laws import ConsentLaws
from tests.engine.life_laws import DUST, KNOWLEDGE_SECONDS, WRITTEN_SECONDS, LifeLaws
from tests.engine.ports import Database
from tests.engine.push_services import FCM, Posted
from tests.engine.spy import NotificationRow, ShardRow, Sight, Spy
from tests.engine.virtual_time import EPOCH, Process, VirtualLoop


class Laws:
    """Watches a simulation.

    Args:
        loop, spy, database: what is watched.
        owners: the name of each process in leases.
        rows: the row of each subscription, by the name of its endpoint.

    Attributes:
        broken: a sentence for everything that should not have happened.
        erasing: rows of contacts that somebody has asked to erase.
        consent: the laws about that.
        life: the laws about each subscription.
    """

    def __init__(
        self, loop: VirtualLoop, spy: Spy, database: Database, owners: dict[Process, str], rows: dict[str, int]
    ) -> None:
        self._loop = loop
        self._spy = spy
        self._database = database
        self._owners = owners
        self._rows = rows
        self._forbidden: dict[int, float] = {}  # notifications that are paused or cancelled, since when
        self._rest_known: dict[str, tuple[float, Process | None]] = {}
        self._posted: dict[tuple[int, str], list[Posted]] = defaultdict(list)
        self.erasing: set[int | None] = set()
        self._gone: set[int] = set()
        self._copied_at = -1.0
        self.life = LifeLaws(loop, spy, self._break)
        self.consent = ConsentLaws(loop, spy, self._break)
        self.broken: list[str] = []
        spy.watchers.append(self.commit)

    def adopt(
        self,
        posted: Mapping[tuple[int, str], list[Posted]],
        posted_to: Mapping[int, list[Posted]],
        gone: Iterable[int],
        erased: Mapping[int, float],
        at: float,
    ) -> None:
        """Remember what was known when the database was as it is again now, maybe without the answers just before."""
        self._copied_at = at
        self._posted.update({key: list(known) for key, known in posted.items()})
        self._gone |= set(gone)
        self.life.adopt(posted_to, erased)

    def _break(self, text: str) -> None:
        self.broken.append(f"at {self._loop.time():.3f}: {text}")

    # --- the database ---------------------------------------------------------------------------------------------

    def commit(self, by: Process | None, before: Sight, after: Sight) -> None:
        """Check one commit."""
        now = self._loop.time()
        touched = {row.notification_id for id, row in after.shards.items() if before.shards.get(id) is not row}
        touched |= {id for id, row in after.notifications.items() if before.notifications.get(id) != row}
        for id in sorted(before.shards.keys() - after.shards.keys()):
            self._break(f"shard {id} vanished")
        self._erased(before, after)
        for id, row in after.shards.items():
            known = before.shards.get(id)
            if known is not None and known is not row:
                self._change(by, known, row)
        for id in sorted(touched):
            self._account(after.notifications[id], [row for row in after.shards.values() if row.notification_id == id])
        for id, notification in after.notifications.items():
            if notification.paused_at is not None or notification.state == "cancelled":
                self._forbidden.setdefault(id, now)
            else:
                self._forbidden.pop(id, None)
        self.life.commit(before, after)
        self.consent.commit(before, after)
        for origin, until in after.rests.items():
            if before.rests.get(origin) != until:
                self._rest_known[origin] = (now, by)
                if until < before.rests.get(origin, 0.0):
                    self._break(f"the rest of {origin} was cut short")

    def _erased(self, before: Sight, after: Sight) -> None:
        """Only what was an erased contact's may go, and what led to that while it was nobody's."""
        vanished = sorted(before.subscriptions.keys() - after.subscriptions.keys(), reverse=True)
        gone: set[int | None] = set(self._gone)
        for id in vanished:  # who replaces is the later one
            row = before.subscriptions[id]
            if row.contact_id in self.erasing or (row.contact_id is None and row.superseded_by in gone):
                gone.add(id)
            else:
                self._break(f"subscription {id} vanished, and nobody has asked to erase it")
        self._gone |= set(vanished)

    def _change(self, by: Process | None, before: ShardRow, after: ShardRow) -> None:
        what = f"shard {before.id} of notification {before.notification_id}"
        if before.state == "closed":
            self._break(f"{what} was closed and has changed")
        if after.epoch < before.epoch:
            self._break(f"{what}: its epoch went back")
        if before.done & ~after.done:
            self._break(f"{what}: a bit was taken back")
        if any(after.counts[kind] < before.counts[kind] for kind in Kind):
            self._break(f"{what}: a count went down")
        if after.members[: len(before.members)] != before.members:
            self._break(f"{what}: a member was taken away")
        if len(after.members) != len(before.members) and (before.page != -1 or before.state != "ready"):
            self._break(f"{what}: members were added to what is no waiting follow-up")
        written = (before.done, before.counts) != (after.done, after.counts) or after.state == "closed"
        lent = before.state == "leased" and (before.lease_expires_at or 0.0) > EPOCH + self._loop.time()
        if written and lent and (by is None or self._owners.get(by) != before.lease_owner):
            name = by.name if by else "nobody"
            self._break(f"{what} is lent to {before.lease_owner}, and {name} has written for it")

    def _account(self, notification: NotificationRow, shards: list[ShardRow]) -> None:
        what = f"notification {notification.id}"
        sending = [row for row in shards if row.kind == "send"]
        for row in sending:
            where = f"{what}, shard {row.id}"
            every = row.final + row.counts[Kind.MOVED]
            bits = row.done.bit_count()
            if len(row.members) != row.count:
                self._break(f"{where}: {len(row.members)} members are counted as {row.count}")
            if row.owners and len(row.owners) != len(row.members):
                self._break(f"{where}: owners and members differ in number")
            if row.live and not bits == every == row.settled:
                self._break(f"{where}: {bits} bits, {every} counted, {row.settled} settled")
            if not row.live and not row.count == every == row.settled:
                self._break(f"{where} is closed with {row.count} members, {every} counted, {row.settled} settled")
            if not row.live and len(row.undone()) > row.counts[Kind.EXPIRED] + row.counts[Kind.CANCELLED]:
                self._break(f"{where} is closed with bits that nothing cut off")
        planned = [row for row in sending if row.page >= 0]
        following = [row for row in sending if row.page < 0]
        if sum(row.counts[Kind.MOVED] for row in sending) != sum(row.count for row in following):
            self._break(f"{what}: who was moved and who is in follow-ups differ in number")
        targeted = sum(row.count for row in planned)
        undone = sum(row.count - row.done.bit_count() for row in sending if row.live)
        final = sum(row.final for row in sending)
        if targeted != final + undone:
            self._break(f"{what}: {targeted} targeted, {final} final, {undone} undone")
        self._everybody_once(what, planned, following)
        live = [row for row in shards if row.live]
        if notification.state == "done" and live:
            self._break(f"{what} is done with {len(live)} live shards")
        if (notification.finished_at is not None) != (notification.state in ("done", "cancelled")):
            self._break(f"{what} is {notification.state} and finished at {notification.finished_at}")

    def _everybody_once(self, what: str, planned: list[ShardRow], following: list[ShardRow]) -> None:
        first = Counter(member for row in planned for member in row.members)
        if any(count > 1 for count in first.values()):
            self._break(f"{what}: a recipient was planned twice")
        again = Counter(member for row in following for member in row.members)
        if again.keys() - first.keys():
            self._break(f"{what}: a follow-up has a recipient that was never planned")
        waiting = Counter(member for row in (*planned, *following) for member in row.undone())
        for member, count in waiting.items():
            if count > 1:
                self._break(f"{what}: recipient {member} waits in {count} shards")

    # --- the push services ----------------------------------------------------------------------------------------

    def posted(self, posted: Posted) -> None:
        """Check one request, at the moment in which it starts."""
        sight, now = self._spy.sight, self._loop.time()
        notification = next((n for n in sight.notifications.values() if n.public_id == posted.notification_id), None)
        row = self._rows.get(posted.name)
        who = f"{posted.process.name} posts notification {notification.id if notification else '?'} to {posted.name}"
        if notification is None or row is None:
            self._break(f"{who}: nobody knows of that")
            return
        self._time(who, posted, notification, EPOCH + now)
        self._permission(who, notification, now)
        self.life.posted(who, posted, row)
        self.consent.posted(who, posted, notification, row)
        rest_known_at, rest_known_by = self._rest_known.get(posted.origin, (now, None))
        if sight.rests.get(posted.origin, 0.0) > EPOCH + now + DUST and (
            rest_known_by is posted.process or now > rest_known_at + KNOWLEDGE_SECONDS
        ):
            self._break(f"{who}: the push service rests")
        self._lease(who, posted, notification, row, EPOCH + now)
        self._repeat(who, posted, notification)
        self._posted[notification.id, posted.name].append(posted)

    def _time(self, who: str, posted: Posted, notification: NotificationRow, now: float) -> None:
        if now < notification.send_at:
            self._break(f"{who} before its time")
        if now > notification.deadline + DUST:
            self._break(f"{who} {now - notification.deadline:.3f} s past its deadline")
        if posted.ttl > max(notification.ttl, 1):  # Apple and others take no 0
            self._break(f"{who} with TTL {posted.ttl}, and {notification.ttl} was asked for")
        if posted.ttl > 1 and now + posted.ttl > notification.deadline + DUST:
            self._break(f"{who} with TTL {posted.ttl}, {notification.deadline - now:.1f} s before the deadline")

    def _permission(self, who: str, notification: NotificationRow, now: float) -> None:
        since = self._forbidden.get(notification.id)
        if since is not None and now > since + KNOWLEDGE_SECONDS + DUST:
            self._break(f"{who}, which is paused or cancelled for {now - since:.3f} s")

    def _lease(self, who: str, posted: Posted, notification: NotificationRow, row: int, now: float) -> None:
        """It must be somebody's turn, in a shard that is lent to who posts."""
        sight = self._spy.sight
        mine = self._owners.get(posted.process)
        for shard in sight.shards.values():
            if shard.notification_id != notification.id or shard.state != "leased" or shard.lease_owner != mine:
                continue
            for position, member in enumerate(shard.members):
                if shard.done >> position & 1 or row not in self._chain(member):
                    continue
                if (shard.lease_expires_at or 0.0) <= now:
                    self._break(f"{who} after its lease of shard {shard.id} has run out")
                if now < shard.not_before - DUST:
                    self._break(f"{who} {shard.not_before - now:.3f} s before shard {shard.id} is due")
                if shard.origin != posted.origin:
                    self._break(f"{who} at {posted.origin} in a shard for {shard.origin}")
                self._owner(who, shard, position, row, now - EPOCH)
                return
        self._break(f"{who}, which is not lent to it")

    def _owner(self, who: str, shard: ShardRow, position: int, row: int, now: float) -> None:
        wanted = shard.owners[position] if shard.owners else 0
        standing = self._spy.sight.subscriptions.get(row)
        found = standing.contact_id if standing else None
        if wanted and standing and found != wanted and now > self.life.owner_changed(row) + KNOWLEDGE_SECONDS + DUST:
            self._break(f"{who}, which is another contact's by now")

    def _chain(self, member: int) -> Iterable[int]:
        """A subscription and those that replaced it."""
        subscriptions = self._spy.sight.subscriptions
        id: int | None = member
        while id is not None:
            yield id
            id = subscriptions[id].superseded_by if id in subscriptions else None

    def _repeat(self, who: str, posted: Posted, notification: NotificationRow) -> None:
        before = self._posted[notification.id, posted.name]
        if not before:
            return
        last = before[-1]
        written_at = (last.heard_at if last.heard_at is not None else posted.at) + WRITTEN_SECONDS
        until = min(written_at, posted.at)
        if last.at <= self._copied_at < written_at:
            return
        if last.process.disturbed_between(last.at, until) or self._database.out_between(last.at, until):
            return
        if last.heard_at is None:
            self._break(f"{who} again while the answer is still awaited")
        elif last.kind == "mismatch" and last.key == posted.key:
            self._break(f"{who} again with the key that was refused")
        elif last.kind in ("accept", "doubt") or (last.kind == "gone" and last.origin != FCM):  # FCM is asked thrice
            self._break(f"{who} again {posted.at - last.at:.3f} s after it was answered ({last.kind})")
        elif last.retry_after is not None and posted.at < last.heard_at + last.retry_after - DUST:
            self._break(f"{who} again {last.heard_at + last.retry_after - posted.at:.3f} s too early")

    # --- the end --------------------------------------------------------------------------------------------------

    def at_end(self) -> None:
        """When everything had time to end: everybody has exactly one final state, and the record agrees."""
        self._spy.look(None)
        sight = self._spy.sight
        took = {
            (id, self._rows[name])
            for (id, name), attempts in self._posted.items()
            if any(posted.took for posted in attempts)
        }
        for id, notification in sight.notifications.items():
            shards = [row for row in sight.shards.values() if row.notification_id == id]
            if notification.state not in ("done", "cancelled"):
                self._break(f"notification {id} is still {notification.state}")
            left = sum(row.count - row.done.bit_count() for row in shards if row.live)
            if left or any(row.live for row in shards):
                self._break(f"notification {id} has {left} recipients without a final state")
            self._outcomes(notification, [row for row in shards if row.kind == "send"], took)
        self.life.at_end()
        self.consent.sealed_with_known_keys()

    def _outcomes(self, notification: NotificationRow, shards: list[ShardRow], took: set[tuple[int, int]]) -> None:
        id, what = notification.id, f"notification {notification.id}"
        kept = dict(
            self._spy.rows("SELECT subscription_id, kind FROM recipient_outcomes WHERE notification_id = ?", id)
        )
        planned = [member for row in shards if row.page >= 0 for member in row.members]
        cut = [member for row in shards for member in row.undone()]
        erased = set(planned) - self._spy.sight.subscriptions.keys()
        if erased & kept.keys():
            self._break(f"{what}: outcomes are kept of recipients that were erased")
        total: Counter[Kind] = Counter()
        for row in shards:
            total.update(row.counts)
        told = Counter(kept.values())
        if sorted(kept.keys() & set(cut)):
            self._break(f"{what}: outcomes are kept of recipients that were cut off")
        for kind in Kind:
            if kind in (Kind.EXPIRED, Kind.CANCELLED, Kind.MOVED) or (
                kind is Kind.ACCEPTED and not notification.keeps_outcomes
            ):
                continue
            lost = total[kind] - told[kind.value]
            if lost < 0 or (lost and not erased):
                self._break(f"{what}: {total[kind]} counted as {kind}, {told[kind.value]} outcomes kept")
        if notification.keeps_outcomes and (set(kept) | set(cut)) - erased != set(planned) - erased:
            self._break(f"{what}: not everybody has an outcome")
        for member, kind in kept.items():
            if kind == Kind.ACCEPTED and not any((id, row) in took for row in self._chain(member)):
                self._break(f"{what}: recipient {member} is accepted, and no push service took the message")
