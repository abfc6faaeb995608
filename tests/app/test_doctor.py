"""The doctor at work: against the local push service, the guard of the real transport, a site on loopback."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from pushkeep.adapters.clock import SystemClock
from pushkeep.adapters.http2 import CurlTransport
from pushkeep.adapters.surroundings import SystemSurroundings
from pushkeep.app.doctor import (
    Identity,
    Site,
    examine_guard,
    examine_identity,
    examine_proxy,
    examine_services,
    examine_site,
    examine_stored,
)
from pushkeep.domain.doctor.findings import Finding, Level
from pushkeep.domain.doctor.identity import KeyFile
from pushkeep.domain.doctor.services import FORBIDDEN_ADDRESSES
from pushkeep.domain.doctor.site import Fetched
from pushkeep.domain.origin_map import OriginMap
from pushkeep.errors import InvalidInput
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.pushservice import PushService
from tests.app.conftest import World


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with PushService() as service:
        yield service


async def examined(service: PushService, *origins: str, mapped: bool = True, ahead: float = 0.0) -> list[Finding]:
    class ShiftedClock(SystemClock):
        def now(self) -> float:
            return super().now() + ahead

    origin_map = OriginMap.parse(service.origin_map_entries() if mapped else [])
    async with CurlTransport(origin_map=origin_map) as transport:
        return await examine_services(
            origins,
            transport=transport,
            surroundings=SystemSurroundings(),
            clock=ShiftedClock(),
            origin_map=origin_map,
        )


async def test_push_services_are_reached_over_http2_and_tell_the_time(service: PushService) -> None:
    found = await examined(service, "https://fcm.googleapis.com", f"{service.url}/")
    assert [(item.check, item.level) for item in found] == [
        ("push_service", Level.OK),
        ("push_service", Level.OK),
        ("clock", Level.OK),
    ]
    assert "HTTP/2" in found[0].seen
    assert "dialled at localhost:" in found[0].seen


@pytest.mark.parametrize(("ahead", "level"), [(7200, Level.WARNING), (-7 * 3600, Level.PROBLEM)])
async def test_a_wrong_clock_is_found(service: PushService, ahead: float, level: Level) -> None:
    found = await examined(service, service.url, ahead=ahead)
    assert (found[-1].check, found[-1].level) == ("clock", level)


async def test_a_push_service_at_a_private_address_is_not_dialled(service: PushService) -> None:
    found = await examined(service, service.url, mapped=False)
    assert [(item.check, item.level) for item in found] == [
        ("names", Level.PROBLEM),
        ("push_service", Level.PROBLEM),
    ]
    assert "loopback" in found[0].seen
    assert "not public" in found[1].seen


async def test_a_push_service_that_is_down(service: PushService) -> None:
    await service.stop()
    (found,) = await examined(service, service.url)
    assert (found.check, found.level) == ("push_service", Level.PROBLEM)


@pytest.mark.parametrize(
    "origin", ["fcm.googleapis.com", "http://fcm.googleapis.com", "", "https://", "https://fcm.googleapis.com/x"]
)
async def test_what_is_no_origin_is_one_sentence(service: PushService, origin: str) -> None:
    with pytest.raises(InvalidInput, match="service"):
        await examined(service, origin)


async def test_the_real_transport_refuses_every_forbidden_address() -> None:
    pinned = {host: [address] for host, address in FORBIDDEN_ADDRESSES.items()}
    async with CurlTransport(pinned_addresses=pinned) as transport:
        (finding,) = await examine_guard(transport)
    assert (finding.check, finding.level) == ("address_check", Level.OK)
    async with CurlTransport(pinned_addresses=pinned, proxy="http://127.0.0.1:9") as transport:
        (finding,) = await examine_guard(transport)
    assert finding.level is Level.OK, "also when a proxy would dial"


def test_proxies_of_the_environment_are_named() -> None:
    (finding,) = examine_proxy(None, {"HTTPS_PROXY": "http://user:secret@proxy:3128", "http_proxy": "x"})
    assert (finding.level, "HTTPS_PROXY" in finding.seen, "secret" in str(finding)) == (Level.WARNING, True, False)


async def test_contact_key_and_further_secrets(tmp_path: Path) -> None:
    key = SigningKey.generate()
    (tmp_path / "vapid.pem").write_text(key.to_pem())
    (tmp_path / "vapid.pem").chmod(0o600)
    (tmp_path / "master.key").write_text("secret")
    (tmp_path / "master.key").chmod(0o644)
    identity = Identity(
        "mailto:push@shop.dev",
        str(tmp_path / "vapid.pem"),
        key.public_b64,
        {"master key": str(tmp_path / "master.key"), "other": str(tmp_path / "none")},
    )
    read, found = await examine_identity(identity, SystemSurroundings())
    assert read is not None
    assert read.public_bytes == key.public_bytes
    assert [(item.check, item.level) for item in found] == [
        ("contact", Level.OK),
        ("key_pair", Level.OK),
        ("public_key", Level.OK),
        ("key_file", Level.OK),
        ("key_file", Level.PROBLEM),
    ]
    assert "master key" in found[-1].title


async def test_without_a_key_file_only_the_contact_is_looked_at() -> None:
    read, found = await examine_identity(Identity(None), SystemSurroundings())
    assert (read, [item.check for item in found]) == (None, ["contact"])


async def test_stored_subscriptions_and_their_keys(world: World) -> None:
    await world.register("one")
    await world.register("two")
    (keys,) = await world.services.store.signing_keys(world.project)
    found = await examine_stored(world.services.store, world.project, keys.key, now=world.clock.now())
    assert [(item.level, item.seen) for item in found] == [(Level.OK, "2 living subscriptions are bound to it")]
    found = await examine_stored(world.services.store, world.project, SigningKey.generate(), now=world.clock.now())
    assert [item.level for item in found] == [Level.OK, Level.WARNING]


class Pages:
    """A site by script, to look at every way to be wrong."""

    def __init__(self, **pages: Fetched) -> None:
        self.asked: list[str] = []
        self._pages = pages

    async def secret_file(self, path: str) -> KeyFile:
        return KeyFile(path, None, "none")

    async def addresses(self, host: str, port: int) -> list[tuple[str, str | None]]:
        return []

    async def fetch(self, url: str) -> Fetched:
        self.asked.append(url)
        name = "worker" if url.endswith(".js") else "manifest" if "manifest" in url else "page"
        return replace(self._pages[name], url=url)


PAGE = Fetched("", 200, {"content-type": "text/html"}, '<link rel="manifest" href="/app.webmanifest">')
WORKER = Fetched("", 200, {"content-type": "text/javascript"})
MANIFEST = Fetched("", 200, {}, json.dumps({"name": "Shop", "display": "standalone"}))
SITE = Site("http://localhost:8200", "/pushkeep/worker.js", "/pushkeep/a/")


async def test_a_site_with_everything_right() -> None:
    pages = Pages(page=PAGE, worker=WORKER, manifest=MANIFEST)
    found = await examine_site(SITE, pages)
    assert {item.level for item in found} == {Level.OK}
    assert [item.check for item in found] == [
        "site_origin",
        "site_page",
        "site_csp",
        "site_worker",
        "site_scope",
        "site_worker_cache",
        "site_manifest",
    ]
    base = "http://localhost:8200"
    assert sorted(pages.asked) == [f"{base}/", f"{base}/app.webmanifest", f"{base}/pushkeep/worker.js"]


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://shop.dev/", "https://shop.dev/"),
        ("https://shop.dev/shop", "https://shop.dev/shop"),
        ("https://shop.dev/shop/", "https://shop.dev/shop/"),
    ],
)
async def test_the_page_is_asked_for_as_it_was_named(url: str, asked: str) -> None:
    pages = Pages(page=PAGE, worker=WORKER, manifest=MANIFEST)
    await examine_site(replace(SITE, url=url), pages)
    assert pages.asked[0] == asked


async def test_a_site_without_https_cannot_subscribe_anybody() -> None:
    pages = Pages()
    (finding,) = await examine_site(replace(SITE, url="http://shop.example.com"), pages)
    assert (finding.check, finding.level, pages.asked) == ("site_origin", Level.PROBLEM, [])


async def test_a_page_that_moved_is_not_read_for_a_manifest() -> None:
    moved = Fetched("", 301, {"location": "/en/"}, PAGE.body)
    found = await examine_site(SITE, Pages(page=moved, worker=WORKER))
    assert "site_manifest" not in {item.check for item in found}
    assert found[1].level is Level.PROBLEM


@pytest.mark.parametrize("link", ["http://169.254.169.254/manifest", "//cdn.shop.dev/manifest", "data:,manifest"])
async def test_a_page_leads_the_doctor_to_no_other_origin(link: str) -> None:
    pages = Pages(page=replace(PAGE, body=f'<link rel="manifest" href="{link}">'), worker=WORKER, manifest=MANIFEST)
    found = await examine_site(SITE, pages)
    assert (found[-1].check, found[-1].level, found[-1].title) == ("site_manifest", Level.OK, "Manifest not looked at")
    assert not any("manifest" in url for url in pages.asked)


async def test_a_manifest_may_begin_with_a_byte_order_mark() -> None:
    marked = replace(MANIFEST, body="\ufeff" + MANIFEST.body)
    found = await examine_site(SITE, Pages(page=PAGE, worker=WORKER, manifest=marked))
    assert found[-1].level is Level.OK


async def test_a_scope_is_relative_to_the_page_as_browsers_have_it() -> None:
    site = replace(SITE, url="http://localhost:8200/shop/", worker="sw.js", scope="./")
    found = await examine_site(site, Pages(page=PAGE, worker=WORKER, manifest=MANIFEST))
    assert "/shop/ lies below /shop/" in [item.seen for item in found]


async def test_a_manifest_link_that_is_no_link() -> None:
    broken = Fetched("", 200, {}, '<link rel="manifest" href="http://[">')
    found = await examine_site(SITE, Pages(page=broken, worker=WORKER))
    assert found[-1].level is Level.WARNING


async def test_a_worker_option_that_is_no_url() -> None:
    with pytest.raises(InvalidInput, match="worker"):
        await examine_site(replace(SITE, worker="http://["), Pages(page=PAGE))
