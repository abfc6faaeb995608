"""A push service that gives back what it was sent: its own words are shown to operators, the request in them is not."""

import asyncio
import json
from urllib.parse import unquote

import pytest

from pushkeep import PushClient
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.subscription import Subscription
from tests.protocol.vectors import AUTH, UA_PUBLIC
from tests.redaction.child.watched_secrets import PAYLOAD_MARK
from tests.redaction.plugin import Redaction
from tests.transport.conftest import authority
from tests.transport.servers import ORIGIN, Authority, Seen, http1

__all__ = ["authority"]

TARGETS = (
    "/wpush/v2/gAAAAABo7-q3vJkWm5xT2Zr9YbN4cLdEkQ1sUo8iPzXhR6tGvM0nBwJyF5aCeHlD7qK2jW9r",
    "/upK7xQm2Zr9YbN4cLd?up=1",
    "/w/?token=BQYAAABk%2fhW0sD%2bKq9xT4zRm7NvYc1",
)
FORMS = {
    "text": lambda seen: f"No subscription at {seen.target}.".encode(),
    "decoded": lambda seen: f"<p>Not found: <code>{unquote(seen.target)}</code></p>".encode(),
    "json": lambda seen: json.dumps({"message": f"unknown {seen.target}", "more_info": ORIGIN + seen.target}).encode(),
    "url": lambda seen: f"POST {ORIGIN}{seen.target} failed".encode(),
    "quoted": lambda seen: json.dumps({"reason": f"token {seen.header('authorization')} is wrong"}).encode(),
}


@pytest.mark.parametrize("status", [201, 403, 404, 429, 500])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("target", TARGETS)
async def test_an_outcome_shows_nothing_of_the_request(
    authority: Authority, redaction: Redaction, target: str, form: str, status: int
) -> None:
    async def quote(seen: Seen, writer: asyncio.StreamWriter) -> None:
        body = FORMS[form](seen)
        fields = [f"X-WNS-Debug-Trace: {seen.target}", f"APNS-ID: {unquote(seen.target)}", f"Link: <{seen.target}>"]
        head = [f"HTTP/1.1 {status} Said", *fields, f"Content-Length: {len(body)}", "", ""]
        writer.write("\r\n".join(head).encode() + body)

    subscription = Subscription(Endpoint.parse(ORIGIN + target), UA_PUBLIC, AUTH)
    async with http1(quote, authority.server_context()) as server:
        options = {"contact": "mailto:a@b.dev", "origin_map": [server.entry(authority.file)]}
        async with PushClient(key=SigningKey.generate(), **options) as client:
            outcome = await client.send(subscription, PAYLOAD_MARK, ttl=60)
    shown = f"{outcome!r} {json.dumps(outcome.to_dict())}"
    assert target not in shown
    assert unquote(target) not in shown
    redaction.write("what is shown of an outcome", shown)
