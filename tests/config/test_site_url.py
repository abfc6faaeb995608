"""URLs that browsers treat as secure contexts."""

from __future__ import annotations

import pytest

from pushkeep.domain.site_url import SiteUrl
from pushkeep.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "url", "origin", "port", "path"),
    [
        ("https://push.example.com", "https://push.example.com", "https://push.example.com", 443, ""),
        ("https://Push.Example.com:443/", "https://push.example.com", "https://push.example.com", 443, ""),
        ("https://example.com/push/", "https://example.com/push", "https://example.com", 443, "/push"),
        ("http://localhost:8200", "http://localhost:8200", "http://localhost:8200", 8200, ""),
        ("http://127.1.2.3/", "http://127.1.2.3", "http://127.1.2.3", 80, ""),
        ("http://[::1]:81/x", "http://[::1]:81/x", "http://[::1]:81", 81, "/x"),
        ("http://shop.localhost", "http://shop.localhost", "http://shop.localhost", 80, ""),
    ],
)
def test_read_and_normalised(text: str, url: str, origin: str, port: int, path: str) -> None:
    site = SiteUrl.parse(text, field="f")
    assert (site.url, site.origin, site.port, site.path) == (url, origin, port, path)
    assert SiteUrl.parse(site.url, field="f") == site


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        "example.com",
        "//example.com",
        "ftp://example.com",
        "http://example.com",
        "http://10.0.0.1",
        "http://[::2]",
        "http://[::ffff:127.0.0.1]",
        "http://localhost.example.com",
        "https://user@example.com",
        "https://example.com?x",
        "https://example.com/#x",
        "https://example.com/a b",
        "https://example.com/a\\b",
        "https://example.com:99999",
        "https://exa mple.com",
        "https://example.com/" + "a" * 2048,
    ],
)
def test_refused(text: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        SiteUrl.parse(text, field="public_url")
    assert caught.value.field == "public_url"
    assert "public_url" in caught.value.message
