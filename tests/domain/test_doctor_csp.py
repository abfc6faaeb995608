import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.domain.doctor.csp import forbidding_directive

PAGE = "https://shop.example.com"
WORKER = f"{PAGE}/pushkeep/worker.js"


@pytest.mark.parametrize(
    "policy",
    [
        "",
        "img-src 'none'",
        "worker-src 'self'",
        "default-src 'none'; worker-src 'self'",
        "default-src 'none'; script-src 'none'; child-src 'self'",
        "default-src 'none'; script-src 'self' 'nonce-abc'",
        "default-src 'self'",
        "WORKER-SRC 'SELF'",
        "worker-src *",
        "worker-src https:",
        "worker-src http:",
        "worker-src http://shop.example.com",
        "worker-src https://shop.example.com",
        "worker-src shop.example.com",
        "worker-src *.example.com",
        "worker-src https://shop.example.com:443",
        "worker-src https://shop.example.com/pushkeep/",
        "worker-src https://shop.example.com/pushkeep/worker.js",
        "script-src 'strict-dynamic' 'nonce-abc'",
        "worker-src 'self'; worker-src 'none'",
        "default-src 'self', img-src 'none'",
    ],
)
def test_these_let_the_worker_through(policy: str) -> None:
    assert forbidding_directive([policy], worker_url=WORKER, page_origin=PAGE) is None


@pytest.mark.parametrize(
    ("policy", "directive"),
    [
        ("worker-src 'none'", "worker-src 'none'"),
        ("worker-src", "worker-src"),
        ("default-src 'none'", "default-src 'none'"),
        ("default-src 'self'; script-src 'none'", "script-src 'none'"),
        ("script-src 'self'; child-src https://frames.example.com", "child-src https://frames.example.com"),
        ("worker-src wss:", "worker-src wss:"),
        ("worker-src *.shop.example.com", "worker-src *.shop.example.com"),
        ("worker-src https://shop.example.com:8443", "worker-src https://shop.example.com:8443"),
        ("worker-src https://shop.example.com/js/", "worker-src https://shop.example.com/js/"),
        ("script-src 'nonce-abc'", "script-src 'nonce-abc'"),
        ("default-src 'self', worker-src 'none'", "worker-src 'none'"),
    ],
)
def test_these_forbid_it(policy: str, directive: str) -> None:
    assert forbidding_directive([policy], worker_url=WORKER, page_origin=PAGE) == directive


def test_every_policy_must_let_it_through() -> None:
    policies = ["worker-src 'self'", "default-src 'none'"]
    assert forbidding_directive(policies, worker_url=WORKER, page_origin=PAGE) == "default-src 'none'"


def test_self_is_the_pages_origin_with_its_port() -> None:
    worker = "http://localhost:8200/pushkeep/worker.js"
    assert forbidding_directive(["worker-src 'self'"], worker_url=worker, page_origin="http://localhost:8200") is None
    assert forbidding_directive(["worker-src 'self'"], worker_url=worker, page_origin="http://localhost:9000")
    assert forbidding_directive(["worker-src http://localhost"], worker_url=worker, page_origin="http://localhost:8200")
    assert not forbidding_directive(["worker-src localhost:*"], worker_url=worker, page_origin="http://localhost:8200")


@given(st.lists(st.text(max_size=80), max_size=4))
def test_no_policy_breaks_it(policies: list[str]) -> None:
    forbidding_directive(policies, worker_url=WORKER, page_origin=PAGE)
