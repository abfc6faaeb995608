import pytest

from pushkeep.domain.origin_map import ENTRIES_MAX, MappedOrigin, OriginMap
from pushkeep.errors import InvalidInput
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.vendors import FCM, MOZILLA, UNKNOWN


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        (
            "https://push.example.net=https://127.0.0.1:8443,ca=/tmp/ca.pem,vendor=mozilla",
            MappedOrigin("https://push.example.net", "https", "127.0.0.1", 8443, "/tmp/ca.pem", MOZILLA),
        ),
        (
            "https://push.example.net:8443=https://inner.example.net",
            MappedOrigin("https://push.example.net:8443", "https", "inner.example.net", 443),
        ),
        (
            "https://push.example.net=http://localhost",
            MappedOrigin("https://push.example.net", "http", "localhost", 80),
        ),
        (
            "https://push.example.net=http://[::1]:8080,vendor=fcm",
            MappedOrigin("https://push.example.net", "http", "::1", 8080, None, FCM),
        ),
        (
            "HTTPS://Push.Example.NET:443/=https://[2001:db8::1]",
            MappedOrigin("https://push.example.net", "https", "2001:db8::1", 443),
        ),
        (
            "https://push.example.net=http://a.localhost:1",
            MappedOrigin("https://push.example.net", "http", "a.localhost", 1),
        ),
    ],
)
def test_an_entry_is_read_and_written(text: str, entry: MappedOrigin) -> None:
    assert MappedOrigin.parse(text) == entry
    assert MappedOrigin.parse(entry.to_text()) == entry


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://push.example.net",
        "https://push.example.net=",
        "https://push.example.net=inner",
        "https://push.example.net/path=https://inner",
        "http://push.example.net=https://inner",
        "https://push.example.net=https://inner/path",
        "https://push.example.net=ftp://inner",
        "https://push.example.net=https://inner:0",
        "https://push.example.net=https://inner,ca",
        "https://push.example.net=https://inner,ca=",
        "https://push.example.net=https://inner,ca=a,ca=b",
        "https://push.example.net=https://inner,verify=no",
        "https://push.example.net=https://inner,vendor=acme",
        "https://push.example.net=http://inner",
        "https://push.example.net=http://10.0.0.1",
        "https://push.example.net=http://127.0.0.1.evil.example",
    ],
)
def test_what_is_no_entry(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        MappedOrigin.parse(text)
    assert caught.value.field == "origin_map"


def test_a_map_finds_by_origin_and_knows_its_vendors() -> None:
    mapped = OriginMap.parse(
        [
            "https://localhost:8443=https://127.0.0.1:8443,vendor=mozilla",
            "https://fcm.googleapis.com=https://127.0.0.1:8443",
        ]
    )
    assert len(mapped) == 2
    assert [entry.origin for entry in mapped] == ["https://localhost:8443", "https://fcm.googleapis.com"]
    assert mapped.get("https://localhost") is None
    assert mapped.vendor_for(Endpoint.parse("https://localhost:8443/x")) is MOZILLA
    assert mapped.vendor_for(Endpoint.parse("https://fcm.googleapis.com/x")) is FCM
    assert mapped.vendor_for(Endpoint.parse("https://localhost/x")) is UNKNOWN


def test_an_empty_map_is_falsy() -> None:
    assert not OriginMap()
    assert OriginMap.parse(["https://a.example=https://b.example"])


def test_a_map_names_an_origin_once_and_is_short() -> None:
    with pytest.raises(InvalidInput, match="two entries"):
        OriginMap.parse(["https://a.example=https://b.example", "https://A.example:443=https://c.example"])
    with pytest.raises(InvalidInput, match="more than 100"):
        OriginMap.parse([f"https://a{number}.example=https://b.example" for number in range(ENTRIES_MAX + 1)])
