"""``pushkeep notify``: one notification to whoever it is for, delivered by the server's workers."""

from __future__ import annotations

import json as json_module
from typing import TYPE_CHECKING, Annotated

import typer

from pushkeep.cli.common import (
    AsJson,
    DataDir,
    Exit,
    IdempotencyKey,
    example,
    load,
    print_report,
    read_payload,
    run,
    stop,
)
from pushkeep.cli.message import (
    Actions,
    AppBadge,
    Body,
    Message,
    Payload,
    Title,
    Topic,
    Ttl,
    UrgencyWord,
    Url,
    read_actions,
)
from pushkeep.errors import InvalidInput
from pushkeep.protocol.request import TTL_SECONDS_DEFAULT, PushOptions

if TYPE_CHECKING:
    from pushkeep.app.accept import Asked
    from pushkeep.config import Settings
    from pushkeep.domain.notification import Target

_EXAMPLE = example(
    "pushkeep notify --all --title 'We have moved' --url /news/7 --priority bulk --wait",
    "pushkeep notify --contact user-17 --contact user-18 --title 'Your parcel has arrived' --priority transactional",
    "pushkeep notify --tag news --title 'Good morning' --send-at 2030-01-31T07:00:00+01:00 --dry-run",
)

Everybody = Annotated[bool, typer.Option("--all", help="For everybody with an active subscription.")]
Tag = Annotated[str | None, typer.Option("--tag", help="For the contacts with this tag.")]
Contacts = Annotated[
    list[str] | None,
    typer.Option("--contact", metavar="ID", help="For a contact by your own id; may be repeated.", show_default=False),
]
Subscribers = Annotated[
    list[str] | None,
    typer.Option("--subscriber", metavar="ID", help="For a subscription; may be repeated.", show_default=False),
]
SendAt = Annotated[str | None, typer.Option("--send-at", metavar="TIME", help="RFC 3339 with an offset; default: now.")]
Deadline = Annotated[
    str | None,
    typer.Option(
        "--deadline",
        metavar="TIME",
        help="Nothing is tried after it. [default: what --ttl says, a minute at least]",
        show_default=False,
    ),
]
PriorityWord = Annotated[str, typer.Option("--priority", help="transactional, normal or bulk.")]
Data = Annotated[str | None, typer.Option("--data", metavar="JSON", help="For your site's code.")]
Replaces = Annotated[
    str | None, typer.Option("--replaces", metavar="TAG", help="A shown notification of the same tag is replaced.")
]

Purpose = Annotated[
    str | None, typer.Option("--purpose", metavar="NAME", help="What it is for: only for who has agreed to that.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLE)(notify)


def notify(
    everybody: Everybody = False,
    tag: Tag = None,
    contact: Contacts = None,
    subscriber: Subscribers = None,
    title: Title = None,
    body: Body = None,
    url: Url = None,
    icon: Annotated[str | None, typer.Option("--icon", help="URL of a picture.")] = None,
    image: Annotated[str | None, typer.Option("--image", help="URL of a large picture.")] = None,
    action: Actions = None,
    app_badge: AppBadge = None,
    data: Data = None,
    replaces: Replaces = None,
    silent: Annotated[bool, typer.Option("--silent", help="Without sound or vibration.")] = False,
    receipts: Annotated[bool, typer.Option(help="Whether browsers report what they did with it.")] = True,
    compress: Annotated[bool, typer.Option("--compress", help="For browsers that can read that.")] = False,
    payload: Payload = None,
    ttl: Ttl = TTL_SECONDS_DEFAULT,
    urgency: UrgencyWord = None,
    topic: Topic = None,
    send_at: SendAt = None,
    deadline: Deadline = None,
    priority: PriorityWord = "normal",
    purpose: Purpose = None,
    idempotency_key: IdempotencyKey = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say whom it would reach.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended, and show how far it is.")] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Accept a notification and leave it to the server's workers, which deliver it at once or when its time comes.

    Accepted is stored: it is sent whatever dies. With --wait the exit status is 0 if everybody was reached, 3 gone,
    4 key or token refused, 5 throttled, expired or a passing fault, 6 anything else or several of these.
    """
    from pushkeep.app.accept import Asked

    fields: dict[str, object] = {
        "title": title,
        "body": body,
        "url": url,
        "icon": icon,
        "image": image,
        "actions": read_actions(action),
        "app_badge": app_badge,
        "data": _data(data),
        "tag": replaces,
        "silent": silent or None,
        "receipts": None if receipts else False,
        "compress": compress or None,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    message = Message(read_payload(payload), given, PushOptions.of(ttl=ttl, urgency=urgency, topic=topic))
    message.check()
    asked = Asked.of(
        _target(everybody, tag, contact, subscriber),
        message.content(),
        message.options,
        priority=priority,
        send_at=send_at,
        deadline=deadline,
        idempotency_key=idempotency_key,
        purpose=purpose,
    )
    settings = load(data_dir)
    stop(run(_preview(settings, asked, json) if dry_run else _accept(settings, asked, wait=wait, json=json)))


def _target(everybody: bool, tag: str | None, contacts: list[str] | None, subscribers: list[str] | None) -> Target:
    from pushkeep.domain.notification import Target

    if [everybody, tag is not None, bool(contacts), bool(subscribers)].count(True) != 1:
        raise InvalidInput(
            "Say whom it is for with exactly one of --all, --tag, --contact and --subscriber; the last two may be "
            "repeated.",
            field="to",
        )
    if tag is not None:
        return Target.to_tag(tag)
    if contacts:
        return Target.to_contacts(contacts)
    return Target.to_subscriptions(subscribers) if subscribers else Target.everyone()


def _data(text: str | None) -> object:
    if text is None:
        return None
    try:
        value: object = json_module.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput("--data must be JSON.", field="data") from None
    return value


async def _preview(settings: Settings, asked: Asked, json: bool) -> Exit:
    from pushkeep.app.accept import preview
    from pushkeep.app.health import audience_health
    from pushkeep.cli.notification_view import print_audience, print_audience_health
    from pushkeep.cli.opened import accept_rules, opened_project
    from pushkeep.web.notification_reports import dry_run_report

    async with opened_project(settings) as (services, project):
        count = await preview(services, project, asked, rules=accept_rules(settings))
        health = await audience_health(services, project, asked.target)
    if json:
        print_report(dry_run_report(count, health))
    else:
        print_audience(count)
        print_audience_health(health)
    return Exit.DONE


async def _accept(settings: Settings, asked: Asked, *, wait: bool, json: bool) -> Exit:
    from pushkeep.app.accept import accept
    from pushkeep.cli.notification_view import tell
    from pushkeep.cli.opened import accept_rules, opened_project

    async with opened_project(settings) as (services, project):
        accepted = await accept(services, project, asked, worker=None, rules=accept_rules(settings))
        return await tell(services, project, accepted, wait=wait, json=json)
