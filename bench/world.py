"""What every contender shares: the recipients, the payload, the signing key and how many messages are under way."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from bench.servers import ORIGIN, TARGET, Site
from pushkeep import OriginMap, PushClient, SigningKey, Subscription
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.keys import encode_point

RECIPIENTS = 1000
"""Different keys, so that nothing can be remembered from one message to the next."""

PAYLOAD = (
    b'{"web_push":8030,"notification":{"title":"Your order has been sent","navigate":"https://shop.example/o/1",'
    b'"body":"It should arrive on Thursday between 9 and 11.","tag":"order-1"},"mutable":true}'
)
TTL_SECONDS = 60
URGENCY = "high"
IN_FLIGHT = 256
"""Messages under way at once, for every contender that can: PushClient's own default."""

CONTACT = "mailto:bench@example.org"


@dataclass(frozen=True)
class Contender:
    """One line of the results.

    Attributes:
        name: the key in the results.
        title: what it is, for people.
        run: sends so many messages and waits for every answer. Returns the processor seconds that another process
            spent on it, or None when all the work was done in this one.
        share: share of the round's messages it gets; the slow ones get few.
    """

    name: str
    title: str
    run: Callable[[int], float | None]
    share: float = 1.0


class World:
    """Recipients and the signing key."""

    def __init__(self, ca_file: Path, directory: Path) -> None:
        self.ca_file = ca_file
        self.key = SigningKey.generate()
        self.key_file = directory / "vapid.pem"
        self.key_file.write_text(self.key.to_pem())
        endpoint = Endpoint.parse(f"{ORIGIN}{TARGET}")
        self.recipients = [
            Subscription(endpoint, encode_point(ec.generate_private_key(ec.SECP256R1()).public_key()), os.urandom(16))
            for _ in range(RECIPIENTS)
        ]
        self.texts = [recipient.to_json() for recipient in self.recipients]

    def recipient(self, number: int) -> Subscription:
        """Whom the message of this number goes to."""
        return self.recipients[number % RECIPIENTS]

    def dicts_at(self, site: Site) -> list[dict[str, object]]:
        """The recipients for senders without an origin map: their endpoints name the server itself."""
        url = f"https://localhost:{site.port}{TARGET}"
        return [recipient.to_dict() | {"endpoint": url} for recipient in self.recipients]

    def origin_map(self, site: Site) -> list[str]:
        """Our own senders dial the server instead of Google; the address check is as active as ever."""
        return [f"{ORIGIN}=https://127.0.0.1:{site.port},ca={self.ca_file}"]

    def client(self, site: Site) -> PushClient:
        """Our client, with every setting as it comes."""
        return PushClient(key=self.key, contact=CONTACT, origin_map=OriginMap.parse(self.origin_map(site)))


async def in_parallel(count: int, send: Callable[[int], Awaitable[object]]) -> None:
    """Call ``send`` with 0 to ``count`` - 1, ``IN_FLIGHT`` at a time."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await send(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(IN_FLIGHT, count)):
            group.create_task(worker())


def on(
    loop: asyncio.AbstractEventLoop, make: Callable[[int], Coroutine[object, object, None]]
) -> Callable[[int], None]:
    """A ``run`` of what is asynchronous."""

    def run(count: int) -> None:
        loop.run_until_complete(make(count))

    return run
