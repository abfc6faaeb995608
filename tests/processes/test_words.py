"""What a server says while everything goes wrong, at its most talkative: nothing that is secret."""

import asyncio
import signal
import socket
from pathlib import Path

import httpx

from pushkeep.pushservice import PushService
from tests.cli.conftest import Cli
from tests.processes.conftest import Installed, Start
from tests.processes.helpers import WAIT_SECONDS_MAX
from tests.redaction.child.watched_secrets import PAYLOAD_MARK
from tests.redaction.plugin import Redaction

FAULTS = ("status=410", "status=403", "status=500 times=1", "status=404", "status=400")


async def test_a_talkative_server_in_trouble_says_nothing_secret(
    cli: Cli,
    start: Start,
    installed: Installed,
    service: PushService,
    redaction: Redaction,
    tmp_path: Path,
) -> None:
    words = {"PUSHKEEP_LOG_LEVEL": "debug", "PUSHKEEP_LOG_FORMAT": "json"}
    made = await cli("api-keys", "create", "backend", *installed.at)
    key = made.out.split()[-1]
    assert key.startswith("sk_")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with start("serve", "--port", str(port), *installed.at, **words) as server:
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}) as client:
            for fault, short_id in zip(FAULTS, installed.ids, strict=False):
                service.faults.clear()
                service.faults.add(fault)
                body = {"to": {"subscriptions": [short_id]}, "content": {"title": "Hello", "body": PAYLOAD_MARK}}
                sent = await client.post("/v1/notifications", json=body)
                assert sent.status_code == 202, sent.text
            for path in (f"/v1/notifications/{key}", f"/v1/{key}?token={key}", f"/v1/client/{key}/subscriptions"):
                assert (await client.get(path)).status_code >= 400
            for headers in ({"Authorization": f"Bearer {key[:-1]}"}, {"Authorization": key}, {"X-Request-ID": key}):
                await client.get("/v1/status", headers=headers)
            for body in ({"to": PAYLOAD_MARK, "content": key}, {"to": {"contacts": [[key]]}, "content": {"title": 5}}):
                assert (await client.post("/v1/notifications", json=body)).status_code in (400, 422)
            cut = await client.post("/v1/notifications", content=f'{{"to": "{PAYLOAD_MARK}", "title": "{key}')
            assert cut.status_code in (400, 422)
        server.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            assert await server.wait() == 0
    said = (tmp_path / "log").read_text()
    assert len(said.splitlines()) > len(FAULTS), "it was talkative"
    before = len(redaction.leaks)
    redaction.write("log", said)
    redaction.search()
    assert redaction.leaks[before:] == []
