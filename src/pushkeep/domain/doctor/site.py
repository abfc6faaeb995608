"""Can visitors of a site subscribe? What its page, its worker script and its manifest say.

Sources: W3C Service Workers (registration: secure context, MIME type, no redirect, scope and
``Service-Worker-Allowed``, the 24 hours of the update check); WebKit, Web Push for Web Apps on iOS and iPadOS.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from pushkeep.domain.doctor.csp import forbidding_directive
from pushkeep.domain.doctor.findings import Finding, ok, problem, warning
from pushkeep.domain.site_url import SiteUrl

WORKER_CACHE_SECONDS_MAX = 86_400
"""Browsers ask for a worker script at least once a day, whatever its headers say."""

HSTS_SECONDS_MIN = 15_552_000
"""Half a year; less is gone between two visits."""

LOCATION_CHARACTERS_MAX = 200
"""Of a redirect's target: enough to recognise it, too little to flood a terminal."""

JAVASCRIPT_TYPES = (
    frozenset(
        f"{kind}/{name}"
        for kind in ("text", "application")
        for name in ("javascript", "ecmascript", "x-javascript", "x-ecmascript")
    )
    | {"text/jscript", "text/livescript"}
    | {f"text/javascript1.{minor}" for minor in range(6)}
)
"""HTML's list of JavaScript MIME types."""

_MAX_AGE = re.compile(r"(?:^|[\s,;])max-age\s*=\s*\"?(\d{1,12})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fetched:
    """One GET, without following a redirect.

    Attributes:
        url: what was asked for.
        status: None where there was no answer.
        headers: by lower-case name.
        body: as much as was read.
        failure: why there was no answer.
    """

    url: str
    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    failure: str = ""


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What a page's HTML says that concerns push.

    Attributes:
        policies: contents of its meta elements with a Content-Security-Policy.
        manifest: where its manifest is, as it stands there; None without one.
    """

    policies: tuple[str, ...] = ()
    manifest: str | None = None


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.policies: list[str] = []
        self.manifest: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "meta" and given.get("http-equiv", "").lower() == "content-security-policy":
            self.policies.append(given.get("content", ""))
        elif tag == "link" and "manifest" in given.get("rel", "").lower().split() and self.manifest is None:
            self.manifest = given.get("href")


def read_page(html: str) -> PageFacts:
    """Find what concerns push in a page."""
    reader = _Reader()
    reader.feed(html)
    return PageFacts(tuple(reader.policies), reader.manifest)


def same_origin(url: str, site: SiteUrl) -> bool:
    """Whether an absolute URL is of the site's own origin."""
    return "{0.scheme}://{0.netloc}".format(urlsplit(url)) == site.origin


def page_findings(site: SiteUrl, page: Fetched, facts: PageFacts, worker_url: str) -> Iterator[Finding]:
    """Whether the page may register the worker."""
    if page.status is None or not 200 <= page.status < 300:
        moved = page.headers.get("location", "")[:LOCATION_CHARACTERS_MAX]
        seen = page.failure or f"{page.url} answers {page.status}" + (f" and leads to {moved}" if moved else "")
        yield problem(
            "site_page",
            "The page is not there",
            seen,
            "Give --site the address where the page itself answers: a subscription belongs to one origin.",
        )
    else:
        yield ok("site_page", "Page", f"{page.url} answers {page.status} in a secure context")
    if site.scheme == "https":
        yield hsts_finding(page.headers.get("strict-transport-security"))
    header = page.headers.get("content-security-policy")
    policies = (*((header,) if header else ()), *facts.policies)
    forbidding = forbidding_directive(policies, worker_url=worker_url, page_origin=site.origin)
    if forbidding is not None:
        yield problem(
            "site_csp",
            "The page's policy forbids its worker",
            f"Content-Security-Policy says `{forbidding}`",
            "Add `worker-src 'self'` to the policy.",
        )
    else:
        yield ok("site_csp", "Content-Security-Policy", "allows the worker" if policies else "none; allows the worker")


def hsts_finding(value: str | None) -> Finding:
    """Whether browsers keep to https by themselves."""
    found = _MAX_AGE.search(value or "")
    seconds = int(found[1]) if found else 0
    if seconds >= HSTS_SECONDS_MIN:
        return ok("site_hsts", "HSTS", f"browsers keep to https for {seconds // 86_400} days")
    return warning(
        "site_hsts",
        "No lasting HSTS",
        f"Strict-Transport-Security is {value or 'not sent'}",
        "Send `Strict-Transport-Security: max-age=31536000`: a visit over plain http is no secure context and cannot "
        "subscribe.",
    )


def worker_findings(site: SiteUrl, worker: Fetched, scope: str) -> Iterator[Finding]:
    """Whether browsers accept the worker script, and notice a new one."""
    if not same_origin(worker.url, site):
        yield problem(
            "site_worker",
            "The worker is on another origin than the page",
            f"{worker.url} is not on {site.origin}",
            "Serve the worker script from the page's own origin, through a proxy or as a copy.",
        )
        return
    if worker.status is None:
        yield problem("site_worker", "The worker script is not reached", worker.failure, "Serve it at that address.")
        return
    if 300 <= worker.status < 400:
        where = worker.headers.get("location", "nowhere")[:LOCATION_CHARACTERS_MAX]
        yield problem(
            "site_worker",
            "The worker script is a redirect",
            f"{worker.url} answers {worker.status} and leads to {where}",
            "Serve the script itself at that address: browsers refuse a worker behind a redirect.",
        )
        return
    if worker.status != 200:
        yield problem(
            "site_worker",
            "The worker script is not there",
            f"{worker.url} answers {worker.status}",
            "Pass /pushkeep/ to the Pushkeep server or copy worker.js, core.js and keeper.js there, or name yours with "
            "--worker.",
        )
        return
    yield type_finding(worker)
    yield scope_finding(worker, scope)
    yield cache_finding(worker)


def type_finding(worker: Fetched) -> Finding:
    """Whether the script is served as JavaScript."""
    given = worker.headers.get("content-type", "")
    if given.partition(";")[0].strip().lower() in JAVASCRIPT_TYPES:
        return ok("site_worker", "Worker script", f"{worker.url} is served as {given}")
    return problem(
        "site_worker",
        "The worker script is not served as JavaScript",
        f"{worker.url} has Content-Type {given or 'none'}; a page of the site in its place is the usual reason",
        "Send `Content-Type: text/javascript` with it.",
    )


def scope_finding(worker: Fetched, scope: str) -> Finding:
    """Whether the worker may have the scope: below its own directory, or as its header allows."""
    allowed = worker.headers.get("service-worker-allowed")
    widest = urlsplit(urljoin(worker.url, allowed if allowed is not None else "./")).path
    wanted = urlsplit(urljoin(worker.url, scope)).path
    if wanted.startswith(widest):
        return ok("site_scope", "Scope", f"{wanted} lies below {widest}")
    return problem(
        "site_scope",
        "The worker may not have that scope",
        f"{wanted} does not lie below {widest}" + ("" if allowed is None else ", as Service-Worker-Allowed has it"),
        f"Serve the script higher up, or send `Service-Worker-Allowed: {wanted}` with it.",
    )


def cache_finding(worker: Fetched) -> Finding:
    """Whether a new worker is noticed within a day."""
    value = worker.headers.get("cache-control", "")
    found = _MAX_AGE.search(value)
    if found is None or int(found[1]) <= WORKER_CACHE_SECONDS_MAX:
        return ok("site_worker_cache", "Cache of the worker", value or "no Cache-Control")
    return warning(
        "site_worker_cache",
        "The worker script is kept for long",
        f"Cache-Control is {value}; caches before the browser keep a faulty worker that long",
        "Send `Cache-Control: no-cache` with it: the script is small and asked for rarely.",
    )


def manifest_finding(facts: PageFacts, manifest: Fetched | None, *, elsewhere: str | None = None) -> Finding:
    """Whether iPhones and iPads can subscribe: only from the Home Screen, with a manifest that makes an app.

    Args:
        facts: what the page says.
        manifest: as it was fetched; None if it was not.
        elsewhere: where it is, if that is another origin, which is not asked.
    """
    if elsewhere is not None:
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(elsewhere))[:200]
        return ok("site_manifest", "Manifest not looked at", f"it is on another origin, {origin}")
    remedy = (
        "Link a manifest with `name`, `icons`, `start_url` and a `display` of `standalone` in the page's head, and ask "
        "visitors with an iPhone to add the site to their Home Screen."
    )
    title = "iPhones and iPads cannot subscribe"
    if facts.manifest is None or manifest is None:
        return warning("site_manifest", title, "the page links no manifest", remedy)
    if manifest.status != 200:
        return warning("site_manifest", title, manifest.failure or f"the manifest answers {manifest.status}", remedy)
    try:
        read: object = json.loads(manifest.body.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        return warning("site_manifest", title, "the manifest is no JSON object", remedy)
    if read.get("display") not in ("standalone", "fullscreen"):
        seen = f"the manifest's display is {json.dumps(read.get('display'))[:40]}"
        return warning("site_manifest", title, seen, remedy)
    if not (read.get("name") or read.get("short_name")):
        return warning("site_manifest", "The app on the Home Screen has no name", "the manifest has no name", remedy)
    return ok("site_manifest", "Manifest for iPhone and iPad", f"display is {read['display']}")
