import pytest

from pushkeep.domain.site_url import SiteUrl
from pushkeep.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("https://example.com", SiteUrl("https://example.com", "https", "example.com", 443, "https://example.com", "")),
        (
            "https://Example.com/",
            SiteUrl("https://example.com", "https", "example.com", 443, "https://example.com", ""),
        ),
        (
            "https://example.com:8443/shop/",
            SiteUrl("https://example.com:8443/shop", "https", "example.com", 8443, "https://example.com:8443", "/shop"),
        ),
        (
            "http://localhost:8200",
            SiteUrl("http://localhost:8200", "http", "localhost", 8200, "http://localhost:8200", ""),
        ),
        ("http://[::1]/", SiteUrl("http://[::1]", "http", "::1", 80, "http://[::1]", "")),
    ],
)
def test_where_a_site_may_live(text: str, parsed: SiteUrl) -> None:
    assert SiteUrl.parse(text, field="site_url") == parsed


@pytest.mark.parametrize(
    "text",
    [
        "",
        None,
        7,
        "example.com",
        "http://example.com",
        "http://192.168.1.5:8200",
        "ftp://example.com",
        "https://user@example.com",
        "https://example.com/?q",
        "https://example.com/#f",
        "https://example.com/a b",
        "https://example.com/\\x",
        "https://",
        "https://example.com/" + "x" * 2048,
    ],
)
def test_where_it_may_not(text: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        SiteUrl.parse(text, field="public_url")
    assert caught.value.field == "public_url"
