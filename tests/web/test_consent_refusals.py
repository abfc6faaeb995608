"""Each wrong key, token, name and body of the routes about consent and people: a problem in one sentence, and no row of
any table is another one than before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import cycle

from tests.web.conftest import Site
from tests.web.subscriptions import subscription_json

ABSENT = "0" * 64
WORD = {"purpose": "offers", "given": True, "method": "prompt"}
OBJECTION = {"purpose": "offers", "given": False, "method": "settings"}
TOO_MANY = [{**WORD, "purpose": f"p{number}"} for number in range(21)]


@dataclass(frozen=True)
class Wrong:
    """A request that is refused.

    Attributes:
        route: method and path; ``{pk}`` is the publishable key.
        status: of the answer.
        says: part of its detail or of the field that it names.
        body: JSON.
        shows: which key: ``api``, ``sync`` (of a visitor), ``none``, ``wrong`` (an API key that nobody has).
    """

    route: str
    status: int
    says: str = ""
    body: object = field(default=None)
    shows: str = "api"


# As many as may come without a valid key before an address has to wait.
SERVER_ROUTES = (
    "GET /v1/purposes",
    "PUT /v1/purposes/offers",
    "POST /v1/purposes/offers/wordings",
    "GET /v1/consents",
    "POST /v1/consents",
    "POST /v1/consents/seal",
    "GET /v1/contacts/ann/export",
    "DELETE /v1/contacts/ann",
    "GET /v1/erasures",
)
NOT_THE_API_KEY = ("none", "wrong", "sync")
SAY, WORDINGS = "POST /v1/consents", "POST /v1/purposes/offers/wordings"
BROWSER = "POST /v1/client/{pk}/consents"
TEXT = {"locale": "en", "version": "2", "text": "May we?"}
CASES = [
    *(Wrong(route, 401, shows=shows, body={}) for route, shows in zip(SERVER_ROUTES, cycle(NOT_THE_API_KEY))),
    Wrong("PUT /v1/purposes/No!", 422, "purpose", {"description": "x", "basis": "consent"}),
    Wrong("PUT /v1/purposes/offers", 422, "basis", {"description": "x", "basis": "hope"}),
    Wrong("PUT /v1/purposes/offers", 422, "description", {"description": "", "basis": "consent"}),
    Wrong("PUT /v1/purposes/offers", 422, "colour", {"description": "x", "basis": "consent", "colour": "red"}),
    Wrong(WORDINGS, 409, "another text", {**TEXT, "version": "1", "text": "Something else"}),
    Wrong(WORDINGS, 422, "locale", {**TEXT, "locale": "english please"}),
    Wrong(WORDINGS, 422, "text", {**TEXT, "text": ""}),
    Wrong(WORDINGS, 422, "text", {**TEXT, "text": "x" * 4001}),
    Wrong("POST /v1/purposes/nothing/wordings", 422, "offers", TEXT),
    Wrong(SAY, 422, "offers", {"contact": "ann", "purpose": "nothing", "given": True}),
    Wrong(SAY, 422, "given", {"contact": "ann", "purpose": "offers", "given": "yes"}),
    Wrong(SAY, 422, "wording", {"contact": "ann", "purpose": "offers", "given": True, "wording": ABSENT}),
    Wrong(SAY, 422, "at", {"contact": "ann", "purpose": "offers", "given": True, "at": "tomorrow"}),
    Wrong(SAY, 422, "at", {"contact": "ann", "purpose": "offers", "given": True, "at": "2999-01-01T00:00:00Z"}),
    Wrong(SAY, 422, "contact", {"purpose": "offers", "given": True}),
    Wrong(SAY, 422, "not both", {"contact": "a", "subscription": "ABCDEFGH", "purpose": "offers", "given": True}),
    Wrong(SAY, 404, "subscription", {"subscription": "ABCDEFGH", "purpose": "offers", "given": True}),
    Wrong(SAY, 422, "contact", {"contact": "x" * 201, "purpose": "offers", "given": True}),
    Wrong("GET /v1/consents?limit=0", 422, "limit"),
    Wrong("GET /v1/consents?purpose=nothing", 422, "offers"),
    Wrong("GET /v1/contacts/nobody/export", 404, "contact"),
    Wrong("POST /v1/notifications", 422, "offers", {"to": {"all": True}, "content": {"title": "x"}, "purpose": "no"}),
    *(Wrong(BROWSER, 401, body={"consents": [OBJECTION]}, shows=shows) for shows in ("none", "wrong", "api")),
    Wrong(BROWSER, 422, "wording", {"consents": [WORD]}, "sync"),
    Wrong(BROWSER, 422, "wording", {"consents": [{**WORD, "wording": ABSENT}]}, "sync"),
    Wrong(BROWSER, 422, "consents", {"consents": TOO_MANY}, "sync"),
    Wrong(BROWSER, 422, "method", {"consents": [{**WORD, "method": "api", "wording": "{wording}"}]}, "sync"),
    Wrong(BROWSER, 422, "offers", {"consents": [{"purpose": "no", "given": False, "method": "settings"}]}, "sync"),
    Wrong(BROWSER, 422, "consents", {}, "sync"),
    Wrong("GET /v1/client/pk_000000000000000000000000/purposes", 404, shows="none"),
    Wrong("GET /v1/client/{pk}/purposes?locale=x", 422, "locale", shows="none"),
    Wrong("DELETE /v1/client/{pk}/subscriptions?erase=true&reason=left", 401, shows="none"),
    Wrong("DELETE /v1/client/{pk}/subscriptions?erase=perhaps&reason=left", 422, "erase", shows="sync"),
]


async def test_each_is_refused_and_changes_nothing(site: Site) -> None:
    purpose = await site.client.put(
        "/v1/purposes/offers", json={"description": "Offers", "basis": "consent"}, headers=site.auth
    )
    assert purpose.status_code in (200, 201), purpose.text
    worded = await site.client.post("/v1/purposes/offers/wordings", json={**TEXT, "version": "1"}, headers=site.auth)
    assert worded.status_code == 201, worded.text
    registered = await site.register(subscription_json(), identity=await site.identity("ann"))
    assert registered.status_code == 201, registered.text
    shown = {
        "api": site.auth,
        "sync": {"Authorization": f"Bearer {registered.json()['sync_token']}"},
        "wrong": {"Authorization": f"Bearer sk_{'0' * 48}"},
        "none": {},
    }
    before = site.contents()
    odd = []
    for wrong in CASES:
        method, _, path = wrong.route.partition(" ")
        path = path.replace("{pk}", site.project.publishable_key)
        body = {} if wrong.body is None else {"json": wrong.body}
        answer = await site.client.request(method, path, headers=shown[wrong.shows], **body)
        is_problem = answer.headers.get("content-type", "").startswith("application/problem+json")
        if answer.status_code != wrong.status or wrong.says not in answer.text or not is_problem:
            odd.append((wrong, answer.status_code, answer.text))
    assert not odd, "\n".join(map(str, odd))
    assert site.contents() == before
