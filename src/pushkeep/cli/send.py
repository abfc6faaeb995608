"""``pushkeep send``: one message to one subscription, stored or in a file, or to many in a file."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pushkeep.cli.common import (
    EXIT_BY_VERDICT,
    AsJson,
    DataDir,
    Exit,
    MapOrigin,
    complain,
    complain_of,
    example,
    load,
    print_json,
    print_report,
    read_file,
    read_payload,
    run,
    say,
    stop,
)
from pushkeep.domain.origin_map import OriginMap
from pushkeep.domain.retry import RetryPolicy
from pushkeep.errors import InvalidInput
from pushkeep.protocol.outcome import Outcome
from pushkeep.protocol.request import TTL_SECONDS_DEFAULT, PushOptions, Urgency
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.subscription import Subscription

if TYPE_CHECKING:
    from pushkeep.app.notify import RecipientResult
    from pushkeep.client import PushClient
    from pushkeep.config import Settings
    from pushkeep.domain.notification import Content

_EXAMPLE = example(
    "pushkeep send HMV192av --title Hello --body 'Your parcel has arrived' --url /parcels/7",
    "pushkeep send HMV192av --title 'Anna has written' --action answer=Answer=/inbox/7/answer --app-badge 3",
    "pushkeep send --subscription subscription.json --key vapid.pem --contact mailto:you@your-domain.org --payload hi",
    "pushkeep send --recipients all.jsonl --key vapid.pem --contact mailto:you@your-domain.org --payload hi --json",
)


SubscriptionFile = Annotated[
    Path | None,
    typer.Option("--subscription", metavar="FILE", help="Instead: a file with the browser's subscription JSON."),
]
RecipientsFile = Annotated[
    Path | None,
    typer.Option("--recipients", metavar="FILE", help="Or: a file of JSON Lines (see above), or - for stdin."),
]
Actions = Annotated[
    list[str] | None,
    typer.Option(
        "--action",
        metavar="NAME=TITLE[=URL]",
        help="A button and what it opens, by default what a click opens; may be repeated: browsers show two.",
        show_default=False,
    ),
]
AppBadge = Annotated[
    int | None,
    typer.Option("--app-badge", metavar="N", help="The number at the installed site's icon; 0 takes it away."),
]


@dataclass(frozen=True, slots=True)
class Message:
    """What the options ask to send.

    Attributes:
        payload: sent as it is.
        fields: or those of a notification, as :meth:`Content.of` takes them; only what was given.
        options: how it is delivered.
    """

    payload: bytes | None
    fields: Mapping[str, object]
    options: PushOptions

    def check(self) -> None:
        """Refuse options that contradict each other."""
        if self.fields and "title" not in self.fields:
            raise InvalidInput(
                "--body, --url, --action and --app-badge need a --title: a notification without one is not shown.",
                field="title",
            )
        if self.fields and self.payload is not None:
            raise InvalidInput(
                "Give either --payload (sent as it is) or --title with --body, --url, --action and --app-badge.",
                field="payload",
            )

    def content(self) -> Content | bytes | None:
        """The notification, or the raw payload."""
        if not self.fields:
            return self.payload
        from pushkeep.domain.notification import Content

        return Content.of(**self.fields)

    def plain_payload(self) -> bytes | None:
        """What is sent without a server: the raw payload, or the fields as plain JSON, which our worker shows too."""
        if not self.fields:
            return self.payload
        self.content()  # the same limits as with a server
        return json_module.dumps(self.fields, ensure_ascii=False).encode()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLE)(send)


def send(
    subscriber: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A stored subscription's short or long id.", show_default=False)
    ] = None,
    subscription: SubscriptionFile = None,
    recipients: RecipientsFile = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="VAPID private key, in any form; for a stored id, the server's."),
    ] = None,
    contact: Annotated[str | None, typer.Option("--contact", help="mailto: or https: contact for the token.")] = None,
    payload: Annotated[
        str | None, typer.Option("--payload", help="Sent as it is: text, @FILE, or - for stdin.")
    ] = None,
    title: Annotated[str | None, typer.Option("--title", help="Title of the notification.")] = None,
    body: Annotated[str | None, typer.Option("--body", help="Its text.")] = None,
    url: Annotated[str | None, typer.Option("--url", help="What a click opens.")] = None,
    action: Actions = None,
    app_badge: AppBadge = None,
    ttl: Annotated[
        int, typer.Option("--ttl", help="Seconds to keep it for a browser that is away.")
    ] = TTL_SECONDS_DEFAULT,
    urgency: Annotated[str | None, typer.Option("--urgency", help=", ".join(Urgency))] = None,
    topic: Annotated[str | None, typer.Option("--topic", help="Replaces an undelivered message of this topic.")] = None,
    attempts: Annotated[
        int, typer.Option("--attempts", help="Try so often while it is throttled or fails in passing.")
    ] = 1,
    map_origin: MapOrigin = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Send one message, or one to each of many recipients, and say what the push services answered.

    Each line of a --recipients file is a browser's subscription JSON, or an object with a "subscription" and any of
    "payload", "ttl", "urgency", "topic" and "reference" in place of the options. A bad line is reported by its number
    and stops nobody.

    Exit status: 0 accepted, 2 usage or a bad line, 3 gone, 4 key or token refused, 5 throttled or a passing fault,
    6 anything else that was not accepted, or failures of several kinds.
    """
    options = PushOptions.of(ttl=ttl, urgency=urgency, topic=topic)
    fields = {"title": title, "body": body, "url": url, "actions": _actions(action), "app_badge": app_badge}
    message = _message(payload, recipients, fields, options)
    if [subscriber, subscription, recipients].count(None) != 2:
        raise InvalidInput(
            "Name one recipient, a stored id or --subscription FILE, or many with --recipients FILE.",
            field="subscription",
        )
    signing_key = SigningKey.read(read_file(key, field="key")) if key else None
    retry = RetryPolicy(attempts_max=attempts)
    if subscriber is not None:
        if contact is not None or attempts != 1:
            raise InvalidInput(
                "A stored subscription is sent to with the server's own contact, and as often as the server does.",
                field="contact" if contact is not None else "attempts",
            )
        _send_to_stored(subscriber, signing_key, message, map_origin, data_dir, json)
        return
    if signing_key is None or contact is None:
        option = "--recipients" if subscription is None else "--subscription"
        raise InvalidInput(f"{option} needs --key and --contact.", field="key" if contact else "contact")
    origins = OriginMap.parse(map_origin) if map_origin else None
    open_client = partial(_client, key=signing_key, contact=contact, origin_map=origins, retry=retry)
    if subscription is not None:
        _send_to_file(subscription, message, open_client, json)
    elif recipients is not None:
        _send_to_recipients(recipients, message, open_client, json)


def _message(
    payload: str | None, recipients: Path | None, fields: Mapping[str, object], options: PushOptions
) -> Message:
    if payload == "-" and recipients == Path("-"):
        raise InvalidInput("Only one of --payload and --recipients can be read from standard input.", field="payload")
    given = {name: value for name, value in fields.items() if value is not None}
    message = Message(read_payload(payload), given, options)
    message.check()
    return message


def _actions(given: list[str] | None) -> list[dict[str, str]] | None:
    """``NAME=TITLE[=URL]``, each; only the URL may have further ``=``."""
    if not given:
        return None
    found = []
    for text in given:
        parts = text.split("=", 2)
        if len(parts) == 1:
            raise InvalidInput("--action must be NAME=TITLE or NAME=TITLE=URL.", field="actions")
        found.append(dict(zip(("action", "title", "url"), parts, strict=False)))
    return found


def _client(*, key: SigningKey, contact: str, origin_map: OriginMap | None, retry: RetryPolicy) -> PushClient:
    from pushkeep.client import PushClient

    return PushClient(key=key, contact=contact, origin_map=origin_map, retry=retry)


def _send_to_file(file: Path, message: Message, open_client: Callable[[], PushClient], json: bool) -> None:
    subscription = Subscription.from_json(read_file(file, field="subscription"))
    options = message.options

    async def post() -> Outcome:
        async with open_client() as client:
            return await client.send(
                subscription,
                message.plain_payload(),
                ttl=options.ttl,
                urgency=options.urgency,
                topic=options.topic,
            )

    outcome = run(post())
    if json:
        print_json({"recipient": subscription.endpoint.label, **outcome.to_dict()})
    else:
        _report(subscription.endpoint.label, outcome)
    stop(EXIT_BY_VERDICT[outcome.verdict])


def _send_to_recipients(file: Path, message: Message, open_client: Callable[[], PushClient], json: bool) -> None:
    from pushkeep.cli.recipients import Tally, opened, send_to_all

    async def post() -> Tally:
        with opened(file, message.plain_payload(), message.options) as recipients:
            async with open_client() as client:
                return await send_to_all(client, recipients, as_json=json)

    stop(run(post()).status)


def _report(name: str, outcome: Outcome) -> None:
    if outcome.accepted:
        say(f"Accepted for {name} in {outcome.duration_ms:.0f} ms.", "green")
    else:
        complain_of(f"Failed to send to {name}", outcome)


def _send_to_stored(
    any_id: str,
    key: SigningKey | None,
    message: Message,
    map_origin: list[str] | None,
    data_dir: Path | None,
    json: bool,
) -> None:
    settings = load(data_dir, origin_map=map_origin or None)
    result, ended = run(_notify(settings, any_id, key, message))
    name = result.short_id or any_id
    outcome = result.outcome
    if json:
        from pushkeep.web.reports import recipient_report

        print_report(recipient_report(result))
    elif outcome is not None:
        _report(name, outcome)
        if result.action == "end":
            complain(f"Dropping no longer valid user: {name}", None)
    else:
        complain(f"Nothing sent to {name}: {result.skipped}.")
    if outcome is not None:
        stop(EXIT_BY_VERDICT[outcome.verdict])
    stop(Exit.USAGE if result.short_id is None else Exit.GONE if ended else Exit.NOT_ACCEPTED)


async def _notify(
    settings: Settings, any_id: str, key: SigningKey | None, message: Message
) -> tuple[RecipientResult, bool]:
    """The result, and whether nothing was sent because the subscription had ended before."""
    from pushkeep.app.notify import notify
    from pushkeep.app.subscribe import find_subscription
    from pushkeep.cli.opened import opened_project
    from pushkeep.domain.notification import Target
    from pushkeep.domain.subscription import State

    async with opened_project(settings) as (services, project):
        sent = await notify(
            services, project, Target.to_subscriptions([any_id]), message.content(), message.options, signing_key=key
        )
        result = sent.results[0]
        if result.skipped is None or result.short_id is None:
            return result, False
        return result, (await find_subscription(services, project, any_id)).state is not State.ACTIVE
