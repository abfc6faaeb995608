"""Which addresses may a stranger's endpoint lead to?"""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pushkeep.adapters.address import is_loopback_address, is_public_address, refusal_reason

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "192.0.1.1",
    "223.255.255.255",
    "2001:4860:4860::8888",
    "2001:200::1",
    "2a00:1450:4001:830::200a",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",  # an IPv6-only network's way to reach an IPv4 push service
    "2a00:1450::5efe:808:808",
]
REFUSED = {
    "0.0.0.0": "this network",
    "0.1.2.3": "this network",
    "10.0.0.1": "private",
    "100.64.0.1": "shared by carriers",
    "100.100.100.200": "shared by carriers",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "168.63.129.16": "a cloud platform's own",
    "169.254.169.254": "link-local",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.192": "reserved for protocols",
    "192.0.2.1": "for documentation",
    "192.88.99.1": "a 6to4 relay",
    "192.168.1.1": "private",
    "198.18.0.1": "for benchmarks",
    "198.51.100.1": "for documentation",
    "203.0.113.1": "for documentation",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
    "::": "unspecified",
    "::1": "loopback",
    "::127.0.0.1": "reserved",
    "::8.8.8.8": "reserved",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:a00:1": "private",
    "::ffff:0:127.0.0.1": "reserved",
    "64:ff9b::7f00:1": "loopback",
    "64:ff9b::169.254.169.254": "link-local",
    "64:ff9b:1::808:808": "reserved",
    "100::1": "reserved",
    "2001::1": "Teredo",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2": "Teredo",
    "2001:2::1": "reserved for protocols",
    "2001:20::1": "reserved for protocols",
    "2001:db8::1": "for documentation",
    "2002:7f00:1::": "6to4",
    "2002:808:808::1": "6to4",
    "2a00:1450::5efe:7f00:1": "loopback",
    "2a00:1450::200:5efe:a00:1": "private",
    "3ffe::1": "a withdrawn test network",
    "3fff::1": "for documentation",
    "5f00::1": "reserved",
    "4000::1": "reserved",
    "fc00::1": "private",
    "fd00:ec2::254": "private",
    "fe80::1": "link-local",
    "fe80::1%lo": "bound to one network link",
    "2a00:1450::1%lo": "bound to one network link",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
    "ff0e::1": "multicast",
    "localhost": "not an IP address",
    "127.1": "not an IP address",
    "0x7f000001": "not an IP address",
    "2130706433": "not an IP address",
    "": "not an IP address",
}


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_dialled(address: str) -> None:
    assert is_public_address(address)


@pytest.mark.parametrize(("address", "reason"), REFUSED.items())
def test_everything_else_is_refused_and_says_why(address: str, reason: str) -> None:
    assert refusal_reason(address) == reason
    assert not is_public_address(address)


@given(st.ip_addresses(v=4))
@example(ipaddress.IPv4Address("127.0.0.1"))
def test_an_ipv4_address_is_judged_alike_in_every_spelling(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    mapped = ipaddress.IPv6Address(0xFFFF << 32 | number)
    nat64 = ipaddress.IPv6Address(0x64FF9B << 96 | number)
    plain = is_public_address(str(address))
    assert is_public_address(str(mapped)) is plain
    assert is_public_address(mapped.exploded) is plain
    assert is_public_address(str(nat64)) is plain
    if not plain:
        assert not is_public_address(str(ipaddress.IPv6Address(0x2002 << 112 | number << 80)))
        assert not is_public_address(str(ipaddress.IPv6Address(number)))


@given(st.ip_addresses())
@example(ipaddress.ip_address("224.0.0.1"))
@example(ipaddress.ip_address("fec0::1"))
def test_what_may_be_dialled_is_global_for_the_standard_library_too(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if is_public_address(str(address)) and getattr(address, "ipv4_mapped", None) is None:
        assert address.is_global
        assert not address.is_multicast


@given(st.text(max_size=50))
def test_any_text_gets_an_answer(text: str) -> None:
    assert isinstance(is_public_address(text), bool)
    assert isinstance(is_loopback_address(text), bool)


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("::127.0.0.1", False),
        ("localhost", False),
    ],
)
def test_loopback_is_told_apart(address: str, loopback: bool) -> None:
    assert is_loopback_address(address) is loopback
