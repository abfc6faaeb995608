"""What holds for every request, also one that no route answers."""

from __future__ import annotations

import json
import logging

import httpx
import pytest

from pushkeep.domain.moment import write_moment
from pushkeep.errors import Unavailable
from pushkeep.web.edge import REQUEST_ID_BYTES, REQUEST_IDS_DRAWN
from pushkeep.web.problems import PROBLEMS, describe
from pushkeep.web.security_headers import DATA_POLICY, PAGE_POLICY
from tests.web.conftest import Site
from tests.web.subscriptions import subscription_json

UNKNOWN_ID = "01939f6b-2f7c-7b6e-a2f3-5d1c8e0b9a47"

EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
}


def check_problem(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    problem: dict[str, object] = answer.json()
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["title"] == PROBLEMS[code].title
    assert problem["type"] == f"http://localhost:8200/v1/problems/{code}"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert isinstance(problem["detail"], str)
    assert problem["detail"]
    return problem


@pytest.mark.parametrize(
    "path",
    ["/nope", "/v1", "/v1/", "/v1/notifications/x/y", "/pushkeep/", "/pushkeep/a/", "/demo/", "/.env", "/%00", "/é"],
)
async def test_an_unknown_address_is_a_problem(site: Site, path: str) -> None:
    answer = await site.client.get(path)
    check_problem(answer, 404, "not_found")
    for name, value in EVERYWHERE.items():
        assert answer.headers[name] == value


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/healthz", {"GET", "HEAD", "OPTIONS"}),
        ("DELETE", "/v1/notifications", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("GET", f"/v1/notifications/{UNKNOWN_ID}/pause", {"POST", "OPTIONS"}),
        ("PATCH", "/v1/subscriptions", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("POST", "/v1/contacts/ann", {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"}),
        ("BREW", "/pushkeep/sdk.js", {"GET", "HEAD", "OPTIONS"}),
    ],
)
async def test_a_wrong_method_says_which_are_right(site: Site, method: str, path: str, allowed: set[str]) -> None:
    answer = await site.client.request(method, path)
    check_problem(answer, 405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) == allowed
    asked = await site.client.options(path)
    assert (asked.status_code, asked.headers.get_list("allow")) == (204, [answer.headers["allow"]])


async def test_an_unknown_address_has_no_methods(site: Site) -> None:
    answer = await site.client.options("/v1/nope")
    check_problem(answer, 404, "not_found")
    assert "allow" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/healthz", "/pushkeep/worker.js", "/v1/openapi.json", "/nope"])
async def test_head_is_get_without_a_body(site: Site, path: str) -> None:
    get, head = await site.client.get(path), await site.client.head(path)
    assert head.status_code == get.status_code
    assert head.content == b""
    for name in ("content-type", "content-length", "content-security-policy", "cache-control"):
        assert head.headers.get(name) == get.headers.get(name)


async def test_every_answer_has_the_headers_of_its_kind(site: Site) -> None:
    page = await site.client.get("/")
    assert page.headers["content-security-policy"] == PAGE_POLICY
    assert "unsafe" not in PAGE_POLICY
    for directive in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert directive in PAGE_POLICY
    for path in ("/healthz", "/v1/openapi.json", f"{site.base}/config"):
        answer = await site.client.get(path)
        assert answer.headers["content-security-policy"] == DATA_POLICY
        for name, value in EVERYWHERE.items():
            assert answer.headers[name] == value
        assert "strict-transport-security" not in answer.headers
        assert "server" not in answer.headers
        assert len(answer.headers.get_list("content-security-policy")) == 1


@pytest.mark.parametrize("overrides", [{"public_url": "https://push.example.com"}])
async def test_an_https_server_tells_browsers_to_stay_with_https(site: Site) -> None:
    for path in ("/", "/nope", "/pushkeep/worker.js"):
        assert (await site.client.get(path)).headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("header", ["X-Request-ID", "X-Forwarded-For", "Origin", "Host", "User-Agent"])
async def test_a_header_from_outside_does_not_come_back(site: Site, header: str) -> None:
    answer = await site.client.get(f"{site.base}/config", headers={header: "evil\tX-Injected: 1"})
    assert "evil" not in str(answer.headers) + answer.text


async def test_no_two_requests_have_the_same_id(site: Site) -> None:
    """They are drawn some at a time."""
    answers = [await site.client.get("/nope") for _ in range(REQUEST_IDS_DRAWN + 2)]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == len(answers)
    assert {len(found) for found in ids} == {2 * REQUEST_ID_BYTES}


@pytest.mark.parametrize(("level", "lines"), [(logging.INFO, 1), (logging.WARNING, 0)])
async def test_a_request_is_a_line_in_the_log_where_such_lines_are_wanted(
    site: Site, caplog: pytest.LogCaptureFixture, level: int, lines: int
) -> None:
    with caplog.at_level(level, logger="pushkeep.web"):
        await site.client.get("/nope")
    assert [record.msg for record in caplog.records if record.name == "pushkeep.web"] == ["request"] * lines


class BrokenStore:
    """A store whose every method fails like a library does: quoting what it was given."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> object:
        raise self._error


def break_store(site: Site, error: Exception) -> None:
    object.__setattr__(site.services, "store", BrokenStore(error))


async def test_a_defect_shows_nothing_and_logs_the_place(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    break_store(site, RuntimeError("SELECT secret-endpoint FROM x"))
    with caplog.at_level(logging.DEBUG):
        answer = await site.register(subscription_json())
    problem = check_problem(answer, 500, "internal")
    assert "secret-endpoint" not in answer.text
    (record,) = (record for record in caplog.records if record.msg == "failure")
    facts = vars(record)
    assert facts["request_id"] == problem["request_id"]
    assert facts["error"] == "RuntimeError"
    assert any("subscribe.py" in place for place in facts["at"])
    assert "secret-endpoint" not in json.dumps(facts, default=str)


async def test_a_database_that_does_not_answer_is_503(site: Site) -> None:
    break_store(site, Unavailable("The database is busy; try again."))
    for path in ("/healthz", f"{site.base}/config"):
        problem = check_problem(await site.client.get(path), 503, "unavailable")
        assert problem["detail"] == "The database is busy; try again."


async def test_the_log_has_routes_not_addresses_and_no_secret(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    subscription = subscription_json()
    with caplog.at_level(logging.DEBUG, logger="pushkeep"):  # the client of these tests logs the URLs it asks for
        receipt = (await site.register(subscription)).json()
        token = receipt["sync_token"]
        await site.client.get(f"/v1/subscriptions?key={site.api_key}", headers=site.auth)
        await site.client.get(f"/{site.api_key}")
        tomorrow = write_moment(site.services.clock.now() + 86_400)
        await site.notify(to={"all": True}, payload="secret-payload", send_at=tomorrow)
        await site.client.delete(f"{site.base}/subscriptions", headers={"Authorization": f"Bearer {token}"})
    own = [vars(record) for record in caplog.records if record.name.startswith("pushkeep")]
    text = json.dumps(own, default=str)
    keys = subscription["keys"]
    assert isinstance(keys, dict)
    for secret in (site.api_key, token, "secret-payload", str(subscription["endpoint"]), *map(str, keys.values())):
        assert secret not in text
    assert "203.0.113.7" not in text
    requests = [facts for facts in own if facts["msg"] == "request"]
    assert [(facts["method"], facts["route"], facts["status"]) for facts in requests] == [
        ("POST", "/v1/client/{project_key}/subscriptions", 201),
        ("GET", "/v1/subscriptions", 422),
        ("GET", "-", 404),
        ("POST", "/v1/notifications", 202),
        ("DELETE", "/v1/client/{project_key}/subscriptions", 204),
    ]
    assert requests[1]["code"] == "invalid_input"
    assert not any("network" in facts or "address" in facts for facts in requests), "not by default"
    assert "203.0.113" not in text


@pytest.mark.parametrize(
    ("overrides", "fact"),
    [
        ({"log_addresses": "truncated"}, ("network", "203.0.113.0/24")),
        ({"log_addresses": "full"}, ("address", "203.0.113.7")),
    ],
)
async def test_the_log_has_as_much_of_an_address_as_the_operator_wants(
    site: Site, fact: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        await site.client.get("/healthz")
    (line,) = [vars(record) for record in caplog.records if record.msg == "request"]
    assert {name: line[name] for name in ("network", "address") if name in line} == dict([fact])


def test_a_detail_is_bounded_and_always_encodable() -> None:
    problem = describe(Unavailable("\ud800" + "x" * 5000), request_id="r", base_url="")
    assert len(json.loads(problem.body)["detail"]) == 600


async def test_every_problem_can_be_looked_up(site: Site) -> None:
    for code, row in PROBLEMS.items():
        answer = await site.client.get(f"/v1/problems/{code}")
        assert (answer.json()["status"], answer.json()["meaning"]) == (row.status, row.meaning)
    check_problem(await site.client.get("/v1/problems/nonsense"), 404, "not_found")
