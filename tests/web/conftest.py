"""The whole server in one process: real store, real transport, the real local push service beside it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from pushkeep.app.context import Services
from pushkeep.app.projects import create_api_key, current_signing_key, identity_secret
from pushkeep.compose import create_app
from pushkeep.config import Settings, load_settings
from pushkeep.domain.identity import sign_identity
from pushkeep.domain.project import Project
from pushkeep.pushservice import LocalSubscriber, PushService
from pushkeep.web.app import PushkeepApp
from pushkeep.web.demo_page import DemoPage

CLIENT_ADDRESS = "203.0.113.7"
WAIT_SECONDS = 40.0
"""Longer than the server makes anybody wait."""

WRITTEN_BY_WORKERS = frozenset({"workers", "chores"})
"""What changes by itself while nobody asks for anything."""

JsonObject = dict[str, object]


@dataclass
class Site:
    """A running application and what its tests need to know."""

    app: PushkeepApp
    client: httpx.AsyncClient
    services: Services
    project: Project
    settings: Settings
    api_key: str
    server_key: str

    @property
    def base(self) -> str:
        return f"/v1/client/{self.project.publishable_key}"

    @property
    def auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"}

    async def register(self, subscription: JsonObject, **more: object) -> httpx.Response:
        body = {"subscription": subscription, "application_server_key": self.server_key, **more}
        return await self.client.post(f"{self.base}/subscriptions", json=body)

    async def notify(self, **body: object) -> httpx.Response:
        """Ask for a notification, and no more."""
        return await self.client.post("/v1/notifications", json=body, headers=self.auth)

    async def notified(self, **body: object) -> Any:
        """The same, until nothing more is tried for anybody: the notification as it is shown then."""
        answer = await self.notify(**body)
        assert answer.status_code == 202, answer.text
        return await self.ended(answer.json()["id"])

    async def ended(self, notification_id: object) -> Any:
        """A notification once it has ended."""
        path = f"/v1/notifications/{notification_id}"
        answer = await self.client.get(path, params={"wait": "30"}, headers=self.auth, timeout=WAIT_SECONDS)
        assert answer.json()["status"] in ("done", "cancelled"), answer.text
        return answer.json()

    async def outcomes(self, notification_id: object, **query: str) -> Any:
        """What became of it for each recipient."""
        path = f"/v1/notifications/{notification_id}/outcomes"
        answer = await self.client.get(path, params=query, headers=self.auth)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]

    async def subscriber(self, service: PushService, **more: object) -> tuple[Any, LocalSubscriber]:
        """Somebody at the local push service, handed over by API key."""
        subscriber = await service.subscribe()
        body = {"subscription": subscriber.subscription.to_dict(), "application_server_key": self.server_key, **more}
        answer = await self.client.post("/v1/subscriptions", json=body, headers=self.auth)
        assert answer.status_code == 201, answer.text
        return answer.json(), subscriber

    def rows(self) -> dict[str, int]:
        """How many rows each table of the database has."""
        with contextlib.closing(sqlite3.connect(f"file:{self.settings.database}?mode=ro", uri=True)) as database:
            names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            return {
                name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
                for (name,) in names
                if name not in WRITTEN_BY_WORKERS
            }

    def contents(self) -> dict[str, list[tuple[object, ...]]]:
        """Everything that the database has, by table."""
        with contextlib.closing(sqlite3.connect(f"file:{self.settings.database}?mode=ro", uri=True)) as database:
            return {
                name: sorted(database.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr) for name in self.rows()
            }

    async def identity(self, name: str, *, seconds: float = 600, issued_ago: float | None = 0) -> str:
        """What the site puts into a page of somebody who is logged in."""
        now = self.services.clock.now()
        issued_at = None if issued_ago is None else now - issued_ago
        secret = await identity_secret(self.services, self.project)
        return sign_identity(secret, external_id=name, expires_at=now + seconds, issued_at=issued_at)

    async def ask(self, method: str, path: str, sync_token: object, **more: Any) -> httpx.Response:
        """Ask a browser route by showing a sync token."""
        headers = {"Authorization": f"Bearer {sync_token}"}
        return await self.client.request(method, f"{self.base}/{path}", headers=headers, **more)


def client_for(
    app: PushkeepApp, *, address: str = CLIENT_ADDRESS, base_url: str = "http://localhost:8200"
) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, client=(address, 40_000), raise_app_exceptions=True)
    return httpx.AsyncClient(transport=transport, base_url=base_url)


def settings_for(tmp_path: Path, **overrides: object) -> Settings:
    # One process: what workers of their own do is tested with the command line.
    values: dict[str, object] = {"data_dir": tmp_path / "data", "contact": "mailto:ops@example.com", "workers": 0}
    values |= overrides
    return load_settings(environ={}, overrides=values)


@pytest.fixture
def overrides() -> dict[str, object]:
    """Settings of one test; replaced by parametrisation."""
    return {}


@pytest.fixture
async def push_service(tmp_path: Path) -> AsyncIterator[PushService]:
    async with PushService(state_dir=tmp_path / "pushservice") as service:
        yield service


@pytest.fixture
async def site(tmp_path: Path, overrides: dict[str, object]) -> AsyncIterator[Site]:
    """Without a push service: for everything that sends nothing."""
    async with running_site(settings_for(tmp_path, **overrides)) as running:
        yield running


@pytest.fixture
async def sending_site(tmp_path: Path, overrides: dict[str, object], push_service: PushService) -> AsyncIterator[Site]:
    settings = settings_for(tmp_path, origin_map=push_service.origin_map_entries(), **overrides)
    async with running_site(settings) as running:
        yield running


class running_site:
    """``async with running_site(settings) as site``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._app = create_app(settings, demo=DemoPage("pushkeep", "/tmp/api-key", "--data-dir /tmp/x"))
        self._lifespan = self._app.lifespan()

    async def __aenter__(self) -> Site:
        running = await self._lifespan.__aenter__()
        self._client = client_for(self._app)
        api_key = await create_api_key(running.services, running.project, "tests")
        key = await current_signing_key(running.services, running.project)
        return Site(self._app, self._client, running.services, running.project, self._settings, api_key, key.public_b64)

    async def __aexit__(self, *error: object) -> None:
        await self._client.aclose()
        await self._lifespan.__aexit__(None, None, None)
