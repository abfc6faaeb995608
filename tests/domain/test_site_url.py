import pytest

from pushkeep.domain.site_url import SiteUrl, is_loopback_host
from pushkeep.errors import InvalidInput


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "localhost.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"]
)
def test_this_machine(host: str) -> None:
    assert is_loopback_host(host)


@pytest.mark.parametrize(
    "host", ["", "example.com", "localhost.example.com", "xlocalhost", "128.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1"]
)
def test_other_machines(host: str) -> None:
    assert not is_loopback_host(host)


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
