import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.errors import InvalidInput
from pushkeep.protocol.endpoint import ENDPOINT_CHARACTERS_MAX, Endpoint, is_loopback_host, parse_origin


@pytest.mark.parametrize(
    ("url", "origin", "host", "port", "target"),
    [
        ("https://push.example.net/wpush/v2/abc", "https://push.example.net", "push.example.net", 443, "/wpush/v2/abc"),
        ("HTTPS://Push.Example.NET:443/A?b=%2f%2B", "https://push.example.net", "push.example.net", 443, "/A?b=%2f%2B"),
        (
            "https://push.example.net:8443?token=x",
            "https://push.example.net:8443",
            "push.example.net",
            8443,
            "?token=x",
        ),
        ("https://[2001:DB8:0::1]/x", "https://[2001:db8::1]", "2001:db8::1", 443, "/x"),
        ("https://[::1]:9443/x", "https://[::1]:9443", "::1", 9443, "/x"),
        ("https://192.0.2.7", "https://192.0.2.7", "192.0.2.7", 443, ""),
        ("https://a_b.example./x", "https://a_b.example.", "a_b.example.", 443, "/x"),
        ("https://h/a@b:c//../%00", "https://h", "h", 443, "/a@b:c//../%00"),
    ],
)
def test_a_good_endpoint_is_read_and_its_url_kept(url: str, origin: str, host: str, port: int, target: str) -> None:
    endpoint = Endpoint.parse(url)
    assert Endpoint.known(url) == endpoint
    assert (endpoint.url, endpoint.origin, endpoint.host) == (url, origin, host)
    assert (endpoint.port, endpoint.target, endpoint.scheme) == (port, target, "https")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (None, "non-empty string"),
        ("", "non-empty string"),
        (b"https://a/", "non-empty string"),
        ("https://a/" + "x" * ENDPOINT_CHARACTERS_MAX, "limit is 2048"),
        ("push.example.net/x", "https://"),
        ("http://push.example.net/x", "https://"),
        ("ftp://push.example.net/x", "https://"),
        ("https:/push.example.net", "https://"),
        ("https://a/x#y", "fragment"),
        ("https://a#", "fragment"),
        ("https://user:pw@a/x", "user information"),
        ("https://a/x y", "character"),
        ("https://a/\r\nX: y", "character"),
        ("https://a/ä", "character"),
        ("https://a\\@b/x", "character"),
        ("https://\u212a.example.net/x", "host"),
        ("https:///x", "host"),
        ("https://-a/x", "host"),
        ("https://a..b/x", "host"),
        ("https://" + "a." * 130 + "b/x", "host"),
        ("https://127.1/x", "host"),
        ("https://2130706433/x", "host"),
        ("https://0x7f000001/x", "host"),
        ("https://a.0x1/x", "host"),
        ("https://a.0xf/x", "host"),
        ("https://127.0.0.01/x", "host"),
        ("https://[::1/x", "host"),
        ("https://[::1]9/x", "host"),
        ("https://[fe80::1%25eth0]/x", "host"),
        ("https://[::zz]/x", "host"),
        ("https://a:/x", "port"),
        ("https://a:0/x", "port"),
        ("https://a:65536/x", "port"),
        ("https://a:123456/x", "port"),
        ("https://a:8x/x", "port"),
        ("https://a:٣/x", "port"),
    ],
)
def test_a_bad_endpoint_is_refused_with_its_reason(url: object, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        Endpoint.parse(url)
    assert caught.value.field == "endpoint"


def test_an_endpoint_never_shows_itself() -> None:
    endpoint = Endpoint.parse("https://push.example.net/secret-token")
    assert "secret" not in f"{endpoint} {endpoint!r} {endpoint.label}"
    assert endpoint.label.startswith("https://push.example.net#")
    assert str(endpoint) == endpoint.label
    assert Endpoint.parse("https://push.example.net/other").label != endpoint.label


@given(st.text(max_size=80))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for candidate in (text, "https://" + text):
        try:
            endpoint = Endpoint.parse(candidate)
        except InvalidInput:
            continue
        assert endpoint.url == candidate
        assert Endpoint.parse(endpoint.origin).origin == endpoint.origin
        assert Endpoint.known(endpoint.url) == endpoint


def test_origins_are_normalised_and_bare() -> None:
    assert parse_origin("https://A.example:443/") == "https://a.example"
    assert parse_origin("http://localhost:80", allow_http=True) == "http://localhost"
    assert parse_origin("http://[::1]:8080", allow_http=True) == "http://[::1]:8080"
    for text, said in [
        ("http://a", "https://"),
        ("https://a/x", "without path"),
        ("https://a?x", "without path"),
        ("", "origin such as"),
        (None, "origin such as"),
        ("https://" + "a" * 3000, "origin such as"),
    ]:
        with pytest.raises(InvalidInput, match=said):
            parse_origin(text)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_this_machine(host: str) -> None:
    assert is_loopback_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "example.com",
        "localhost.",
        "a.localhost.",
        "localhost.example.com",
        "xlocalhost",
        "127.0.0.1.x",
        "128.0.0.1",
        "0.0.0.0",
        "::",
        "::ffff:127.0.0.1",
    ],
)
def test_other_machines(host: str) -> None:
    assert not is_loopback_host(host)
