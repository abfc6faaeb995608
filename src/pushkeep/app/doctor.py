"""``pushkeep doctor``: looks at everything a sender depends on and says what is wrong with it, with the remedy.

Nothing is changed and no message is sent. Push services are asked for a path that no endpoint has, without a token:
any answer shows the way to them, their clock and their HTTP version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urljoin

from pushkeep.domain.doctor.findings import Finding, ok, problem
from pushkeep.domain.doctor.identity import contact_finding, file_findings, key_findings
from pushkeep.domain.doctor.keys import bound_findings
from pushkeep.domain.doctor.services import (
    FORBIDDEN_ADDRESSES,
    Knock,
    address_finding,
    clock_finding,
    guard_findings,
    knock_finding,
    proxy_finding,
)
from pushkeep.domain.doctor.site import (
    PageFacts,
    manifest_finding,
    page_findings,
    read_page,
    same_origin,
    worker_findings,
)
from pushkeep.domain.origin_map import OriginMap
from pushkeep.domain.project import Project
from pushkeep.domain.site_url import SiteUrl
from pushkeep.errors import InvalidInput
from pushkeep.ports import Clock, Store, Surroundings, Transport
from pushkeep.protocol.answer import Answer
from pushkeep.protocol.endpoint import Endpoint, parse_origin
from pushkeep.protocol.request import PushRequest
from pushkeep.protocol.signing_key import SigningKey

KNOCK_PATH = "/pushkeep-doctor"
"""No push service gives out such an endpoint; all answer it, with an error."""

DATABASE = "database"
"""Among the files with secrets it is called so."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sends.

    Attributes:
        contact: the contact in the token; None if there is none.
        key_file: the file with the signing key; None leaves it out.
        public: the public key the page subscribes with; None leaves it out.
        secret_files: further files to be kept from others, by what they hold.
    """

    contact: str | None
    key_file: str | None = None
    public: str | None = None
    secret_files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Site:
    """A site whose visitors subscribe.

    Attributes:
        url: of a page of it.
        worker: where the worker script is, relative to that page.
        scope: the scope it is registered with, relative to that page.
    """

    url: str
    worker: str
    scope: str


async def examine_identity(identity: Identity, surroundings: Surroundings) -> tuple[SigningKey | None, list[Finding]]:
    """Look at contact, key pair and the files that hold secrets; the key is handed on for :func:`examine_stored`."""
    found = [contact_finding(identity.contact)]
    key: SigningKey | None = None
    if identity.key_file is not None:
        key, findings = key_findings(await surroundings.secret_file(identity.key_file), identity.public)
        found.extend(findings)
    for what, path in identity.secret_files.items():
        file = await surroundings.secret_file(path)
        if file.content is not None:
            found.extend(file_findings(file, what, rotated="its keys" if what == DATABASE else ""))
    return key, found


async def examine_stored(store: Store, project: Project, given: SigningKey | None, *, now: float) -> list[Finding]:
    """Look at the server's keys, and at the stored subscriptions that are bound to them."""
    return list(bound_findings(await store.list_keys(project), await store.key_usage(project, now=now), given))


async def examine_guard(pinned: Transport) -> list[Finding]:
    """See that no endpoint can lead to an address that is not public.

    Args:
        pinned: a transport that finds the names of ``FORBIDDEN_ADDRESSES`` at their addresses.
    """
    answers: dict[str, Answer] = {}
    for host, address in FORBIDDEN_ADDRESSES.items():
        answers[address] = await pinned.post(_knock_request(f"https://{host}"))
    return list(guard_findings(answers))


async def examine_services(
    origins: Sequence[str],
    *,
    transport: Transport,
    surroundings: Surroundings,
    clock: Clock,
    origin_map: OriginMap,
) -> list[Finding]:
    """Look at the way to push services.

    Raises:
        InvalidInput: an origin that is none.
    """
    endpoints = [Endpoint.parse(parse_origin(origin, field="service") + KNOCK_PATH) for origin in origins]
    named = await asyncio.gather(
        *(_named(endpoint, surroundings) for endpoint in endpoints if origin_map.get(endpoint.origin) is None)
    )
    knocks = await asyncio.gather(*(_knock(endpoint, transport, clock, origin_map) for endpoint in endpoints))
    found = [*named, *(knock_finding(knock) for knock in knocks)]
    clocks = clock_finding(knocks)
    return [*found, clocks] if clocks is not None else found


async def _named(endpoint: Endpoint, surroundings: Surroundings) -> Finding:
    return address_finding(endpoint.origin, await surroundings.addresses(endpoint.host, endpoint.port))


async def _knock(endpoint: Endpoint, transport: Transport, clock: Clock, origin_map: OriginMap) -> Knock:
    entry = origin_map.get(endpoint.origin)
    sent_at, started = clock.now(), clock.monotonic()
    answer = await transport.post(_knock_request(endpoint.origin))
    return Knock(
        endpoint.origin,
        origin_map.vendor_for(endpoint),
        answer,
        f"{entry.host}:{entry.port}" if entry else None,
        sent_at,
        sent_at + clock.monotonic() - started,
    )


def _knock_request(origin: str) -> PushRequest:
    return PushRequest(Endpoint.parse(origin + KNOCK_PATH), (("TTL", "0"),), b"")


def examine_proxy(proxy: str | None, environment: Mapping[str, str]) -> list[Finding]:
    """Look at the proxy that is set, and at those that are not read."""
    names = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    return [proxy_finding(proxy, [name for name in names if environment.get(name)])]


async def examine_site(site: Site, surroundings: Surroundings) -> list[Finding]:
    """Look at a site as a browser would that is to subscribe there."""
    try:
        where = SiteUrl.parse(site.url, field="site")
    except InvalidInput as error:
        return [
            problem(
                "site_origin",
                "Not a secure context",
                error.message,
                "Serve the site over https; plain http is enough on localhost only.",
            )
        ]
    address = where.url if where.path else f"{where.url}/"
    page_url = f"{where.url}/" if site.url.endswith("/") and where.path else address
    worker_url = _joined(page_url, site.worker)
    if worker_url is None:
        raise InvalidInput("worker must be a path or URL of the worker script.", field="worker")
    page, worker = await asyncio.gather(surroundings.fetch(page_url), surroundings.fetch(worker_url))
    facts = read_page(page.body) if page.status is not None else PageFacts()
    found = [
        ok("site_origin", "Secure context", f"{where.origin} is one"),
        *page_findings(where, page, facts, worker_url),
        *worker_findings(where, worker, _joined(page_url, site.scope) or "/"),
    ]
    if page.status is not None and 200 <= page.status < 300:
        manifest_url = _joined(page_url, facts.manifest)
        # The operator named the site, but not where its pages lead: that may be an address inside this network.
        own = manifest_url is not None and same_origin(manifest_url, where)
        manifest = await surroundings.fetch(manifest_url) if own and manifest_url else None
        found.append(manifest_finding(facts, manifest, elsewhere=None if own else manifest_url))
    return found


def _joined(base: str, link: str | None) -> str | None:
    try:
        return urljoin(base, link) if link else None
    except ValueError:  # such as an unclosed bracket
        return None
