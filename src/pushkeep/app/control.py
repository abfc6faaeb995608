"""What an operator can do to a notification on its way: hold it, let it go on, stop it, repeat it for who missed it."""

from __future__ import annotations

from pushkeep.app.accept import DEFAULT_RULES, AcceptRules, Asked, Taker, compile_asked, kept_content, store_new
from pushkeep.app.context import Services
from pushkeep.app.progress import Progress, find_record, no_such_notification, notification_id_of, progress
from pushkeep.domain.event import NotificationFinished
from pushkeep.domain.idempotency import check_idempotency_key
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.sending import NotificationState
from pushkeep.errors import Conflict
from pushkeep.ports.notifications import Accepted, Command


async def pause(services: Services, project: Project, public_id: str) -> Progress:
    """Start nothing more for it, within one checkpoint, until it is resumed. Its deadline comes all the same.

    Raises:
        InvalidInput: no id of a notification.
        NotFound: the project has no such notification.
        Conflict: it has ended.
    """
    return await _control(services, project, public_id, Command.PAUSE)


async def resume(services: Services, project: Project, public_id: str) -> Progress:
    """Go on with it after a pause, and with what was set aside.

    Raises:
        InvalidInput, NotFound, Conflict: as for :func:`pause`.
    """
    return await _control(services, project, public_id, Command.RESUME)


async def cancel(services: Services, project: Project, public_id: str) -> Progress:
    """Start nothing more for it, within one checkpoint, ever; what is under way is finished and counted.

    Raises:
        InvalidInput, NotFound, Conflict: as for :func:`pause`.
    """
    return await _control(services, project, public_id, Command.CANCEL)


async def retry_failed(
    services: Services,
    project: Project,
    public_id: str,
    *,
    worker: Taker | None,
    rules: AcceptRules = DEFAULT_RULES,
    idempotency_key: object = None,
) -> Accepted:
    """Tell those whom it did not reach, but might yet, once more: with a new notification that says the same.

    It is compiled anew, with an id of its own; on screen it replaces the first one, whose tag it has.

    Args:
        services: the ports.
        project: whose subscriptions.
        public_id: of the notification that has ended.
        worker: of this process; None leaves everything to others.
        rules: what the operator allows.
        idempotency_key: 1 to 255 visible ASCII characters, by which the caller knows this request again.

    Returns:
        what was stored, or what had been stored for the same key and notification before.

    Raises:
        InvalidInput: no id of a notification, or no such key.
        NotFound: the project has no such notification.
        Conflict: it has not ended, there is nobody to be told again, that is being done already, or the key was used
            for another request.
        Unavailable: too much waits already.
    """
    key = None if idempotency_key is None else check_idempotency_key(idempotency_key)
    record = await find_record(services, project, public_id)
    if record.state not in (NotificationState.DONE, NotificationState.CANCELLED):
        raise Conflict(
            "The notification is still on its way, and failures are tried again by themselves until its deadline; "
            "wait until it has ended, or cancel it first.",
            field="id",
        )
    kept = await services.store.content_of(project, record.public_id)
    if kept is None:
        raise Conflict("What the notification said has been erased; send a new one.", field="id")
    asked = Asked(
        Target.to_failed(),
        kept_content(kept, tag=record.public_id),
        record.options,
        priority=record.priority,
        idempotency_key=key,
        purpose=record.purpose,
    )
    now = services.clock.now()
    new = compile_asked(services, project, asked, now, rules, retry_of=record.public_id)
    return await store_new(services, project, new, worker, rules)


async def _control(services: Services, project: Project, public_id: str, command: Command) -> Progress:
    wanted = notification_id_of(public_id)
    controlled = await services.store.control(project, wanted, command)
    if controlled is None:
        raise no_such_notification(wanted)
    after = await progress(services, project, wanted)
    if controlled.ended:  # else the last of its workers announces it
        record = controlled.record
        seconds = max(0.0, services.clock.now() - record.send_at)
        services.announcer.announce(NotificationFinished(record.public_id, record.state, seconds, after.account.counts))
    return after
