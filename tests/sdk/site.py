"""A stand-in for the server's browser routes: real HTTP, scripted answers, every request kept.

The real routes have tests of their own; here it has to be possible to make the server wrong.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import jinja2
from aiohttp import web

import pushkeep

PACKAGE = Path(pushkeep.__file__).parent
PROJECT = "pk_test"
CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; worker-src 'self'"

JsonObject = dict[str, object]
Answer = tuple[int, JsonObject]

OFFERS: JsonObject = {
    "name": "offers",
    "description": "Offers of the week, on Fridays",
    "basis": "consent",
    "wording": {
        "digest": "0f" * 32,
        "locale": "en",
        "version": "2026-11",
        "policy_version": "7",
        "text": "Once a week, on Friday, we tell you what is cheaper.",
    },
}
"""A purpose as pages are given it."""

AGREED: JsonObject = {"purpose": "offers", "wording": "0f" * 32}
WITHDRAWN: JsonObject = {"purpose": "offers", "given": False}
"""What pages give to the SDK."""


def made_up_key(seed: int) -> str:
    """65 octets that look like a public key to whoever does not compute with them."""
    return base64.urlsafe_b64encode(b"\x04" + bytes([seed]) * 64).decode().rstrip("=")


@dataclass
class Site:
    """The server's scripted side.

    Attributes:
        key: what ``config`` gives out.
        on_register: answers a POST; by default 201 with an id per endpoint.
        on_heartbeat: answers a heartbeat; by default that all is well.
        on_delete: answers a DELETE.
        on_consents: answers words about consent, with the token and the body; by default they hold.
        purposes: what pages are told of them.
        description: what a subscription is told of itself.
        on_receipt: answers a receipt; slow or dead servers are made with it.
        on_fetch: answers a worker that fetches the rest of a message; status and body.
        requests: (method, last path segment, body, Authorization header), in order.
        receipts: the receipts, as they came.
    """

    key: str = field(default_factory=lambda: made_up_key(1))
    on_register: Callable[[JsonObject], Answer] | None = None
    on_heartbeat: Callable[[str], Answer] = field(default=lambda _: (200, {"state": "active", "renew": False}))
    on_delete: Callable[[str, Mapping[str, str]], Answer] = field(default=lambda *_: (204, {}))
    on_consents: Callable[[str, JsonObject], Answer] = field(default=lambda _, body: all_heard(body))
    purposes: list[JsonObject] = field(default_factory=lambda: [OFFERS])
    description: Answer = (404, {})
    on_receipt: Callable[[], Awaitable[web.StreamResponse]] | None = None
    on_fetch: Callable[[str], Awaitable[web.StreamResponse]] | None = None
    requests: list[tuple[str, str, JsonObject, str | None]] = field(default_factory=list)
    receipts: list[str] = field(default_factory=list)
    variables: dict[str, object] = field(default_factory=dict)
    base: str = ""

    def register(self, body: JsonObject) -> Answer:
        if self.on_register is not None:
            return self.on_register(body)
        return registered(body)

    def bodies(self, method: str = "POST", path: str = "subscriptions") -> list[JsonObject]:
        return [body for verb, last, body, _ in self.requests if (verb, last) == (method, path)]


def heard(body: JsonObject) -> dict[str, bool]:
    """What holds by the words of a body."""
    return {str(word["purpose"]): bool(word["given"]) for word in cast(list[JsonObject], body["consents"])}


def all_heard(body: JsonObject) -> Answer:
    return 200, {"consents": heard(body)}


def registered(body: JsonObject) -> Answer:
    """A server that knows an endpoint by its last letters, and gives the same token each time."""
    subscription = body["subscription"]
    assert isinstance(subscription, Mapping)
    name = str(subscription["endpoint"]).rsplit("/", 1)[-1]
    return 201, {
        "id": f"id-{name}",
        "short_id": f"S{name:0>7}"[:8],
        "sync_token": f"st_{name}",
        "state": "active",
        "renew": False,
        "application_server_key": body["application_server_key"],
        "grace_seconds": 3600,
        "owned": "identity" in body,
        "sequence": body["sequence"],
        **({"consents": heard(body)} if "consents" in body else {}),
    }


class Sites:
    """One listening server; each test has its own origin, and with it its own storage, worker and permission."""

    def __init__(self) -> None:
        self._sites: dict[str, Site] = {}
        self._template = jinja2.Environment(
            loader=jinja2.FileSystemLoader(PACKAGE / "demo_site"), autoescape=True, undefined=jinja2.StrictUndefined
        ).get_template("index.html")
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/", self._page)
        app.router.add_get("/blank{rest:.*}", self._blank)
        app.router.add_static("/pushkeep", PACKAGE / "browser")
        app.router.add_static("/demo", PACKAGE / "demo_site")
        app.router.add_get("/v1/client/{project}/config", self._config)
        app.router.add_post("/v1/client/{project}/subscriptions", self._register)
        app.router.add_post("/v1/client/{project}/heartbeat", self._heartbeat)
        app.router.add_get("/v1/client/{project}/subscriptions", self._describe)
        app.router.add_get("/v1/client/{project}/purposes", self._purposes)
        app.router.add_post("/v1/client/{project}/consents", self._consents)
        app.router.add_post("/v1/client/{project}/receipts", self._receipt)
        app.router.add_post("/v1/client/{project}/messages", self._fetch)
        app.router.add_post("/v1/notifications", self._notify)
        app.router.add_get("/v1/notifications/n-1/outcomes", self._outcomes)
        app.router.add_delete("/v1/client/{project}/subscriptions", self._delete)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        listener = web.TCPSite(self._runner, "127.0.0.1", 0)
        await listener.start()
        server = listener._server
        assert server is not None
        self.port = server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def new(self, host: str | None = None) -> Site:
        host = host or f"t{len(self._sites)}.localhost"
        site = Site(base=f"http://{host}:{self.port}")
        self._sites[f"{host}:{self.port}"] = site
        return site

    def _site(self, request: web.Request) -> Site:
        return self._sites[request.host]

    async def _page(self, request: web.Request) -> web.Response:
        site = self._site(request)
        variables: dict[str, object] = {
            "project_key": PROJECT,
            "public_url": site.base,
            "server_url": site.base,
            "pushkeep_command": "pushkeep",
            "api_key_file": "/home/ada/.local/share/pushkeep/demo-api-key",
            "data_dir_flag": "",
            "offline": False,
            "insecure": False,
        } | site.variables
        html = self._template.render(variables)
        return web.Response(text=html, content_type="text/html", headers={"Content-Security-Policy": CSP})

    async def _blank(self, request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>Blank</title><button>Go</button>", content_type="text/html")

    async def _config(self, request: web.Request) -> web.Response:
        site = self._site(request)
        site.requests.append(("GET", "config", {}, None))
        return web.json_response({"application_server_key": site.key})

    async def _register(self, request: web.Request) -> web.Response:
        site = self._site(request)
        body: JsonObject = await request.json()
        site.requests.append(("POST", "subscriptions", body, None))
        status, answer = site.register(body)
        return web.json_response(answer, status=status)

    async def _heartbeat(self, request: web.Request) -> web.Response:
        site = self._site(request)
        body: JsonObject = await request.json()
        site.requests.append(("POST", "heartbeat", body, request.headers.get("Authorization")))
        status, answer = site.on_heartbeat(request.headers["Authorization"])
        return web.json_response(answer, status=status)

    async def _describe(self, request: web.Request) -> web.Response:
        site = self._site(request)
        site.requests.append(("GET", "subscriptions", {}, request.headers.get("Authorization")))
        status, answer = site.description
        return web.json_response(answer, status=status)

    async def _purposes(self, request: web.Request) -> web.Response:
        site = self._site(request)
        site.requests.append(("GET", "purposes", dict(request.query), None))
        return web.json_response({"purposes": site.purposes})

    async def _consents(self, request: web.Request) -> web.Response:
        site = self._site(request)
        body: JsonObject = await request.json()
        site.requests.append(("POST", "consents", body, request.headers.get("Authorization")))
        status, answer = site.on_consents(request.headers["Authorization"], body)
        return web.json_response(answer, status=status)

    async def _notify(self, request: web.Request) -> web.Response:
        body: JsonObject = await request.json()
        self._site(request).requests.append(("POST", "notifications", body, request.headers.get("Authorization")))
        return web.json_response({"id": "n-1"}, status=202)

    async def _outcomes(self, request: web.Request) -> web.Response:
        assert request.headers.get("Authorization") == self._site(request).requests[-1][3]
        return web.json_response({"items": [{"kind": "accepted"}], "next": None})

    async def _receipt(self, request: web.Request) -> web.StreamResponse:
        site = self._site(request)
        site.receipts.append(await request.text())
        if site.on_receipt is not None:
            return await site.on_receipt()
        return web.Response(status=204)

    async def _fetch(self, request: web.Request) -> web.StreamResponse:
        site = self._site(request)
        assert site.on_fetch is not None, "nothing here is to be fetched"
        return await site.on_fetch(await request.text())

    async def _delete(self, request: web.Request) -> web.Response:
        site = self._site(request)
        query: JsonObject = dict(request.query)
        site.requests.append(("DELETE", "subscriptions", query, request.headers.get("Authorization")))
        status, answer = site.on_delete(request.headers["Authorization"], request.query)
        return web.json_response(answer, status=status) if status != 204 else web.Response(status=204)
