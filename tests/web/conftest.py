"""The whole server in one process: real store, real transport, the real local push service beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from pushkeep.app.context import Services
from pushkeep.app.projects import create_api_key, current_signing_key
from pushkeep.compose import create_app
from pushkeep.config import Settings, load_settings
from pushkeep.domain.project import Project
from pushkeep.pushservice import PushService
from pushkeep.web.app import PushkeepApp
from pushkeep.web.demo_page import DemoPage

CLIENT_ADDRESS = "203.0.113.7"

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
        return await self.client.post("/v1/notifications", json=body, headers=self.auth)


def client_for(
    app: PushkeepApp, *, address: str = CLIENT_ADDRESS, base_url: str = "http://localhost:8200"
) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, client=(address, 40_000), raise_app_exceptions=True)
    return httpx.AsyncClient(transport=transport, base_url=base_url)


def settings_for(tmp_path: Path, **overrides: object) -> Settings:
    values: dict[str, object] = {"data_dir": tmp_path / "data", "contact": "mailto:ops@example.com", **overrides}
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
