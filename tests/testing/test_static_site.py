"""The small site for pages in tests."""

from __future__ import annotations

import httpx

from pushkeep.testing.static_site import push_page, static_site


def test_the_files_and_nothing_else_are_served_under_a_strict_policy() -> None:
    files = {"/": ("text/html", "<p>Grüße"), "/a.js": ("text/javascript", "1")}
    with static_site(files) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        page = client.get("/?key=1")
        assert (page.status_code, page.text) == (200, "<p>Grüße")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert client.get("/a.js").headers["content-type"].startswith("text/javascript")
        assert client.get("/../etc/passwd").status_code == 404


def test_the_push_page_is_shipped_with_its_worker() -> None:
    files = push_page()
    assert set(files) == {"/", "/index.html", "/page.js", "/worker.js"}
    assert "pushManager.subscribe" in files["/page.js"][1]
    assert 'addEventListener("push"' in files["/worker.js"][1]
