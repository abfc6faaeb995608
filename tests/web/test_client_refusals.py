"""The table of hostile and mistaken requests to the browser routes: each gets a clear error, and nothing changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from pushkeep.domain.identity import sign_identity
from pushkeep.domain.sync_token import make_sync_token
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.signing_key import SigningKey
from tests.web.conftest import Site, running_site, settings_for
from tests.web.subscriptions import JsonObject, subscription_json, with_keys

SITE = "https://shop.example.com"
EVIL = "https://evil.example"
UNKNOWN_ID = "01939f6b-2f7c-7b6e-a2f3-5d1c8e0b9a47"


@dataclass
class Scene:
    """What is stored while strangers knock.

    Attributes:
        site: the server.
        ann: a subscription of ann's, with sequence 10; and what was registered.
        left: one whose visitor has unsubscribed, with sequence 20.
        old, new: one that was replaced, and what replaced it, with sequence 30.
        out: one that somebody has logged out of.
        foreign: a sync token of another server.
        before_logout: the site's word for ann that was given before that log-out.
        secret: of this project, for identity tokens.
        sync_secret: of this project, for sync tokens.
    """

    site: Site
    ann: tuple[JsonObject, Any]
    left: tuple[JsonObject, Any]
    old: tuple[JsonObject, Any]
    new: tuple[JsonObject, Any]
    out: tuple[JsonObject, Any]
    foreign: str
    before_logout: str
    secret: bytes
    sync_secret: bytes

    @property
    def now(self) -> float:
        return self.site.services.clock.now()

    def signed(self, external_id: str, **given: Any) -> str:
        secret = given.pop("secret", self.secret)
        claims = {"expires_at": self.now + 600, "issued_at": self.now, **given}
        return sign_identity(secret, external_id=external_id, **claims)

    def web_token(self, secret: bytes | None = None, algorithm: str = "HS256", **claims: object) -> str:
        given = {"sub": "eve", "exp": self.now + 600, "iat": self.now, **claims}
        key = self.secret if secret is None else secret
        return jwt.encode(given, "" if algorithm == "none" else key, algorithm=algorithm)


Request = Callable[[Scene], Awaitable[httpx.Response]]


@dataclass
class Case:
    """A request, and how it is refused: status, code, and members of the problem."""

    name: str
    request: Request
    status: int
    code: str
    members: dict[str, object]


def case(name: str, request: Request, status: int, code: str, **members: object) -> Case:
    return Case(name, request, status, code, members)


def register(which: str, **more: object) -> Request:
    """Register what is stored as ``which`` again (or something new), with more in the body."""

    async def ask(scene: Scene) -> httpx.Response:
        body = {name: value(scene) if callable(value) else value for name, value in more.items()}
        stored: JsonObject = subscription_json() if which == "fresh" else getattr(scene, which)[0]
        given: Any = body.pop("subscription", stored)
        return await scene.site.register(given, **body)

    return ask


def token(method: str, path: str, given: object, **more: Any) -> Request:
    """Show something as a sync token."""

    async def ask(scene: Scene) -> httpx.Response:
        shown = given(scene) if callable(given) else given
        return await scene.site.ask(method, path, shown, **more)

    return ask


def stranger(method: str, path: str, **more: Any) -> Request:
    """A page of another site, with a token that holds."""

    async def ask(scene: Scene) -> httpx.Response:
        headers = {"Origin": EVIL, "Authorization": f"Bearer {token_of('ann')(scene)}"}
        return await scene.site.client.request(method, f"{scene.site.base}/{path}", headers=headers, **more)

    return ask


def token_of(which: str) -> Callable[[Scene], str]:
    return lambda scene: str(getattr(scene, which)[1]["sync_token"])


def tag_of_another(scene: Scene) -> str:
    return f"{token_of('ann')(scene)[:40]}{token_of('new')(scene)[40:]}"


def of_another_project(scene: Scene) -> str:
    public_id = str(scene.ann[1]["id"])
    return make_sync_token(scene.sync_secret, project_public_id=UNKNOWN_ID, public_id=public_id)


FORGED_TOKENS: list[tuple[str, object, str]] = [
    ("another's tag", tag_of_another, "bad_signature"),
    ("of another server", lambda scene: scene.foreign, "bad_signature"),
    ("of another project here", of_another_project, "bad_signature"),
    ("made with the wrong secret", lambda scene: of_another_project(scene)[:-5] + "AAAAA", "bad_signature"),
    ("cut short", lambda scene: token_of("ann")(scene)[:-1], "malformed"),
    ("with more behind it", lambda scene: token_of("ann")(scene) + "A", "malformed"),
    ("an id alone", lambda scene: scene.ann[1]["id"], "malformed"),
    ("the publishable key", lambda scene: scene.site.project.publishable_key, "malformed"),
    ("an API key", lambda scene: scene.site.api_key, "malformed"),
]

TOKEN_ROUTES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "heartbeat", {"json": {}}),
    ("GET", "subscriptions", {}),
    ("DELETE", "subscriptions", {}),
    ("DELETE", "subscriptions?reason=lost", {}),
]

TOKENS = [
    # By the field the page tells this from what a proxy answers in the server's place.
    case(
        f"{method} {path}: {name}",
        token(method, path, given, **more),
        401,
        "invalid_token",
        field="sync_token",
        reason=reason,
    )
    for method, path, more in TOKEN_ROUTES
    for name, given, reason in FORGED_TOKENS
] + [
    case(f"replaces: {name}", register("fresh", replaces=given), 403, "invalid_token", field="replaces", reason=reason)
    for name, given, reason in FORGED_TOKENS
]

IDENTITIES: list[tuple[str, Callable[[Scene], str], str]] = [
    ("another secret", lambda scene: scene.signed("eve", secret=bytes(32)), "bad_signature"),
    ("expired", lambda scene: scene.signed("eve", expires_at=scene.now - 1), "expired"),
    ("for ever", lambda scene: scene.signed("eve", expires_at=scene.now + 1e7), "expires_too_late"),
    ("of tomorrow", lambda scene: scene.signed("eve", issued_at=scene.now + 86_400), "not_yet_valid"),
    ("no token", lambda scene: "eve", "bad_signature"),
    ("JWT, unsigned", lambda scene: scene.web_token(algorithm="none"), "algorithm"),
    ("JWT, another HMAC", lambda scene: scene.web_token(scene.secret * 2, "HS512"), "algorithm"),
    ("JWT, another secret", lambda scene: scene.web_token(bytes(32)), "bad_signature"),
    ("JWT, expired", lambda scene: scene.web_token(exp=scene.now - 1), "expired"),
    ("JWT, of another audience", lambda scene: scene.web_token(aud="elsewhere"), "wrong_audience"),
    ("JWT, nobody", lambda scene: scene.web_token(sub=""), "malformed"),
]

OWNERSHIP = [
    *(
        case(
            f"identity: {name}", register(which, identity=given), 403, "invalid_token", field="identity", reason=reason
        )
        for name, given, reason in IDENTITIES
        for which in ("fresh", "ann")
    ),
    case(
        "the word for ann of before the log-out",
        register("out", identity=lambda scene: scene.before_logout),
        403,
        "invalid_token",
        field="identity",
        reason="stale",
    ),
    case(
        "the same, through a replacement",
        register("fresh", identity=lambda scene: scene.before_logout, replaces=token_of("out")),
        403,
        "invalid_token",
        field="identity",
        reason="stale",
    ),
    case(
        "a word without a time after a log-out",
        register("out", identity=lambda scene: scene.signed("ann", issued_at=None)),
        403,
        "invalid_token",
        field="identity",
        reason="stale",
    ),
    case(
        "the word for bob of before ann logged in",
        register("ann", identity=lambda scene: scene.signed("bob", issued_at=scene.now - 300)),
        403,
        "invalid_token",
        field="identity",
        reason="stale",
    ),
    case(
        "logged in and out at once",
        register("ann", identity=lambda scene: scene.signed("ann"), detach=True),
        422,
        "invalid_input",
        field="detach",
    ),
    case("an owner by name", register("ann", contact="eve"), 422, "invalid_input", field="contact"),
    case("an owner by name, once more", register("ann", owner="eve"), 422, "invalid_input", field="owner"),
    case(
        "one browser more than a contact may have",
        register("fresh", identity=lambda scene: scene.signed("ann")),
        409,
        "conflict",
        field="identity",
        reason="owner_full",
    ),
]

RE_SYNCS = [
    case(
        "with another key",
        register("ann", application_server_key=SigningKey.generate().public_b64),
        409,
        "conflict",
        field="application_server_key",
        reason="foreign_key",
        application_server_key=lambda scene: scene.site.server_key,
    ),
    case(
        "of a known endpoint with other secrets",
        register("ann", subscription=lambda scene: with_keys(scene.ann[0], auth=b64url_encode(bytes(16)))),
        409,
        "conflict",
        field="replaces",
        reason="other_secrets",
    ),
    case(
        "the same, with another's token",
        register(
            "ann",
            subscription=lambda scene: with_keys(scene.ann[0], auth=b64url_encode(bytes(16))),
            replaces=token_of("new"),
        ),
        409,
        "conflict",
        reason="other_secrets",
    ),
    case("of what was replaced", register("old"), 409, "conflict", field="replaces", reason="replaced"),
    case("late", register("ann", sequence=9), 409, "conflict", field="sequence", reason="stale", sequence=10),
    case("late, after it left", register("left", sequence=19), 409, "conflict", reason="stale", sequence=20),
    case(
        "late, by what it replaces",
        register("fresh", replaces=lambda scene: [token_of("ann")(scene), token_of("new")(scene)], sequence=29),
        409,
        "conflict",
        reason="stale",
        sequence=30,
    ),
    case(
        "late, by what was replaced since",
        register("fresh", replaces=token_of("old"), sequence=29),
        409,
        "conflict",
        reason="stale",
        sequence=30,
    ),
    case(
        "a late heartbeat",
        token("POST", "heartbeat", token_of("ann"), json={"sequence": 9}),
        409,
        "conflict",
        reason="stale",
        sequence=10,
    ),
    case(
        "a late end",
        token("DELETE", "subscriptions?sequence=9", token_of("ann")),
        409,
        "conflict",
        reason="stale",
        sequence=10,
    ),
    case(
        "one forged token among good ones",
        register("fresh", replaces=lambda scene: [token_of("ann")(scene), scene.foreign]),
        403,
        "invalid_token",
        field="replaces",
        reason="bad_signature",
    ),
    case(
        "too many predecessors",
        register("fresh", replaces=lambda scene: [token_of("ann")(scene)] * 9),
        422,
        "invalid_input",
        field="replaces",
    ),
    case(
        "at an unknown push service", register("fresh", subscription=subscription_json(f"{EVIL}/x")), 403, "forbidden"
    ),
]

NO_HEARTBEATS: list[object] = [{"sequence": -1}, {"sequence": 2**53}, {"state": "active"}, [], 7]

SHAPES = [
    *(
        case(f"sequence {value!r}", register("ann", sequence=value), 422, "invalid_input", field="sequence")
        for value in (-1, 2**53, 1.5, "7", True)
    ),
    *(
        case(
            f"heartbeat {body!r}",
            token("POST", "heartbeat", token_of("ann"), json=body),
            422,
            "invalid_input",
        )
        for body in NO_HEARTBEATS
    ),
    case("heartbeat without a body", token("POST", "heartbeat", token_of("ann")), 415, "unsupported_media_type"),
    case(
        "heartbeat that needs no preflight",
        token("POST", "heartbeat", token_of("ann"), data={"sequence": "1"}),
        415,
        "unsupported_media_type",
    ),
    *(
        case(f"DELETE ?{query}", token("DELETE", f"subscriptions?{query}", token_of("ann")), 422, "invalid_input")
        for query in (
            "reason=",
            "reason=gone",
            "sequence=-1",
            "sequence=1e3",
            f"sequence={2**53}",
            "force=1",
            "reason=left&reason=lost",
        )
    ),
    case("GET with a query", token("GET", "subscriptions?id=1", token_of("ann")), 422, "invalid_input"),
    case("detach as text", register("ann", detach="yes"), 422, "invalid_input", field="detach"),
    case("replaces as a number", register("ann", replaces=7), 422, "invalid_input", field="replaces"),
    case("replaces with a number", register("ann", replaces=[7]), 422, "invalid_input"),
]

STRANGERS = [
    case(f"{method} {path} from a foreign page", stranger(method, path, **more), 403, "forbidden", field="Origin")
    for method, path, more in [
        *TOKEN_ROUTES,
        ("POST", "subscriptions", {"json": {}}),
        ("GET", "config", {}),
        ("GET", "nothing", {}),
    ]
]


@pytest.fixture
def overrides() -> dict[str, object]:
    # Everybody here shares one address.
    limits = {"client_requests_burst": 1000, "contact_requests_per_minute": 1000}
    return {"site_url": SITE, "contact_subscriptions_max": 2, **limits}


@pytest.fixture
async def scene(site: Site, tmp_path: Path) -> Scene:
    async def registered(subscription: JsonObject | None = None, **more: object) -> tuple[JsonObject, Any]:
        subscription = subscription or subscription_json()
        answer = await site.register(subscription, **more)
        assert answer.status_code in (200, 201), answer.text
        return subscription, answer.json()

    async with running_site(settings_for(tmp_path / "other")) as other:
        foreign = (await other.register(subscription_json())).json()["sync_token"]
    secrets = await site.services.store.project_secrets(site.project)
    before_logout = await site.identity("ann", issued_ago=60)
    ann = await registered(identity=await site.identity("ann"), sequence=10)
    left = await registered()
    await site.ask("DELETE", "subscriptions?sequence=20", left[1]["sync_token"])
    old = await registered()
    new = await registered(replaces=old[1]["sync_token"], sequence=30)
    out, _ = await registered(identity=await site.identity("ann"))
    logged_out = await registered(out, detach=True)
    await registered(identity=await site.identity("ann"))
    return Scene(site, ann, left, old, new, logged_out, foreign, before_logout, secrets.identity, secrets.sync)


@pytest.mark.parametrize(
    "cases",
    [TOKENS, OWNERSHIP, RE_SYNCS, SHAPES, STRANGERS],
    ids=["tokens", "ownership", "re-syncs", "shapes", "foreign pages"],
)
async def test_each_is_refused_clearly_and_changes_nothing(scene: Scene, cases: list[Case]) -> None:
    before = scene.site.contents()
    for row in cases:
        answer = await row.request(scene)
        problem = answer.json()
        assert (answer.status_code, problem.get("code")) == (row.status, row.code), (row.name, answer.text)
        for name, wanted in row.members.items():
            expected = wanted(scene) if callable(wanted) else wanted
            assert problem.get(name) == expected, (row.name, answer.text)
        assert problem["detail"].endswith("."), row.name
        assert answer.headers["content-type"] == "application/problem+json", row.name
        secret_parts = [str(part[1]["sync_token"])[-43:] for part in (scene.ann, scene.old, scene.new)]
        endpoints = [str(part[0]["endpoint"]) for part in (scene.ann, scene.old, scene.new)]
        assert not [text for text in (*secret_parts, *endpoints) if text in answer.text], row.name
        assert scene.site.contents() == before, row.name
