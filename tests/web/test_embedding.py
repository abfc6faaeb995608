"""Mounted in a host application: under a path, with the lifespan that the host does not run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from pushkeep.compose import create_app
from pushkeep.errors import ConfigurationError
from pushkeep.web.app import PushkeepApp
from pushkeep.web.asgi import Message, Receive, Scope, Send
from tests.web.conftest import settings_for


class Host:
    """Mounts as Starlette does: the full path stays, the prefix goes to root_path, and the lifespan is its own."""

    def __init__(self, mounted: PushkeepApp, prefix: str) -> None:
        self._mounted = mounted
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["path"].startswith(self._prefix)
        await self._mounted({**scope, "root_path": self._prefix}, receive, send)


@pytest.fixture
async def mounted(tmp_path: Path) -> AsyncIterator[tuple[PushkeepApp, httpx.AsyncClient]]:
    app = create_app(settings_for(tmp_path, public_url="http://localhost:9000/push", client_requests_burst=2))
    transport = httpx.ASGITransport(app=Host(app, "/push"), client=("203.0.113.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:9000/push/") as client:
        yield app, client


async def test_routes_work_under_a_path(mounted: tuple[PushkeepApp, httpx.AsyncClient]) -> None:
    app, client = mounted
    async with app.lifespan() as running:
        assert (await client.get("healthz")).json() == {"status": "ok"}
        worker = await client.get("pushkeep/worker.js")
        assert worker.headers["service-worker-allowed"] == "/push/pushkeep/"
        config = await client.get(f"v1/client/{running.project.publishable_key}/config")
        assert config.status_code == 200
        nothing = await client.get("nope")
        assert nothing.json()["type"] == "http://localhost:9000/push/v1/problems/not_found"
        looked_up = await client.get(nothing.json()["type"])
        assert looked_up.json()["code"] == "not_found"
        # The browser routes are counted under the path too.
        statuses = [
            (await client.get(f"v1/client/{running.project.publishable_key}/config")).status_code for _ in range(2)
        ]
        assert statuses == [200, 429]


async def test_the_router_and_the_rate_limit_see_the_same_path(tmp_path: Path) -> None:
    app = create_app(settings_for(tmp_path, client_requests_burst=2))

    async def host_that_strips(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "root_path": "/push"}, receive, send)

    transport = httpx.ASGITransport(app=host_that_strips)
    async with app.lifespan() as running, httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        config = f"/v1/client/{running.project.publishable_key}/config"
        # The router takes everything up to the first "/push" away, also what a client put before it.
        statuses = [(await client.get(f"/x/push{config}")).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]


async def test_before_the_host_enters_the_lifespan_it_is_told_so(
    mounted: tuple[PushkeepApp, httpx.AsyncClient],
) -> None:
    app, client = mounted
    for path in ("healthz", "v1/client/pk_x/config"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "lifespan()" in answer.json()["detail"]
    assert (await client.get("pushkeep/sdk.js")).status_code == 200
    async with app.lifespan():
        assert (await client.get("healthz")).status_code == 200
    assert (await client.get("healthz")).status_code == 503
    async with app.lifespan():  # it can be opened again
        assert (await client.get("healthz")).status_code == 200


async def test_a_lifespan_inside_the_lifespan_shares_it(mounted: tuple[PushkeepApp, httpx.AsyncClient]) -> None:
    app, client = mounted
    async with app.lifespan() as outer:
        async with app.lifespan() as inner:
            assert inner.services is outer.services
        assert (await client.get("healthz")).status_code == 200


async def run_lifespan(app: PushkeepApp) -> list[Message]:
    sent: list[Message] = []
    events = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Message:
        return next(events)

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
    return sent


async def test_an_asgi_server_runs_the_lifespan(tmp_path: Path) -> None:
    sent = await run_lifespan(create_app(settings_for(tmp_path)))
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_an_asgi_server_is_told_why_it_cannot_start(tmp_path: Path) -> None:
    (sent,) = await run_lifespan(create_app(settings_for(tmp_path, contact=None)))
    assert sent["type"] == "lifespan.startup.failed"
    assert "PUSHKEEP_CONTACT" in sent["message"]


async def test_a_lifespan_that_fails_leaves_nothing_open(tmp_path: Path) -> None:
    app = create_app(settings_for(tmp_path, contact=None))
    for _ in range(2):
        with pytest.raises(ConfigurationError):
            async with app.lifespan():
                pass


async def test_websockets_are_refused(mounted: tuple[PushkeepApp, httpx.AsyncClient]) -> None:
    app, _ = mounted
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]
