import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.domain.doctor.findings import Finding, Level
from pushkeep.domain.doctor.site import (
    Fetched,
    PageFacts,
    manifest_finding,
    page_findings,
    read_page,
    worker_findings,
)
from pushkeep.domain.site_url import SiteUrl

SITE = SiteUrl.parse("https://shop.example.com", field="site")
LOCAL = SiteUrl.parse("http://localhost:8200", field="site")
WORKER = "https://shop.example.com/pushkeep/worker.js"
SCOPE = "/pushkeep/a/"
SCRIPT = {"content-type": "text/javascript; charset=utf-8"}
HSTS = {"strict-transport-security": "max-age=31536000; includeSubDomains"}


def levels(findings: object) -> dict[str, Level]:
    return {item.check: item.level for item in findings}  # type: ignore[attr-defined]


def worker(status: int = 200, url: str = WORKER, scope: str = SCOPE, **headers: str) -> list[Finding]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return list(worker_findings(SITE, Fetched(url, status, {**SCRIPT, **named}), scope))


def page(status: int = 200, site: SiteUrl = SITE, facts: PageFacts | None = None, **headers: str) -> list[Finding]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return list(page_findings(site, Fetched(f"{site.url}/", status, named), facts or PageFacts(), WORKER))


def test_a_page_with_everything_right() -> None:
    found = levels(
        page(content_security_policy="default-src 'self'", **{"strict-transport-security": "max-age=31536000"})
    )
    assert found == {"site_page": Level.OK, "site_hsts": Level.OK, "site_csp": Level.OK}


@pytest.mark.parametrize("status", [301, 302, 404, 500])
def test_a_page_that_is_not_there_or_elsewhere(status: int) -> None:
    finding = page(status, location="https://www.example.com/")[0]
    assert (finding.check, finding.level, "https://www.example.com/" in finding.seen) == (
        "site_page",
        Level.PROBLEM,
        True,
    )


def test_a_page_that_does_not_answer() -> None:
    found = list(page_findings(SITE, Fetched(SITE.url, None, failure="refused"), PageFacts(), WORKER))
    assert (found[0].level, found[0].seen) == (Level.PROBLEM, "refused")


@pytest.mark.parametrize("value", [None, "max-age=300", "includeSubDomains", "max-age=nonsense"])
def test_no_lasting_hsts_is_a_warning_on_https_alone(value: str | None) -> None:
    headers = {"strict_transport_security": value} if value else {}
    assert levels(page(**headers))["site_hsts"] is Level.WARNING
    assert "site_hsts" not in levels(page(site=LOCAL, **headers))


def test_a_policy_that_forbids_the_worker_in_the_header_or_the_page() -> None:
    assert levels(page(content_security_policy="worker-src 'none'"))["site_csp"] is Level.PROBLEM
    facts = read_page("""<meta http-equiv="Content-Security-Policy" content="worker-src 'none'">""")
    assert levels(page(facts=facts))["site_csp"] is Level.PROBLEM


def test_a_worker_with_everything_right() -> None:
    found = levels(worker(cache_control="no-cache", service_worker_allowed="/pushkeep/"))
    assert found == {"site_worker": Level.OK, "site_scope": Level.OK, "site_worker_cache": Level.OK}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_worker_behind_a_redirect_is_refused_by_browsers(status: int) -> None:
    (finding,) = worker(status, location="/elsewhere.js")
    assert (finding.level, "/elsewhere.js" in finding.seen) == (Level.PROBLEM, True)


@pytest.mark.parametrize("status", [204, 404, 403, 500])
def test_a_worker_that_is_not_there(status: int) -> None:
    (finding,) = worker(status)
    assert finding.level is Level.PROBLEM


def test_a_worker_that_is_not_reached() -> None:
    (finding,) = worker_findings(SITE, Fetched(WORKER, None, failure="refused"), SCOPE)
    assert (finding.level, finding.seen) == (Level.PROBLEM, "refused")


@pytest.mark.parametrize("url", ["https://cdn.example.com/worker.js", "http://shop.example.com/worker.js"])
def test_a_worker_on_another_origin(url: str) -> None:
    (finding,) = worker(url=url)
    assert (finding.level, "another origin" in finding.title) == (Level.PROBLEM, True)


@pytest.mark.parametrize("kind", ["text/html", "", "text/plain", "application/json", "text/javascript2"])
def test_a_worker_that_is_not_javascript(kind: str) -> None:
    assert levels(worker(content_type=kind))["site_worker"] is Level.PROBLEM


@pytest.mark.parametrize(
    "kind", ["application/javascript", "TEXT/JAVASCRIPT", "application/x-javascript;charset=utf-8"]
)
def test_a_worker_that_is_javascript_by_any_name(kind: str) -> None:
    assert levels(worker(content_type=kind))["site_worker"] is Level.OK


@pytest.mark.parametrize(
    ("url", "scope", "allowed", "level"),
    [
        (WORKER, "/pushkeep/a/", None, Level.OK),
        (WORKER, "/pushkeep/", None, Level.OK),
        (WORKER, "/", None, Level.PROBLEM),
        (WORKER, "/", "/", Level.OK),
        (WORKER, "/pushkeep/a/", "/pushkeep/b/", Level.PROBLEM),
        (WORKER, "/pushkeepers/", None, Level.PROBLEM),
        ("https://shop.example.com/sw.js", "/", None, Level.OK),
        ("https://shop.example.com/js/sw.js", "./", None, Level.OK),
        ("https://shop.example.com/js/sw.js", "../", "..", Level.OK),
    ],
)
def test_scopes(url: str, scope: str, allowed: str | None, level: Level) -> None:
    headers = {} if allowed is None else {"service_worker_allowed": allowed}
    assert levels(worker(url=url, scope=scope, **headers))["site_scope"] is level


@pytest.mark.parametrize(
    ("value", "level"),
    [
        ("no-cache", Level.OK),
        ("max-age=86400", Level.OK),
        ("public, max-age=86401", Level.WARNING),
        ("s-maxage=31536000", Level.OK),
        ("max-age=31536000, immutable", Level.WARNING),
    ],
)
def test_cache_of_the_worker(value: str, level: Level) -> None:
    assert levels(worker(cache_control=value))["site_worker_cache"] is level


def manifest(status: int = 200, **fields: object) -> Level:
    fetched = Fetched("https://shop.example.com/app.webmanifest", status, {}, json.dumps(fields))
    return manifest_finding(PageFacts(manifest="/app.webmanifest"), fetched).level


def test_a_manifest_that_makes_an_app() -> None:
    assert manifest(display="standalone", name="Shop") is Level.OK
    assert manifest(display="fullscreen", short_name="Shop") is Level.OK


def test_without_such_a_manifest_iphones_cannot_subscribe() -> None:
    assert manifest_finding(PageFacts(), None).level is Level.WARNING
    assert manifest(display="browser", name="Shop") is Level.WARNING
    assert manifest(name="Shop") is Level.WARNING
    assert manifest(display="standalone") is Level.WARNING
    assert manifest(404, display="standalone", name="Shop") is Level.WARNING
    for body in ("", "[]", "nonsense", "[" * 100_000):
        fetched = Fetched("https://shop.example.com/m", 200, {}, body)
        assert manifest_finding(PageFacts(manifest="m"), fetched).level is Level.WARNING


def test_a_page_is_read_for_policies_and_manifest() -> None:
    html = """<!doctype html><META HTTP-EQUIV=content-security-policy CONTENT="worker-src 'self'">
    <link rel="icon" href="/i.png"><link rel="Manifest" href="/a.webmanifest"><link rel=manifest href="/b">"""
    assert read_page(html) == PageFacts(("worker-src 'self'",), "/a.webmanifest")


@given(st.text(alphabet="<>!-/='\" \nabmetlinkrhpcos&#;", max_size=300))
def test_no_page_breaks_the_reading(html: str) -> None:
    read_page(html)
