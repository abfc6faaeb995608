"""Which host and path belong to which vendor, in both directions.

Each vendor's endpoints are on its own host, as browsers give them; only Mozilla's and UnifiedPush's, whose servers
anybody may run, are on the service's. Every vendor is answered on the service's own origin too, with the same tokens,
for senders that cannot be given an origin map.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

GOOGLE_HOSTS = ("jmt17.google.com", "fcm.googleapis.com", "fcm.google.com")
"""Hosts compiled into Chromium builds; the first is that of unbranded ones such as Debian's."""

APPLE_HOST = "web.push.apple.com"
"""Of every Safari subscription."""

WNS_HOST = "wns2-ln2p.notify.windows.com"
"""One of WNS's regions."""

VENDOR_HOSTS = {**dict.fromkeys(GOOGLE_HOSTS, "fcm"), APPLE_HOST: "apple", WNS_HOST: "wns"}
"""The hosts of others that the service answers for, with the vendor of each."""

_FCM = re.compile(r"/(?:fcm/send|wp|preprod/wp)/(?P<token>[^/]+)")
_WNS = re.compile(r"/w/?")
# Python's requests writes these in capitals, which means the same (RFC 3986 section 6.2.2.1), and WNS takes them.
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_MESSAGE = re.compile(r"/m/(?P<id>[^/]+)")
_PATHS = {"fcm": _FCM, "wns": _WNS, "apple": re.compile(r"/(?P<token>[^/]+)")}
_OWN_PATHS = {
    "mozilla": re.compile(r"/wpush/(?:(?P<version>v1|v2)/)?(?P<token>[^/]+)"),
    "fcm": _FCM,
    "apple": re.compile(r"/apple/(?P<token>[^/]+)"),
    "wns": re.compile(r"/wns/w/?"),
    "unifiedpush": re.compile(r"/up/(?P<token>[^/]+)"),
}


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request leads.

    Attributes:
        vendor: who answers.
        origin: which the sender addressed; the ``aud`` of its token.
        token: of the endpoint, as it stands in the URL; None where the path is none of a push resource.
        message_id: of a message resource, unchecked; None for any other path.
        version: "v1" or "v2", of Mozilla's endpoints.
        is_missing_query: WNS's path without its query.
    """

    vendor: str
    origin: str
    token: str | None = None
    message_id: str | None = None
    version: str | None = None
    is_missing_query: bool = False


def find_route(authority: str, target: str, own_origins: Collection[str]) -> Route | None:
    """Where ``target``, addressed to ``authority`` over https, leads; None if the host is not one of ours.

    Path and query are taken as they are, but for the case of ``%2F``: a sender that decodes or orders them anew has
    another token.
    """
    host = authority.lower().removesuffix(":443")
    origin = f"https://{host}"
    path, _, query = target.partition("?")
    vendor = VENDOR_HOSTS.get(host)
    if vendor is None and origin not in own_origins:
        return None
    message = _MESSAGE.fullmatch(path)
    if message is not None:
        return Route(vendor or "mozilla", origin, message_id=message["id"])
    candidates = _OWN_PATHS if vendor is None else {vendor: _PATHS[vendor]}
    for name, pattern in candidates.items():
        match = pattern.fullmatch(path)
        if match is not None:
            return _route(name, origin, match, query)
    return Route(vendor or "mozilla", origin)


def _route(vendor: str, origin: str, match: re.Match[str], query: str) -> Route:
    if vendor == "wns":
        token = _ESCAPE.sub(lambda escape: escape[0].lower(), query.removeprefix("token="))
        return Route(vendor, origin, token, is_missing_query=not query.startswith("token="))
    version = (match["version"] or "v1") if vendor == "mozilla" else None
    return Route(vendor, origin, match["token"], version=version)


def endpoint(vendor: str, token: str, *, restricted: bool, own_origin: str, unifiedpush_origin: str) -> str:
    """The endpoint as the browser or distributor would give it."""
    match vendor:
        case "fcm":
            return f"https://{GOOGLE_HOSTS[1]}/fcm/send/{token}"
        case "apple":
            return f"https://{APPLE_HOST}/{token}"
        case "wns":
            return f"https://{WNS_HOST}/w/?token={token}"
        case "unifiedpush":
            return f"{unifiedpush_origin}/up/{token}?up=1"
        case _:
            return f"{own_origin}/wpush/{'v2' if restricted else 'v1'}/{token}"


def own_endpoint(vendor: str, token: str, *, restricted: bool, own_origin: str) -> str:
    """The endpoint of the same subscription on the service's own origin."""
    match vendor:
        case "fcm":
            return f"{own_origin}/fcm/send/{token}"
        case "apple":
            return f"{own_origin}/apple/{token}"
        case "wns":
            return f"{own_origin}/wns/w/?token={token}"
        case _:
            return endpoint(vendor, token, restricted=restricted, own_origin=own_origin, unifiedpush_origin=own_origin)


def token_of(endpoint_url: str) -> str:
    """The token in an endpoint of any vendor, by its place alone."""
    head, mark, query_token = endpoint_url.partition("?token=")
    return query_token if mark else head.partition("?")[0].rpartition("/")[2]
