"""The way to the push services: names, addresses, the address check, HTTP/2, the clock, a proxy."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from urllib.parse import urlsplit

from pushkeep.domain.doctor.findings import Finding, ok, problem, warning
from pushkeep.domain.explanations import diagnose
from pushkeep.protocol.answer import Answer, PushResponse, TransportFailure
from pushkeep.protocol.token_cache import TOKEN_LIFETIME_SECONDS
from pushkeep.protocol.vapid import TOKEN_LIFETIME_SECONDS_MAX
from pushkeep.protocol.vendors import Vendor

DEFAULT_SERVICES = (
    "https://fcm.googleapis.com",
    "https://updates.push.services.mozilla.com",
    "https://web.push.apple.com",
    "https://wns2-ln2p.notify.windows.com",
)
"""One origin of each of the four vendors; WNS has one for each region."""

SKEW_SECONDS_WARNING = 60.0
"""A clock that is synchronised at all is within a second; a minute means that it is not."""

SKEW_SECONDS_FAST_MAX = float(TOKEN_LIFETIME_SECONDS_MAX - TOKEN_LIFETIME_SECONDS)
"""Ahead by more, our tokens expire over 24 h after the request, which push services refuse (RFC 8292 section 2)."""

SKEW_SECONDS_SLOW_MAX = TOKEN_LIFETIME_SECONDS / 2
"""Behind by more, a token that is renewed at half its life has expired."""

FORBIDDEN_ADDRESSES: Mapping[str, str] = MappingProxyType(
    {
        "loopback.pushkeep.invalid": "127.0.0.1",
        "loopback6.pushkeep.invalid": "::1",
        "private.pushkeep.invalid": "10.0.0.1",
        "metadata.pushkeep.invalid": "169.254.169.254",
    }
)
"""Names (never looked up, RFC 6761) that are pinned to addresses no endpoint may lead to: this machine, a private
network, the metadata service of cloud platforms."""


@dataclass(frozen=True, slots=True)
class Knock:
    """One request to a push service, without a token and to no endpoint: any answer will do.

    Attributes:
        origin: the push service's.
        vendor: its row.
        answer: what came of it.
        mapped_to: where it was dialled, when the origin map says so.
        sent_at: our clock when it was sent, epoch seconds.
        answered_at: our clock when the answer was there.
    """

    origin: str
    vendor: Vendor
    answer: Answer
    mapped_to: str | None
    sent_at: float
    answered_at: float


def knock_finding(knock: Knock) -> Finding:
    """Whether the push service is reached, and over HTTP/2."""
    where = f"{knock.origin} (dialled at {knock.mapped_to})" if knock.mapped_to else knock.origin
    answer = knock.answer
    if isinstance(answer, TransportFailure):
        row = diagnose(knock.vendor, answer).row
        return problem("push_service", f"{knock.vendor.title} is not reached", f"{where}: {answer.detail}", row.remedy)
    milliseconds = (knock.answered_at - knock.sent_at) * 1000
    seen = f"{where} answers over HTTP/{answer.http_version} in {milliseconds:.0f} ms"
    if answer.http_version == "2" or knock.vendor.name == "wns":  # nobody knows whether WNS speaks HTTP/2
        return ok("push_service", f"{knock.vendor.title} is reached", seen)
    return warning(
        "push_service",
        f"{knock.vendor.title} is reached without HTTP/2",
        seen,
        "Look for a proxy on the way that opens TLS or knows no ALPN; over HTTP/1.1 a broadcast takes far longer.",
    )


def address_finding(origin: str, addresses: Sequence[tuple[str, str | None]] | None) -> Finding:
    """Whether a push service's name leads to public addresses.

    Args:
        origin: the push service's.
        addresses: each with the reason why it may not be dialled, None where it may; None if there are none.
    """
    if not addresses:
        return problem(
            "names",
            "A push service's name cannot be resolved",
            f"there is no address for {origin}",
            "Look at this machine's DNS (/etc/resolv.conf) and its way to the internet.",
        )
    refused = [f"{address} ({reason})" for address, reason in addresses if reason is not None]
    if len(refused) < len(addresses):
        return ok("names", "Name of a push service", f"{origin} leads to {addresses[0][0]}" + _more(len(addresses)))
    return problem(
        "names",
        "A push service's name leads to an address that is not public",
        f"{origin} leads to {', '.join(refused[:3])}",
        "Look at this machine's DNS: a filter or an internal zone answers for it. If the push service is your own, add "
        "it to the origin map (--map-origin).",
    )


def _more(count: int) -> str:
    return f" and {count - 1} more" if count > 1 else ""


def guard_findings(answers: Mapping[str, Answer]) -> Iterator[Finding]:
    """Whether addresses that no endpoint may lead to are refused when the connection is opened.

    Args:
        answers: by address, what became of a request to it.
    """
    kinds = {
        address: answer.kind if isinstance(answer, TransportFailure) else "answered"
        for address, answer in answers.items()
    }
    refused = [address for address, kind in kinds.items() if kind == "refused_address"]
    # Where the kernel has no IPv6, libcurl finds no address in a pinned IPv6 one and dials nothing.
    undialled = [address for address, kind in kinds.items() if kind == "resolve" and ":" in address]
    open_ = [address for address in answers if address not in refused and address not in undialled]
    if open_:
        yield problem(
            "address_check",
            "The address check let a connection out",
            f"a request to {', '.join(open_)} was not refused",
            "Do not accept subscriptions until this is understood, and report it: see SECURITY.md.",
        )
    else:
        yield ok("address_check", "Address check", f"connections to {', '.join(refused)} are refused as they open")


def clock_finding(knocks: Sequence[Knock]) -> Finding | None:
    """Whether our clock agrees with the push services'; None if none of them told the time."""
    skews = [skew for knock in knocks if (skew := _skew(knock)) is not None]
    if not skews:
        return None
    skew = statistics.median(skews)
    seen = f"this machine's clock is {_duration(abs(skew))} {'ahead of' if skew > 0 else 'behind'} the push services'"
    remedy = "Have the clock set by the network: timedatectl set-ntp true, or install chrony."
    if skew > SKEW_SECONDS_FAST_MAX or -skew > SKEW_SECONDS_SLOW_MAX:
        return problem("clock", "The clock is so wrong that push services refuse our tokens", seen, remedy)
    if abs(skew) > SKEW_SECONDS_WARNING:
        return warning("clock", "The clock is wrong", seen, remedy)
    return ok("clock", "Clock", f"within {max(abs(skew), 1):.0f} s of the push services'")


def _skew(knock: Knock) -> float | None:
    """Seconds by which we are ahead of the push service."""
    if not isinstance(knock.answer, PushResponse):
        return None
    try:
        told = parsedate_to_datetime(knock.answer.headers.get("date", "")).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    # A Date is cut to the second, so half a second more is the best guess.
    return (knock.sent_at + knock.answered_at) / 2 - (told + 0.5)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def proxy_finding(proxy: str | None, environment: Sequence[str]) -> Finding:
    """Whether the way to the push services is the one that was meant.

    Args:
        proxy: the setting.
        environment: names of proxy variables that are set, which Pushkeep does not read.
    """
    if proxy is not None:
        parts = urlsplit(proxy)
        return ok("proxy", "Proxy", f"push services are reached through {parts.hostname}, port {parts.port}")
    if environment:
        return warning(
            "proxy",
            "A proxy is set that is not used",
            f"{', '.join(environment)} is set in the environment, and Pushkeep does not read it",
            "Set PUSHKEEP_PUSH_PROXY if push services are to be reached through it; otherwise all is well.",
        )
    return ok("proxy", "Proxy", "none; push services are reached directly")
