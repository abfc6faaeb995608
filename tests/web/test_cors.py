"""Pages of the project's site may read the browser routes' answers; others may not."""

from __future__ import annotations

import pytest

from pushkeep.web import cors
from pushkeep.web.cors import SiteOrigins
from tests.web.conftest import Site
from tests.web.subscriptions import subscription_json

SITE = "https://shop.example.com"


@pytest.fixture
def overrides() -> dict[str, object]:
    return {"site_url": f"{SITE}/start", "public_url": "https://push.example.com"}


def preflight(origin: str, method: str = "POST") -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_the_site_may_ask(site: Site, method: str) -> None:
    answer = await site.client.options(f"{site.base}/subscriptions", headers=preflight(SITE, method))
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == SITE
    assert method in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"].lower() == "authorization, content-type"
    assert answer.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://shop.example.com.evil.example",
        "http://shop.example.com",
        "https://shop.example.com:8443",
        "https://push.example.com.evil.example",
        "null",
        "*",
        "",
    ],
)
async def test_other_pages_may_not(site: Site, origin: str) -> None:
    asked = await site.client.options(f"{site.base}/subscriptions", headers=preflight(origin))
    answered = await site.client.get(f"{site.base}/config", headers={"Origin": origin})
    assert (asked.status_code, answered.status_code) == (204, 403)
    assert (answered.json()["code"], answered.json()["field"]) == ("forbidden", "Origin")
    for answer in (asked, answered):
        assert not [name for name in answer.headers if name.startswith("access-control-allow")]
        assert answer.headers["vary"] == "Origin"


async def test_the_site_can_read_answers_and_problems(site: Site) -> None:
    headers = {"Origin": SITE}
    ok = await site.client.get(f"{site.base}/config", headers=headers)
    bad = await site.client.post(f"{site.base}/subscriptions", headers=headers, json={})
    gone = await site.client.get(f"{site.base}/nope", headers=headers)
    assert (ok.status_code, bad.status_code, gone.status_code) == (200, 422, 404)
    for answer in (ok, bad, gone):
        assert answer.headers["access-control-allow-origin"] == SITE
        assert "Retry-After" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize("overrides", [{"site_url": SITE, "client_requests_burst": 2, "client_requests_per_minute": 1}])
async def test_the_site_can_read_that_it_asks_too_often(site: Site) -> None:
    answers = [await site.client.get(f"{site.base}/config", headers={"Origin": SITE}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[-1].headers["access-control-allow-origin"] == SITE


async def test_the_server_api_is_closed_to_pages(site: Site) -> None:
    for path in ("/v1/subscriptions", "/v1/notifications", "/healthz"):
        answer = await site.client.options(path, headers=preflight(SITE))
        assert not [name for name in answer.headers if name.startswith("access-control-allow")]
    answer = await site.client.get("/v1/subscriptions", headers={**site.auth, "Origin": SITE})
    assert "access-control-allow-origin" not in answer.headers


async def test_an_unknown_project_allows_nobody(site: Site) -> None:
    answer = await site.client.options("/v1/client/pk_" + "A" * 24 + "/subscriptions", headers=preflight(SITE))
    assert "access-control-allow-origin" not in answer.headers


async def test_registering_from_the_site_works(site: Site) -> None:
    answer = await site.client.post(
        f"{site.base}/subscriptions",
        headers={"Origin": SITE},
        json={"subscription": subscription_json(), "application_server_key": site.server_key},
    )
    assert answer.status_code == 201


async def test_a_projects_origin_is_remembered_for_a_moment_only(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    origins = SiteOrigins(lambda: now)
    path = f"{site.base}/config"
    assert await origins.of(site.services, path, look_up=False) is None, "a limited caller causes no look-up"
    assert await origins.of(site.services, path, look_up=True) == {SITE}
    assert await origins.of(site.services, path, look_up=False) == {SITE}
    now += cors.REMEMBERED_SECONDS
    assert await origins.of(site.services, path, look_up=False) is None
    monkeypatch.setattr(cors, "PROJECTS_MAX", 0)
    assert await origins.of(site.services, path, look_up=True) == {SITE}
    assert await origins.of(site.services, path, look_up=False) is None, "the bound holds"
