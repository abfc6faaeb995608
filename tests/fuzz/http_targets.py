"""Whole requests to the local push service, answers given to the library by hand, and pages that are looked at."""

from __future__ import annotations

import itertools
from collections.abc import Coroutine

from pushkeep.client.request_builder import parse_response
from pushkeep.domain.doctor.site import Fetched, manifest_finding, page_findings, read_page, worker_findings
from pushkeep.domain.site_url import SiteUrl
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.payload import DeclarativeMessage, build_declarative, parse_declarative
from pushkeep.protocol.request import PushRequest
from pushkeep.protocol.vapid import authorization_header, sign
from pushkeep.pushservice.core import Core
from pushkeep.pushservice.events import EventLog
from pushkeep.pushservice.faults.grammar import Fault
from pushkeep.pushservice.fcm.checkin import answer_checkin
from pushkeep.pushservice.fcm.registration import answer_registration
from pushkeep.pushservice.http.message import Request, Response
from pushkeep.pushservice.hub import Hub
from pushkeep.pushservice.limits import Limits
from pushkeep.pushservice.personalities.strict import StrictService
from pushkeep.pushservice.resources import Resources
from pushkeep.pushservice.tokens import Tokens
from tests.fuzz.sender_targets import ENDPOINT, KEY, NOW
from tests.fuzz.target import Target, lines_of, text_of
from tests.protocol.vectors import BODY

OWN = "https://localhost:8443"
STATUSES = {*range(200, 205), *range(400, 432), 500, 501, 503}
LIMITS = Limits(subscriptions_max=200, subscriptions_per_client_max=50, messages_max=100, events_kept=100)
"""Small, so that a run of millions of requests reaches every limit and stays at it."""


class Service:
    """The local push service without its sockets, with one subscription of each vendor."""

    def __init__(self, *, strict: bool) -> None:
        numbers = itertools.count(1)
        self.tokens = Tokens(b"s" * 32, lambda count: next(numbers).to_bytes(8, "big").rjust(count, b"\0")[-count:])
        self.core = Core(self.tokens, LIMITS)
        self.hub = Hub(self.core, EventLog(now=lambda: NOW, kept=LIMITS.events_kept), now=lambda: NOW, limits=LIMITS)
        judge = StrictService() if strict else None
        self.resources = Resources(self.hub, lambda: frozenset({OWN}), strict=judge)
        client = self.core.client("client", "local", NOW)
        paths = {"mozilla": "/wpush/v2/", "fcm": "/fcm/send/", "apple": "/apple/", "wns": "/wns/w/?token="}
        self.targets = [
            path + self.hub.subscribe(client, vendor=vendor, channel=vendor, key=KEY.public_bytes).token
            for vendor, path in {**paths, "unifiedpush": "/up/"}.items()
        ]

    def push(self, request: Request) -> Response:
        """The answer; nothing in it waits."""
        return at_once(self.resources.handle(request))


def at_once(answering: Coroutine[object, None, Response]) -> Response:
    """What a coroutine that need not wait returns."""
    try:
        answering.send(None)
    except StopIteration as done:
        answer: Response = done.value
        return answer
    raise AssertionError("it waits")


SERVICES = {strict: Service(strict=strict) for strict in (False, True)}
DEVICE = SERVICES[False].tokens.device()
TOKEN = authorization_header(sign(KEY, audience=OWN, contact="mailto:ops@example.org", expires_at=int(NOW) + 60), KEY)


def push_resource(data: bytes) -> None:
    """One octet to choose, a header field to each line, an empty line, the body. A good token unless one is given."""
    choice = sum(data[:1])
    head, _, body = data[1 : 1 + LIMITS.request_line_and_header_bytes_max].partition(b"\n\n")
    fields = [line.decode("latin-1").partition(":") for line in head.split(b"\n") if b":" in line]
    headers = [(name.strip().lower(), value.strip()) for name, _, value in fields]
    if not any(name == "authorization" for name, _ in headers):
        headers.append(("authorization", TOKEN))
    body = body[: LIMITS.request_body_bytes_max]
    for strict, service in SERVICES.items():
        target = service.targets[choice % len(service.targets)]
        answer = service.push(Request("POST", "https", "localhost:8443", target, tuple(headers), body, len(body), "2"))
        assert answer.status in STATUSES, strict
        assert len(service.core.messages) <= LIMITS.messages_max


def push_route(data: bytes) -> None:
    """Method, authority and target, octet by octet as both HTTP versions hand them over."""
    method, authority, target = (part.decode("latin-1") for part in lines_of(data, 3))
    for service in SERVICES.values():
        answer = service.push(Request(method, "https", authority, target, (("authorization", TOKEN),), b"", 0, "2"))
        assert answer.status in STATUSES


def registration(data: bytes) -> None:
    """Chromium's registration form."""
    service = SERVICES[False]
    login = ("authorization", f"AidLogin {DEVICE[0]}:{DEVICE[1]}")
    request = Request("POST", "http", "localhost", "/c2dm/register3", (login,), data, len(data), "1.1")
    answer = at_once(answer_registration(request, service.hub))
    assert answer.status in STATUSES
    assert len(service.core.subscriptions) <= LIMITS.subscriptions_max


def checkin(data: bytes) -> None:
    """Chromium's check-in."""
    request = Request("POST", "http", "localhost", "/checkin", (), data, len(data), "1.1")
    assert answer_checkin(request, SERVICES[False].tokens, now=NOW).status in STATUSES


def fault(data: bytes) -> None:
    found = Fault.parse(text_of(data))
    assert Fault.parse(str(found)) == found


def declarative(data: bytes) -> None:
    for base in ("", "https://shop.example/app/"):
        found = parse_declarative(data, base=base)
        if found is None:
            continue
        assert found.title
        assert ":" in found.navigate
        rebuilt = parse_declarative(build_declarative(found))
        assert rebuilt is not None
        assert (rebuilt.title, rebuilt.navigate) == (found.title, found.navigate)


def response(data: bytes) -> None:
    """Status, header and body as another HTTP client hands them over."""
    status, head, body = lines_of(data, 3)
    name, _, value = text_of(head).partition(":")
    request = PushRequest(Endpoint.parse(ENDPOINT), (), b"")
    number = int.from_bytes(status[:2], "big")
    for given in (body, text_of(body)):
        outcome = parse_response(request, status=number, headers={name: value}, body=given)
        assert outcome.accepted or outcome.explanation is not None


def site(data: bytes) -> None:
    """Three header values and the text of page, worker and manifest."""
    policy, cache, allowed, body = (text_of(part) for part in lines_of(data, 4))
    where = SiteUrl.parse("https://shop.example", field="site")
    headers = {
        "content-security-policy": policy,
        "strict-transport-security": cache,
        "cache-control": cache,
        "content-type": allowed,
        "location": allowed,
        "service-worker-allowed": allowed,
    }
    worker_url = "https://shop.example/worker.js"
    facts = read_page(body)
    for status in (200, 301):
        fetched = Fetched(worker_url, status, headers, body)
        findings = [
            *page_findings(where, fetched, facts, worker_url),
            *worker_findings(where, fetched, "https://shop.example/"),
            manifest_finding(facts, fetched),
        ]
        assert all(finding.title for finding in findings)


_HEAD = b"ttl: 60\nurgency: high\ntopic: news\ncontent-encoding: aes128gcm\n\n"
_PAGE = b'<html><head><link rel="manifest" href="m.json"><meta http-equiv="Content-Security-Policy" content="a b">'
_FORM = f"app=org.chromium.linux&X-subtype=wp%3Ahttps&device={DEVICE[0]}&sender={KEY.public_b64}&scope=GCM"

HTTP_TARGETS = (
    Target("push_resource", push_resource, tuple(bytes([vendor]) + _HEAD + BODY for vendor in range(5))),
    Target(
        "push_route",
        push_route,
        (
            *(f"POST\nlocalhost:8443\n{target}".encode() for target in SERVICES[False].targets),
            b"DELETE\nlocalhost:8443\n/m/x",
            b"POST\nweb.push.apple.com\n/x",
            b"GET\nlocalhost:8443\n/up/x",
        ),
    ),
    Target("registration", registration, (_FORM.encode(), (_FORM + "&delete=true").encode())),
    Target("checkin", checkin, (b"\x10\x00\x70\x03\x69" + b"\x01" * 8,)),
    Target(
        "fault",
        fault,
        (
            b"apple status=429 retry-after=10 times=3",
            b"fcm status=503 chance=0.2 retry-after=date:30",
            b"sub:5d41402abc4b2a76 reset taken every=2 after=1 for=60",
            b"stream-limit=5",
        ),
    ),
    Target(
        "declarative",
        declarative,
        (
            build_declarative(
                DeclarativeMessage(title="x", navigate="https://shop.example/", app_badge=3, data={"a": 1})
            ),
            b'{"web_push":8030,"notification":{"title":"x","navigate":"/a","actions":[{"action":"a","title":"b"}]}}',
        ),
    ),
    Target("response", response, (b"\x01\x9a\nRetry-After: 120\nGone", b"\x01\xad\nRetry-After: 5\n{}")),
    Target(
        "site",
        site,
        (
            b"worker-src 'self'; script-src https://*.a.b:443/x/\nmax-age=31536000\n/app/\n" + _PAGE,
            b"default-src 'none', child-src *\nno-cache\ntext/javascript; charset=utf-8\n"
            b'{"name": "x", "display": "standalone"}',
        ),
    ),
)
