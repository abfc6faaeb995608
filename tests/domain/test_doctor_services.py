from email.utils import formatdate

import pytest

from pushkeep.domain.doctor.findings import Level
from pushkeep.domain.doctor.services import (
    DEFAULT_SERVICES,
    FORBIDDEN_ADDRESSES,
    Knock,
    address_finding,
    clock_finding,
    guard_findings,
    knock_finding,
    proxy_finding,
)
from pushkeep.protocol.answer import Answer, FailureKind, PushResponse, TransportFailure
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.vendors import APPLE, WNS, Vendor, vendor_for

NOW = 1_800_000_000.0
ORIGIN = "https://web.push.apple.com"
REFUSED = TransportFailure("refused_address", "private")


def knock(answer: Answer, vendor: Vendor = APPLE, mapped_to: str | None = None) -> Knock:
    return Knock(ORIGIN, vendor, answer, mapped_to, NOW - 0.1, NOW + 0.1)


def told(seconds_ahead: float) -> Knock:
    """A push service's answer, seen from a machine whose clock is so much ahead."""
    return knock(PushResponse(404, {"date": formatdate(NOW - seconds_ahead, usegmt=True)}))


def test_the_four_vendors_are_tried_by_default() -> None:
    vendors = [vendor_for(Endpoint.parse(origin).host).name for origin in DEFAULT_SERVICES]
    assert vendors == ["fcm", "mozilla", "apple", "wns"]


@pytest.mark.parametrize("status", [201, 400, 401, 404, 405, 500])
def test_any_answer_over_http2_is_fine(status: int) -> None:
    finding = knock_finding(knock(PushResponse(status, {})))
    assert (finding.level, "HTTP/2 in 200 ms" in finding.seen) == (Level.OK, True)


def test_an_answer_over_http_1_is_a_warning_except_from_wns() -> None:
    answer = PushResponse(404, {}, http_version="1.1")
    assert knock_finding(knock(answer)).level is Level.WARNING
    assert knock_finding(knock(answer, WNS)).level is Level.OK


@pytest.mark.parametrize("kind", ["refused_address", "resolve", "connect", "tls", "timeout", "reset", "protocol"])
def test_no_answer_is_a_problem_with_its_remedy(kind: FailureKind) -> None:
    finding = knock_finding(knock(TransportFailure(kind, "what failed"), mapped_to="localhost:8443"))
    assert (finding.level, "dialled at localhost:8443" in finding.seen) == (Level.PROBLEM, True)


def test_a_name_must_lead_to_a_public_address() -> None:
    assert address_finding(ORIGIN, []).level is Level.PROBLEM
    assert address_finding(ORIGIN, None).level is Level.PROBLEM
    assert address_finding(ORIGIN, [("17.1.2.3", None)]).seen == f"{ORIGIN} leads to 17.1.2.3"
    assert address_finding(ORIGIN, [("17.1.2.3", None), ("10.0.0.1", "private")]).level is Level.OK
    hijacked = address_finding(ORIGIN, [("10.0.0.1", "private"), ("::1", "loopback")])
    assert (hijacked.level, "10.0.0.1 (private)" in hijacked.seen) == (Level.PROBLEM, True)


def test_the_address_check_must_refuse_every_forbidden_address() -> None:
    (finding,) = guard_findings(dict.fromkeys(FORBIDDEN_ADDRESSES.values(), REFUSED))
    assert finding.level is Level.OK
    for let_out in (PushResponse(200, {}), TransportFailure("connect", "x"), TransportFailure("timeout", "x")):
        (finding,) = guard_findings({"127.0.0.1": REFUSED, "10.0.0.1": let_out})
        assert (finding.level, finding.seen) == (Level.PROBLEM, "a request to 10.0.0.1 was not refused")


def test_a_kernel_without_ipv6_is_no_hole() -> None:
    unseen = TransportFailure("resolve", "no address")
    (finding,) = guard_findings({"127.0.0.1": REFUSED, "::1": unseen})
    assert (finding.level, finding.seen) == (Level.OK, "connections to 127.0.0.1 are refused as they open")
    (finding,) = guard_findings({"127.0.0.1": unseen})
    assert finding.level is Level.PROBLEM


def test_forbidden_names_are_never_looked_up() -> None:
    assert all(host.endswith(".invalid") for host in FORBIDDEN_ADDRESSES)


@pytest.mark.parametrize(
    ("ahead", "level"),
    [
        (0, Level.OK),
        (-50, Level.OK),
        (61.6, Level.WARNING),
        (-62, Level.WARNING),
        (11.9 * 3600, Level.WARNING),
        (12.1 * 3600, Level.PROBLEM),
        (-5.9 * 3600, Level.WARNING),
        (-6.1 * 3600, Level.PROBLEM),
        (86_400 * 400, Level.PROBLEM),
    ],
)
def test_the_clock(ahead: float, level: Level) -> None:
    finding = clock_finding([told(ahead)])
    assert finding is not None
    assert finding.level is level
    if level is not Level.OK:
        assert ("ahead of" if ahead > 0 else "behind") in finding.seen


def test_one_push_service_with_a_wrong_clock_says_nothing_about_ours() -> None:
    finding = clock_finding([told(0), told(86_400), told(1)])
    assert finding is not None
    assert finding.level is Level.OK


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Foo 2026", "\x00", "1" * 5000])
def test_a_push_service_that_does_not_tell_the_time_is_left_out(date: str) -> None:
    assert clock_finding([knock(PushResponse(404, {"date": date})), knock(REFUSED)]) is None


def test_a_proxy_is_named_without_its_password() -> None:
    finding = proxy_finding("http://user:secret@proxy.shop.dev:3128", ["https_proxy"])
    assert finding.level is Level.OK
    assert "proxy.shop.dev, port 3128" in finding.seen
    assert "secret" not in str(finding)


def test_a_proxy_in_the_environment_is_not_used_and_said_to_be_so() -> None:
    finding = proxy_finding(None, ["https_proxy"])
    assert (finding.level, "PUSHKEEP_PUSH_PROXY" in finding.remedy) == (Level.WARNING, True)
    assert proxy_finding(None, []).level is Level.OK
