"""Asks the real push services: do they still answer in the shapes recorded here? ``make test-live`` runs it.

It sends to subscriptions of your own browsers and to nobody else's: a few small messages that your worker receives,
and spoiled requests that the service refuses. Nothing it sends ends a subscription. Never run by the tests.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from pushkeep.errors import PushkeepError
from pushkeep.protocol.answer import PushResponse
from pushkeep.protocol.contact import check_contact
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.subscription import Subscription
from pushkeep.protocol.vendors import VENDORS, vendor_for
from pushkeep.protocol.verdict import classify
from tests.recorded.provoking import Ask, provocation
from tests.recorded.recording import Given, Recording, differences, recordings

SECONDS_MAX = 30.0
PAUSE_SECONDS = 1.0  # Apple asks not to send consecutively to one device
HELP = """\
make test-live asks the real push services whether they still answer as recorded in tests/recorded/shapes.

It needs the internet, and in the environment:

  PUSHKEEP_LIVE_SUBSCRIPTION  what JSON.stringify(await registration.pushManager.getSubscription()) says in a browser
                              of your own, or the name of a file with it; a JSON list holds several
  PUSHKEEP_LIVE_KEY           the private key they were made with, or the name of its file
  PUSHKEEP_LIVE_CONTACT       your mailto: or https: contact, as in every token

Make them with `pushkeep demo`, or with any page of yours; your worker gets some messages that it cannot read.
"""

Send = Callable[[Ask], Awaitable[httpx.Response]]


@dataclass(frozen=True)
class Finding:
    """What came of one recording; no differences mean that the service answers as recorded."""

    recorded: Recording
    differences: tuple[str, ...]

    def __str__(self) -> str:
        if not self.differences:
            return f"same       {self.recorded}"
        return f"DIFFERENT  {self.recorded}\n" + "\n".join(f"             {line}" for line in self.differences)


@dataclass(frozen=True)
class Settings:
    """What the environment gave."""

    subscriptions: tuple[Subscription, ...]
    key: SigningKey
    contact: str


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings; raises SystemExit with the help, or with what is wrong."""
    if environment.get("CI"):
        raise SystemExit("make test-live sends to real push services and never runs in CI.")
    names = ("PUSHKEEP_LIVE_SUBSCRIPTION", "PUSHKEEP_LIVE_KEY", "PUSHKEEP_LIVE_CONTACT")
    values = [environment.get(name, "") for name in names]
    if not all(values):
        raise SystemExit(HELP)
    try:
        texts = [_text(value) for value in values[:2]]
        return Settings(_subscriptions(texts[0]), SigningKey.read(texts[1]), check_contact(values[2]))
    except (PushkeepError, OSError, ValueError) as error:
        raise SystemExit(f"{error}\n\n{HELP}") from None


def _text(value: str) -> str:
    """The value itself, or what the file of that name holds."""
    is_name = len(value) < 1024 and "\n" not in value and not value.startswith(("{", "["))
    return Path(value).read_text() if is_name and Path(value).is_file() else value


def _subscriptions(text: str) -> tuple[Subscription, ...]:
    value = json.loads(text)
    return tuple(Subscription.from_dict(item) for item in (value if isinstance(value, list) else [value]))


def vendor_of(endpoint: Endpoint) -> str:
    """Whose recordings to compare with; anybody may run autopush or a UnifiedPush server."""
    known = vendor_for(endpoint.host)
    if known.known:
        return known.name
    return "mozilla" if endpoint.target.startswith("/wpush/") else "unifiedpush"


async def compare(
    vendor: str, subscription: Subscription, *, key: SigningKey, contact: str, send: Send, pause_seconds: float
) -> Sequence[Finding]:
    """Provoke every live recording of ``vendor`` and compare."""
    findings = []
    for recorded in recordings(vendor):
        if recorded.live:
            ask = provocation(recorded, subscription, key=key, contact=contact, now=time.time())
            findings.append(Finding(recorded, await _differences(recorded, subscription, ask, send)))
            await asyncio.sleep(pause_seconds)
    return findings


async def _differences(recorded: Recording, subscription: Subscription, ask: Ask, send: Send) -> tuple[str, ...]:
    try:
        answer = await send(ask)
    except httpx.HTTPError as error:
        return (f"no answer: {type(error).__name__}",)
    headers = dict(answer.headers)
    found = differences(recorded, Given(answer.status_code, headers, answer.text))
    verdict = classify(VENDORS[recorded.vendor], PushResponse(answer.status_code, headers, answer.content))
    if verdict != recorded.verdict:
        found.append(f"verdict {verdict} instead of {recorded.verdict}")
    # What a service answers may name the endpoint, which is a secret.
    return tuple(line.replace(subscription.endpoint.target, "<endpoint>") for line in found)


async def _run(settings: Settings) -> int:
    async with httpx.AsyncClient(http2=True, trust_env=False, timeout=SECONDS_MAX, follow_redirects=False) as client:

        async def send(ask: Ask) -> httpx.Response:
            return await client.request(ask.method, ask.url, headers=dict(ask.headers), content=ask.body)

        different = 0
        for subscription in settings.subscriptions:
            vendor = vendor_of(subscription.endpoint)
            sys.stdout.write(f"\n{subscription.endpoint.label}\n")
            for finding in await compare(
                vendor,
                subscription,
                key=settings.key,
                contact=settings.contact,
                send=send,
                pause_seconds=PAUSE_SECONDS,
            ):
                different += bool(finding.differences)
                sys.stdout.write(f"{finding}\n")
    sys.stdout.write(f"\n{different} answers differ from the recordings.\n")
    return 1 if different else 0


def main() -> int:
    """Exit status: 0 if everything is as recorded, 1 if not, 1 with a text if it cannot run."""
    return asyncio.run(_run(read_settings(os.environ)))


if __name__ == "__main__":
    sys.exit(main())
