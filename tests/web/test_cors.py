"""Pages of the project's site may read the browser routes' answers; others may not."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from pushkeep.web.cors import site_origins
from tests.web.conftest import Site, client_for, running_site, settings_for
from tests.web.subscriptions import subscription_json

SITE = "https://shop.example.com"
EVIL = "https://evil.example"


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


OTHER_SITE = "https://blog.example.com:8443"


@pytest.mark.parametrize("overrides", [{"site_url": SITE, "site_origins": f"{OTHER_SITE}, http://localhost:3000"}])
async def test_further_sites_may_be_allowed(site: Site) -> None:
    for origin in (SITE, OTHER_SITE, "http://localhost:3000"):
        answer = await site.client.get(f"{site.base}/config", headers={"Origin": origin})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin)
    for origin in ("https://blog.example.com", "https://localhost:3000", "http://localhost:3001", EVIL):
        answer = await site.client.get(f"{site.base}/config", headers={"Origin": origin})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert "site_origins" in answer.json()["detail"]
        assert "access-control-allow-origin" not in answer.headers


async def test_the_list_is_stored_and_follows_the_settings(tmp_path: Path) -> None:
    for given, allowed in ((OTHER_SITE, {OTHER_SITE}), ("", set())):
        settings = settings_for(tmp_path, site_url=SITE, site_origins=given)
        async with running_site(settings) as running:
            assert running.project.site_origins == allowed
            stored = await running.services.store.default_project()
            assert stored is not None
            assert stored.site_origins == allowed


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("push.example.com", "https://push.example.com", 200),
        ("localhost:8200", "http://localhost:8200", 200),
        ("127.0.0.1:8200", "http://127.0.0.1:8200", 200),
        ("app.localhost", "http://app.localhost", 200),
        ("localhost:8200", "http://localhost:8201", 403),
        ("evil.example", "http://evil.example", 403),
        ("192.168.1.5:8200", "http://192.168.1.5:8200", 403),
        ("localhost:8200", EVIL, 403),
    ],
)
async def test_pages_of_this_very_server_may_ask_unless_a_name_was_bent_to_it(
    site: Site, host: str, origin: str, status: int
) -> None:
    headers = {"Host": host, "Origin": origin}
    answer = await site.client.get(f"{site.base}/config", headers=headers)
    assert answer.status_code == status


async def test_two_origins_are_none(site: Site) -> None:
    headers = [("Origin", SITE), ("Origin", SITE)]
    answer = await site.client.get(f"{site.base}/config", headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (403, "Origin")


async def test_who_is_no_page_needs_no_origin(site: Site) -> None:
    assert (await site.client.get(f"{site.base}/config")).status_code == 200


@pytest.mark.parametrize("overrides", [{"site_url": SITE, "site_origins": OTHER_SITE, "site_requests_per_minute": 3}])
async def test_the_pages_of_a_site_together_are_limited(site: Site) -> None:
    async def ask(origin: str, address: str) -> httpx.Response:
        async with client_for(site.app, address=address) as client:
            return await client.get(f"{site.base}/config", headers={"Origin": origin})

    answers = [await ask(SITE, f"198.51.100.{number}") for number in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert "from pages of this site" in answers[-1].json()["detail"]
    assert answers[-1].headers["access-control-allow-origin"] == SITE, "the page can read that, and wait"
    assert int(answers[-1].headers["retry-after"]) <= 20
    assert (await ask(OTHER_SITE, "198.51.100.1")).status_code == 200, "another site has its own"
    assert (await site.client.get(f"{site.base}/config")).status_code == 200, "and so have those without a page"
    assert (await ask(EVIL, "198.51.100.2")).status_code == 403, "a stranger uses up nobody's"


async def test_who_is_limited_is_answered_by_what_was_read_before(site: Site) -> None:
    path = f"{site.base}/config"
    assert await site_origins(site.services, path, look_up=False) is None, "a limited caller causes no look-up"
    assert await site_origins(site.services, path, look_up=True) == frozenset({SITE})
    assert await site_origins(site.services, path, look_up=False) == frozenset({SITE})
    assert await site_origins(site.services, "/v1/client/pk_unknown/config", look_up=True) is None
