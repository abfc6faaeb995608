"""The server as a process and on real sockets: starting, stopping, and what only a socket can do."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from pushkeep.adapters.clock import SystemClock, SystemEntropy
from pushkeep.app.projects import current_signing_key
from pushkeep.compose import Serving, create_app, listen, open_project, open_services, serve
from pushkeep.config import Settings
from pushkeep.errors import ConfigurationError
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.web.app import PushkeepApp
from pushkeep.web.demo_page import DemoPage
from pushkeep.web.options import WebOptions
from tests.web.conftest import client_for, settings_for
from tests.web.subscriptions import subscription_json

WAIT_SECONDS = 30.0
SOME_PAGE = DemoPage("pushkeep", "/k")


@asynccontextmanager
async def served(settings: Settings, *, demo: DemoPage = SOME_PAGE) -> AsyncIterator[Serving]:
    ready: asyncio.Future[Serving] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(settings, demo=demo, on_ready=ready.set_result, handle_signals=False))
    await asyncio.wait({task, ready}, timeout=WAIT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    serving = ready.result()
    try:
        yield serving
    finally:
        serving.stop()
        await asyncio.wait_for(task, WAIT_SECONDS)


async def exchange(port: int, request: bytes) -> bytes:
    """Send octets as they are and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(), WAIT_SECONDS)
    writer.close()
    return answer


async def test_a_round_over_real_http(tmp_path: Path) -> None:
    async with served(settings_for(tmp_path, port=0)) as serving:
        url = serving.settings.public_url.url
        assert url == f"http://localhost:{serving.settings.port}"
        assert serving.settings.port != 0
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{serving.settings.port}") as client:
            info = (await client.get("/demo/info")).json()
            assert info["public_url"] == url
            base = f"/v1/client/{info['project_key']}"
            key = (await client.get(f"{base}/config")).json()["application_server_key"]
            body = {"subscription": subscription_json(), "application_server_key": key}
            answers = await asyncio.gather(*(client.post(f"{base}/subscriptions", json=body) for _ in range(8)))
            assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
            assert len({answer.json()["id"] for answer in answers}) == 1
            assert (await client.get("/healthz")).json() == {"status": "ok"}
            head = await client.head("/pushkeep/sdk.js")
            assert (head.status_code, head.content) == (200, b"")
            assert "server" not in head.headers


async def test_what_no_client_library_would_send(tmp_path: Path) -> None:
    async with served(settings_for(tmp_path, port=0)) as serving:
        port, key = serving.settings.port, serving.project.publishable_key
        close = b"Connection: close\r\n\r\n"
        two_hosts = await exchange(port, b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n" + close)
        assert two_hosts.startswith(b"HTTP/1.1 400")
        bad_host = await exchange(port, b"GET /healthz HTTP/1.1\r\nHost: a/b\r\n" + close)
        assert bad_host.startswith(b"HTTP/1.1 400")
        assert b"application/problem+json" in bad_host
        climb = await exchange(port, b"GET /pushkeep/../../../etc/passwd HTTP/1.1\r\nHost: a\r\n" + close)
        assert climb.startswith(b"HTTP/1.1 404")
        encoded = await exchange(port, b"GET /pushkeep/%2e%2e%2f%2e%2e%2fetc%2fpasswd HTTP/1.1\r\nHost: a\r\n" + close)
        assert encoded.startswith(b"HTTP/1.1 404")
        split = await exchange(port, b"GET /v1/%0d%0aX-Injected:%201 HTTP/1.1\r\nHost: a\r\n" + close)
        assert b"\r\nX-Injected" not in split
        absolute = await exchange(port, b"GET http://evil.example/healthz HTTP/1.1\r\nHost: a\r\n" + close)
        assert b"evil.example" not in absolute
        upgrade = await exchange(
            port,
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: Upgrade, close\r\n\r\n",
        )
        assert not upgrade.startswith(b"HTTP/1.1 101")
        head = f"POST /v1/client/{key}/subscriptions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n".encode()
        announced = await exchange(port, head + b"Content-Length: 999999999\r\nConnection: close\r\n\r\n")
        assert announced.startswith(b"HTTP/1.1 413")
        chunks = 5 * (b"2000\r\n" + b" " * 8192 + b"\r\n")
        flood = await exchange(port, head + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks)
        assert flood.startswith(b"HTTP/1.1 413")
        # After all that it still serves.
        assert (await exchange(port, b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + close)).startswith(b"HTTP/1.1 200")


async def test_a_body_that_ends_early_harms_nobody(tmp_path: Path) -> None:
    async with served(settings_for(tmp_path, port=0)) as serving:
        path = f"/v1/client/{serving.project.publishable_key}/subscriptions"
        for _ in range(5):
            _, writer = await asyncio.open_connection("127.0.0.1", serving.settings.port)
            writer.write(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n".encode())
            writer.write(b"Content-Length: 100\r\n\r\n{")
            await writer.drain()
            writer.close()
        answer = await exchange(serving.settings.port, b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200")


async def test_a_body_that_never_comes_does_not_hold_a_request_open(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    impatient = PushkeepApp(
        create_app(settings).lifespan,
        WebOptions(public_url=settings.public_url, body_seconds_max=0.05),
        clock=SystemClock(),
        entropy=SystemEntropy(),
    )
    never = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        await never.wait()

    async with impatient.lifespan() as running, client_for(impatient) as client:
        answer = await client.post(
            f"/v1/client/{running.project.publishable_key}/subscriptions",
            content=body(),
            headers={"Content-Type": "application/json"},
        )
    assert (answer.status_code, answer.json()["code"]) == (408, "request_timeout")


async def test_a_request_under_way_is_finished_before_the_server_stops(tmp_path: Path) -> None:
    async with served(settings_for(tmp_path, port=0)) as serving:
        key = (await current_signing_key(serving.services, serving.project)).public_b64
        body = json.dumps({"subscription": subscription_json(), "application_server_key": key}).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", serving.settings.port)
        writer.write(
            f"POST /v1/client/{serving.project.publishable_key}/subscriptions HTTP/1.1\r\nHost: a\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        # The server asks for the body once the route reads it: the request is under way.
        assert (await asyncio.wait_for(reader.readline(), WAIT_SECONDS)).startswith(b"HTTP/1.1 100")
        serving.stop()
        writer.write(body)
        answer = await asyncio.wait_for(reader.read(), WAIT_SECONDS)
        writer.close()
    assert b"HTTP/1.1 201" in answer
    assert b"sync_token" in answer


async def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    (taken,) = listen("127.0.0.1", 0)
    port = taken.getsockname()[1]
    try:
        with pytest.raises(ConfigurationError, match=f"Port {port} on 127.0.0.1 is in use"):
            await serve(settings_for(tmp_path, port=port))
    finally:
        taken.close()
    assert not (tmp_path / "data").exists(), "nothing is made for a server that cannot start"


def test_a_host_that_is_not_this_machine_is_one_sentence() -> None:
    with pytest.raises(ConfigurationError, match=r"Cannot listen on 203\.0\.113\.1"):
        listen("203.0.113.1", 0)


def test_every_address_of_a_host_listens_on_the_same_port() -> None:
    sockets = listen("localhost", 0)
    try:
        assert len({listener.getsockname()[1] for listener in sockets}) == 1
        assert len(sockets) == len({entry[4][0] for entry in socket.getaddrinfo("localhost", 0)})
    finally:
        for listener in sockets:
            listener.close()


async def test_without_a_contact_the_server_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="PUSHKEEP_CONTACT") as caught:
        await serve(settings_for(tmp_path, port=0, contact=None), handle_signals=False)
    assert caught.value.field == "contact"


async def test_a_command_beside_the_server_changes_nothing_of_its_project(tmp_path: Path) -> None:
    told = settings_for(tmp_path, site_url="https://shop.example.com")
    async with open_project(told) as (_, project):
        assert project.site_url == "https://shop.example.com"
    async with open_project(settings_for(tmp_path, contact=None)) as (_, project):
        assert (project.site_url, project.contact) == ("https://shop.example.com", "mailto:ops@example.com")
    # The server itself is told anew, and keeps the contact that is not set.
    async with create_app(settings_for(tmp_path, contact=None)).lifespan() as running:
        assert (running.project.site_url, running.project.contact) == (
            "http://localhost:8200",
            "mailto:ops@example.com",
        )


async def test_the_master_key_may_come_from_three_places(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(b64url_encode(bytes(range(32))))
    key_file.chmod(0o600)
    async with open_project(settings_for(tmp_path, master_key_file=key_file)) as (_, project):
        pass
    assert not (tmp_path / "data" / "master.key").exists()
    async with open_project(settings_for(tmp_path, master_key=bytes(range(32)))) as (_, same):
        assert same.publishable_key == project.publishable_key
    with pytest.raises(ConfigurationError, match=r"The master key .* is not the one"):
        async with open_services(settings_for(tmp_path, master_key=bytes(32))):
            pass
    with pytest.raises(ConfigurationError, match="Restore the key from a backup"):
        async with open_services(settings_for(tmp_path)):
            pass


async def test_a_url_that_was_set_stays_when_the_port_is_free_to_choose(tmp_path: Path) -> None:
    async with served(settings_for(tmp_path, port=0, public_url="https://push.example.com")) as serving:
        assert serving.settings.public_url.url == serving.settings.site_url.url == "https://push.example.com"
        assert serving.project.site_url == "https://push.example.com"


PROGRAM = """
import sys
from pushkeep.compose import run_server
from pushkeep.config import load_settings
run_server(
    load_settings(environ={}, overrides=dict(data_dir=sys.argv[1], port=0, contact="mailto:ops@example.com",
                                             log_format="json", workers=0)),
    on_ready=lambda serving: print(serving.settings.port, flush=True),
)
print("stopped", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_process_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        str(tmp_path / "data"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        assert process.stdout is not None
        port = int(await asyncio.wait_for(process.stdout.readline(), WAIT_SECONDS))
        # A request that is only half sent does not hold the stop up for long; one under way is finished.
        answer = await exchange(port, b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200")
        process.send_signal(number)
        out, err = await asyncio.wait_for(process.communicate(), WAIT_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, out) == (0, b"stopped\n"), err
    events = [json.loads(line) for line in err.splitlines()]
    names = [event["event"] for event in events]
    assert sorted(names[:2]) == ["serving", "worker_started"], "which is first is for the machine to say"
    assert names[2:] == ["request", "worker_stopped", "stopped"]
    assert all({"timestamp", "level", "logger"} <= event.keys() for event in events)
