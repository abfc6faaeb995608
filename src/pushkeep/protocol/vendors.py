"""The push services we know, as rows: who answers at which hosts, with which limits and quirks.

Sources: Mozilla autopush-rs documentation and source, Apple's "Sending web push notifications", Microsoft's
push request header reference, the UnifiedPush server specification, Chromium's ``push_messaging_utils.cc``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Vendor:
    """One row of the vendor table.

    Attributes:
        name: the row's key, also used in configuration, logs and metrics.
        title: how people call it.
        hosts: patterns of host names; ``*`` stands for one or more labels, ``<n>`` for digits.
        body_bytes_max: largest encrypted body it takes; RFC 8030 section 7.2 promises at least 4,096.
        ttl_seconds_max: longest storage; a larger TTL would be cut or refused. None where nothing is documented.
        ttl_seconds_min: shortest TTL that its documentation allows.
        known: whether endpoints at these hosts are accepted without the operator's opt-in.
        origin_wide_throttle: whether a throttled answer speaks for the whole service and not for one endpoint.
        topic_must_decode: whether a Topic is refused when its length is none that base64url text can have.
        relays_to_android: whether some of its messages go through a bridge with a lower size limit.
        cache_policy: whether it wants ``X-WNS-Cache-Policy`` to agree with the TTL.
    """

    name: str
    title: str
    hosts: tuple[str, ...]
    body_bytes_max: int = 4096
    ttl_seconds_max: int | None = None
    ttl_seconds_min: int = 0
    known: bool = True
    origin_wide_throttle: bool = False
    topic_must_decode: bool = False
    relays_to_android: bool = False
    cache_policy: bool = False

    def serves(self, host: str) -> bool:
        """Whether ``host`` (lower case) matches one of this row's patterns, as a whole."""
        return any(_pattern(pattern).fullmatch(host) for pattern in self.hosts)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    escaped = re.escape(text).replace(re.escape("*"), r"[a-z0-9-]+(?:\.[a-z0-9-]+)*").replace("<n>", r"[0-9]+")
    return re.compile(escaped)


_DAY_SECONDS = 86_400

FCM = Vendor(
    "fcm",
    "Google (FCM)",
    ("fcm.googleapis.com", "fcm.google.com", "jmt<n>.google.com", "android.googleapis.com"),
    ttl_seconds_max=28 * _DAY_SECONDS,
)
MOZILLA = Vendor(
    "mozilla",
    "Mozilla (autopush)",
    ("*.push.services.mozilla.com", "updates-autopush.stage.mozaws.net", "updates-autopush.dev.mozaws.net"),
    ttl_seconds_max=30 * _DAY_SECONDS,
    relays_to_android=True,
)
APPLE = Vendor(
    "apple",
    "Apple",
    ("*.push.apple.com",),
    ttl_seconds_max=30 * _DAY_SECONDS,
    ttl_seconds_min=1,
    topic_must_decode=True,
)
WNS = Vendor(
    "wns",
    "Microsoft (WNS)",
    ("*.notify.windows.com",),
    body_bytes_max=5000,
    origin_wide_throttle=True,
    cache_policy=True,
)
UNIFIEDPUSH = Vendor("unifiedpush", "UnifiedPush", (), known=False)
UNKNOWN = Vendor("unknown", "an unknown push service", (), known=False)

VENDORS: Mapping[str, Vendor] = MappingProxyType(
    {row.name: row for row in (FCM, MOZILLA, APPLE, WNS, UNIFIEDPUSH, UNKNOWN)}
)
"""Every row by name."""


def vendor_for(host: str) -> Vendor:
    """The row whose host patterns match; ``UNKNOWN`` where none does.

    A final dot makes another host: no browser gives one, and as another origin it would pass by the origin map and
    whatever is kept for the origin without it.
    """
    return next((row for row in VENDORS.values() if row.serves(host)), UNKNOWN)


OTHER = "other"
"""What all push services that nobody knows are called together in metrics: strangers choose their names."""


def is_known(vendor: str) -> bool:
    """Whether a row's name is that of a known push service."""
    row = VENDORS.get(vendor)
    return row is not None and row.known


def label_of(vendor: str) -> str:
    """How a row's name is called in metrics: itself, or ``other`` for push services that nobody knows."""
    return vendor if is_known(vendor) else OTHER
