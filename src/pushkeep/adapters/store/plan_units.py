"""Units of work that plan an audience, and that sweep up what nobody works on."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, func, select, text, update

from pushkeep.adapters.store.audience_units import Audience, audience_page
from pushkeep.adapters.store.checkpoint_units import HELD, lease_lost, planned
from pushkeep.adapters.store.ending_units import CUT_OFF, CUT_SHARDS_MAX, cut_idle, ended_cancelled, finish
from pushkeep.adapters.store.membership_units import members_among
from pushkeep.adapters.store.sealing import Vault
from pushkeep.adapters.store.shard_rows import JOB_COLUMNS, insert_shards, job_from
from pushkeep.adapters.store.tables import notifications, projects, shards
from pushkeep.adapters.store.writer import SHARDS_READY
from pushkeep.domain.sending import NotificationState
from pushkeep.domain.shard import TAKEOVERS_MAX, LeaseKey, ShardState
from pushkeep.ports.shards import Planned, Swept

PLAN_PAGE_MEMBERS = 5000
"""Some 15 ms of a core's time for everybody, 20 for a tag, while others wait to write; five full shards where
everybody is at one push service."""

RETRY_PAGE_MEMBERS = 2000
"""Those who failed are looked up one by one, and whether they are on an earlier page: 25 ms; 5,000 would take 50."""

_HELD_PLAN = (
    select(
        *JOB_COLUMNS,
        notifications.c.state,
        notifications.c.target_kind,
        notifications.c.tag_id,
        notifications.c.retry_of,
        notifications.c.high_water,
        notifications.c.plan_cursor,
        notifications.c.accepted_at,
        notifications.c.send_at,
    )
    .select_from(
        shards.join(notifications, notifications.c.id == shards.c.notification_id).join(
            projects, projects.c.id == notifications.c.project_id
        )
    )
    .where(*HELD)
)
_LAST_PAGE = select(func.coalesce(func.max(shards.c.page), 0)).where(
    shards.c.notification_id == bindparam("notification_id")
)
_MOVE_CURSOR = (
    update(notifications)
    .where(notifications.c.id == bindparam("row_id"))
    .values(plan_cursor=bindparam("cursor"), state=bindparam("new_state"))
)
_GO_ON = update(shards).where(*HELD).values(lease_expires_at=bindparam("until"))
_CLOSE = update(shards).where(*HELD).values(state=ShardState.CLOSED.value, lease_owner=None, lease_expires_at=None)
_EXPIRE = text(
    CUT_OFF.format(
        kind="expired",
        which="""
            SELECT s.id FROM notifications AS n INDEXED BY ix_notifications_unfinished
            CROSS JOIN shards AS s INDEXED BY ix_shards_live ON s.notification_id = n.id
            WHERE n.finished_at IS NULL AND n.deadline <= :now AND n.state <> 'cancelled' AND s.state <> 'closed'
                AND (s.state <> 'leased' OR s.lease_expires_at <= :now)
        """,
    )
)
_CANCEL = text(
    CUT_OFF.format(
        kind="cancelled",
        which="""
            SELECT s.id FROM shards AS s INDEXED BY ix_shards_leased
            CROSS JOIN notifications AS n ON n.id = s.notification_id
            WHERE s.state = 'leased' AND s.lease_expires_at <= :now AND n.state = 'cancelled'
        """,
    )
)
_HALF_CANCELLED = text(
    """
    SELECT id FROM notifications INDEXED BY ix_notifications_unfinished
    WHERE finished_at IS NULL AND state = 'cancelled'
    """
)
# No loan is for longer than a loan is: one that seems so was made before the clock was put back, and its worker, if it
# lives, will have renewed it long before this.
_PUT_RIGHT = text("UPDATE shards SET lease_expires_at = :latest WHERE state = 'leased' AND lease_expires_at > :latest")
_SET_ASIDE = text(
    """
    UPDATE shards SET state = 'set_aside', takeovers = takeovers + 1, epoch = epoch + 1,
        lease_owner = NULL, lease_expires_at = NULL
    WHERE state = 'leased' AND lease_expires_at <= :now AND takeovers + 1 >= :takeovers_max
    """
)
_UNFINISHED = text(
    """
    SELECT id FROM notifications INDEXED BY ix_notifications_begun
    WHERE finished_at IS NULL AND send_at <= :now AND state = 'sending' AND NOT EXISTS (
        SELECT 1 FROM shards WHERE shards.notification_id = notifications.id AND shards.state <> 'closed'
    )
    """
)


def plan_page(connection: Connection, vault: Vault, lease: LeaseKey, now: float, lease_seconds: float) -> Planned:
    """See :meth:`pushkeep.ports.shards.ShardStore.plan_page`."""
    held = {"shard_id": lease.shard_id, "held_epoch": lease.epoch}
    plan = connection.execute(_HELD_PLAN, held).one_or_none()
    if plan is None:
        raise lease_lost(lease)
    if plan.state != NotificationState.PLANNING.value or plan.deadline <= now:
        connection.execute(_CLOSE, held)  # cancelled, or nobody who is found now could be told in time
        planned(connection, plan.notification_id)
        cancelled = plan.state == NotificationState.CANCELLED.value
        end = ended_cancelled if cancelled else finish
        return Planned(0, 0, complete=True, ended=end(connection, plan.notification_id, now))
    audience = Audience(
        plan.project_id, plan.target_kind, plan.high_water, plan.tag_id, plan.retry_of, plan.accepted_at
    )
    limit = min(PLAN_PAGE_MEMBERS, RETRY_PAGE_MEMBERS) if plan.target_kind == "retry" else PLAN_PAGE_MEMBERS
    page = audience_page(connection, audience, after=plan.plan_cursor, limit=limit)
    last_page = connection.execute(_LAST_PAGE, {"notification_id": plan.notification_id}).scalar_one()
    there = members_among(connection, plan.notification_id, page.doubtful)
    members = [member for member in page.members if member.subscription_id not in there]
    made = 0
    if members:
        job = job_from(vault, plan)
        made = insert_shards(connection, job, members, page=last_page + 1, not_before=plan.send_at)
        connection.info[SHARDS_READY] = True
    state = NotificationState.SENDING if page.complete else NotificationState.PLANNING
    connection.execute(_MOVE_CURSOR, {"row_id": plan.notification_id, "cursor": page.cursor, "new_state": state.value})
    if page.complete:
        connection.execute(_CLOSE, held)
        return Planned(len(members), made, True, finish(connection, plan.notification_id, now))
    connection.execute(_GO_ON, {**held, "until": now + lease_seconds})
    return Planned(len(members), made, False)


def sweep(connection: Connection, now: float, lease_seconds: float) -> tuple[Swept, bool]:
    """A part of :meth:`pushkeep.ports.shards.ShardStore.sweep`, and whether there may be more to do."""
    connection.execute(_PUT_RIGHT, {"latest": now + lease_seconds})
    bounds = {"now": now, "limit": CUT_SHARDS_MAX}
    expired = connection.execute(_EXPIRE, bounds).all()
    cancelled = connection.execute(_CANCEL, bounds).all()
    for row in expired:
        if row.kind == "plan":
            planned(connection, row.notification_id)
    more = CUT_SHARDS_MAX in (len(expired), len(cancelled))
    set_aside = 0
    if not more:  # what is cut off is not set aside: nobody would look at it any more
        set_aside = connection.execute(_SET_ASIDE, {"now": now, "takeovers_max": TAKEOVERS_MAX}).rowcount
    ended = [
        finish(connection, number, now) for number in connection.execute(_UNFINISHED, {"now": now}).scalars().all()
    ]
    ended += [ended_cancelled(connection, number, now) for number in sorted({row.notification_id for row in cancelled})]
    for number in connection.execute(_HALF_CANCELLED).scalars().all():
        goes_on, end = cut_idle(connection, number, now)
        more = more or goes_on
        ended.append(end)
    return Swept(len(expired), set_aside, tuple(one for one in ended if one is not None)), more
