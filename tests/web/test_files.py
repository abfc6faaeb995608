"""SDK and demo files: types, caching, scopes, and no way out of the directory."""

from __future__ import annotations

import pytest

from tests.web.conftest import Site

SDK = ("sdk.js", "core.js", "keeper.js", "worker.js")
DEMO = ("demo.js", "demo.css", "icon.svg")


@pytest.mark.parametrize("name", SDK)
async def test_sdk_files_are_scripts_any_site_may_load(site: Site, name: str) -> None:
    answer = await site.client.get(f"/pushkeep/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(answer.content) > 100


async def test_the_worker_is_asked_for_each_time_and_may_have_both_scopes(site: Site) -> None:
    for name in ("worker.js", "core.js", "keeper.js"):
        answer = await site.client.get(f"/pushkeep/{name}?server=http%3A%2F%2Flocalhost&project=pk_x")
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["service-worker-allowed"] == "/pushkeep/"
    assert (await site.client.get("/pushkeep/sdk.js")).headers["cache-control"] == "public, max-age=300"


@pytest.mark.parametrize("overrides", [{"public_url": "https://push.example.com"}])
async def test_the_worker_may_call_its_server_and_nothing_else(site: Site) -> None:
    policy = (await site.client.get("/pushkeep/worker.js")).headers["content-security-policy"]
    assert "connect-src 'self' https://push.example.com;" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", [*(f"/pushkeep/{name}" for name in SDK), *(f"/demo/{name}" for name in DEMO)])
async def test_a_copy_that_is_current_is_not_sent_again(site: Site, path: str) -> None:
    first = await site.client.get(path)
    etag = first.headers["etag"]
    for condition in (etag, f'"x", {etag}', f"W/{etag}", "*"):
        again = await site.client.get(path, headers={"If-None-Match": condition})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
        assert again.headers["cache-control"] == first.headers["cache-control"]
        assert "content-type" not in again.headers
    changed = await site.client.get(path, headers={"If-None-Match": '"other"'})
    assert changed.content == first.content
    head = await site.client.head(path)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", etag)
    assert head.headers["content-length"] == str(len(first.content))


@pytest.mark.parametrize(
    "name",
    [
        "../errors.py",
        "..%2ferrors.py",
        "%2e%2e%2ferrors.py",
        "....//errors.py",
        "%2e%2e/%2e%2e/config/table.py",
        "..%5cerrors.py",
        "sdk.js%00.txt",
        "sdk.js/",
        "SDK.JS",
        "index.html",
        "jsconfig.json",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "__init__.py",
        "",
        ".",
    ],
)
@pytest.mark.parametrize("directory", ["pushkeep", "demo"])
async def test_there_is_no_way_to_another_file(site: Site, directory: str, name: str) -> None:
    answer = await site.client.get(f"/{directory}/{name}")
    if answer.status_code == 200:  # "sdk.js/" is the same address to the router
        assert (directory, name) == ("pushkeep", "sdk.js/")
    else:
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


async def test_demo_files_have_their_types(site: Site) -> None:
    types = [(await site.client.get(f"/demo/{name}")).headers["content-type"] for name in DEMO]
    assert types == ["text/javascript; charset=utf-8", "text/css; charset=utf-8", "image/svg+xml"]
