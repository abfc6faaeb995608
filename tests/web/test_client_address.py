"""Who asks, behind proxies that are trusted and only those."""

from __future__ import annotations

import ipaddress

import pytest

from pushkeep.domain.site_url import SiteUrl
from pushkeep.web.client_address import Caller, identify

PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8:ffff::/48"))
HTTPS_SITE = SiteUrl.parse("https://push.example.com", field="public_url")
LOCAL_SITE = SiteUrl.parse("http://localhost:8200", field="public_url")


def caller(peer: str | None, scheme: str = "http", **headers: str) -> Caller:
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return identify(peer=peer, scheme=scheme, headers=raw, trusted=PROXIES)


def test_without_a_trusted_proxy_the_peer_is_the_client() -> None:
    found = caller("203.0.113.7", x_forwarded_for="198.51.100.1", x_forwarded_proto="https", host="push.example.com")
    assert (found.address, found.scheme) == ("203.0.113.7", "http")


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("6.6.6.6, 198.51.100.1", "198.51.100.1"),  # what stands further left is the client's own word
        ("198.51.100.1, 10.2.3.4", "198.51.100.1"),
        ("10.9.9.9, 10.2.3.4", "10.9.9.9"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("rubbish", "10.0.0.1"),
        ("198.51.100.1, rubbish, 10.2.3.4", "10.2.3.4"),
        ("", "10.0.0.1"),
        ("," * 10_000, "10.0.0.1"),
    ],
)
def test_a_trusted_proxy_names_the_nearest_address_that_is_no_proxy(chain: str, client: str) -> None:
    assert caller("10.0.0.1", x_forwarded_for=chain).address == client


def test_a_trusted_proxy_says_what_the_browser_spoke() -> None:
    assert caller("::ffff:10.0.0.1", x_forwarded_proto="https").scheme == "https"
    assert caller("10.0.0.1", x_forwarded_proto="gopher").scheme == "http"
    assert caller("10.0.0.1", x_forwarded_proto="http, https").scheme == "https"


@pytest.mark.parametrize(
    ("host", "secure"),
    [
        ("localhost:8200", True),
        ("app.localhost", True),
        ("127.0.0.1:8200", True),
        ("[::1]:8200", True),
        ("192.168.1.5:8200", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("", False),
        ("a b", False),
        ("x@localhost", False),
    ],
)
def test_plain_http_is_secure_on_this_machine_only(host: str, secure: bool) -> None:
    assert caller("203.0.113.7", host=host).is_secure(LOCAL_SITE) is secure


def test_a_tls_proxy_that_nobody_listed_is_known_by_the_public_host() -> None:
    assert caller("203.0.113.7", host="push.example.com").is_secure(HTTPS_SITE)
    assert not caller("203.0.113.7", host="push.example.com:8200").is_secure(HTTPS_SITE)
    assert not caller("203.0.113.7", host="push.example.com").is_secure(LOCAL_SITE)
    assert caller("203.0.113.7", "https", host="anything.example").is_secure(LOCAL_SITE)


def test_a_transport_without_addresses_has_an_unknown_client() -> None:
    assert caller("/run/pushkeep.sock", x_forwarded_for="198.51.100.1").address == "/run/pushkeep.sock"
    assert caller(None, x_forwarded_for="198.51.100.1").address == "unknown"
