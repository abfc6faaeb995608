"""One push service and one browser of each make for all tests here; every test is a visitor of a new origin."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from pushkeep.pushservice import PushService
from pushkeep.testing import browsers

from .desk import Desk, desk_for
from .site import Site, Visitor, running_site, subscribe

HERE = Path(__file__).parent

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browsers live as long as the session, so the tests that use them share its event loop."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def push_service() -> AsyncIterator[PushService]:
    async with PushService() as service:
        yield service


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=browsers.NAMES)
async def session_desk(request: pytest.FixtureRequest, push_service: PushService) -> AsyncIterator[Desk]:
    async with desk_for(request.param, push_service) as desk:
        yield desk


@pytest_asyncio.fixture(loop_scope="session")
async def desk(session_desk: Desk) -> AsyncIterator[Desk]:
    """The session's browser with nothing left over from the test before."""
    session_desk.notifications.skip()
    before = session_desk.service.last_event_serial
    yield session_desk
    # Shown by pytest when the test failed: what the push service saw of it.
    for event in session_desk.service.events(before):
        print(event)
    print(await session_desk.browser.tabs())
    await session_desk.browser.close_tabs()


@pytest_asyncio.fixture(loop_scope="session")
async def site(desk: Desk, tmp_path: Path) -> AsyncIterator[Site]:
    """A Pushkeep of its own with the demo page, at an origin of its own."""
    async with running_site(tmp_path / "data", desk.service, f"t{next(_numbers)}") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(desk: Desk, site: Site) -> Visitor:
    """Somebody who has pressed Subscribe on the demo page."""
    return await subscribe(desk, site)
