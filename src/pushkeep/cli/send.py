"""``pushkeep send``: one message to one subscription, stored or in a file, or to many in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pushkeep.cli.common import (
    EXIT_BY_VERDICT,
    AsJson,
    DataDir,
    MapOrigin,
    complain,
    complain_of,
    example,
    load,
    print_json,
    read_file,
    read_payload,
    run,
    say,
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
from pushkeep.domain.origin_map import OriginMap
from pushkeep.domain.retry import RetryPolicy
from pushkeep.errors import InvalidInput
from pushkeep.protocol.outcome import Outcome
from pushkeep.protocol.request import TTL_SECONDS_DEFAULT, PushOptions
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.subscription import Subscription

if TYPE_CHECKING:
    from pushkeep.client import PushClient

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
    payload: Payload = None,
    title: Title = None,
    body: Body = None,
    url: Url = None,
    action: Actions = None,
    app_badge: AppBadge = None,
    ttl: Ttl = TTL_SECONDS_DEFAULT,
    urgency: UrgencyWord = None,
    topic: Topic = None,
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
    fields = {"title": title, "body": body, "url": url, "actions": read_actions(action), "app_badge": app_badge}
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
    from pushkeep.cli.send_stored import send_stored, send_with_key

    settings = load(data_dir, origin_map=map_origin or None)
    sent = run(send_stored(settings, any_id, message) if key is None else send_with_key(settings, any_id, message, key))
    if json:
        print_json(sent.to_dict())
    else:
        if sent.outcome is not None:
            _report(sent.name, sent.outcome)
        for remark in sent.remarks:
            complain(remark, None)
    stop(sent.status)
