"""The pytest plugin ``pushkeep``: fixtures with which a sender of Web Push is tested against a real push service.

pytest loads this module at its start, in every project where Pushkeep is installed. So it imports nothing but pytest;
everything else is imported by the fixtures. The guide is ``docs/testing.md``.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pushkeep.testing.faults import LiveFaults
    from pushkeep.testing.live import LivePushService
    from pushkeep.testing.record import SentMessages
    from pushkeep.testing.subscriptions import PushSubscription
    from pushkeep.testing.vapid_key import VapidKey
    from pushkeep.testing.visitor import BrowserHost, BrowserPush

DEFAULT_VENDOR = "mozilla"
ALL_VENDORS = ("mozilla", "fcm", "apple", "wns", "unifiedpush")

_running = pytest.StashKey["LivePushService"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--push-strict`` and the ini options ``pushkeep_strict`` and ``pushkeep_strict_except``."""
    help_text = "refuse also what only some push service or RFC forbids, or what a good sender avoids"
    parser.getgroup("pushkeep", "Web Push").addoption("--push-strict", action="store_true", help=help_text)
    parser.addini("pushkeep_strict", type="bool", default=False, help=help_text)
    parser.addini("pushkeep_strict_except", type="args", default=[], help="names of strict rules that are left out")


def pytest_configure(config: pytest.Config) -> None:
    """The marker ``push_vendor``."""
    config.addinivalue_line(
        "markers",
        "push_vendor(*names): whose push service push_subscription is of: mozilla, fcm, apple, wns, unifiedpush."
        ' With several names, or "all", the test runs once for each.',
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a marked test once for each vendor its marker names."""
    marker = metafunc.definition.get_closest_marker("push_vendor")
    if marker is None or "push_vendor" not in metafunc.fixturenames:
        return
    names = ALL_VENDORS if marker.args == ("all",) else marker.args
    wrong = [name for name in names if name not in ALL_VENDORS]
    if wrong or not names:
        raise pytest.UsageError(
            f"push_vendor{marker.args!r} at {metafunc.definition.nodeid}: choose from {', '.join(ALL_VENDORS)}, or all"
        )
    metafunc.parametrize("push_vendor", names, indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what the push service saw of it."""
    report = yield
    live = item.stash.get(_running, None)
    if live is not None and live.running and call.when == "call" and report.failed:
        seen = live.record.describe()
        if seen.partition("\n")[0] not in report.longreprtext:  # our own failures say it already
            report.sections.append(("Push service", seen))
    return report


@pytest.fixture(scope="session")
def push_service_session(request: pytest.FixtureRequest) -> Iterator[LivePushService]:
    """The same service for what outlives a test, such as a server started once for all of them.

    It sets nothing in the environment: give such a process ``push_service_session.environment()``.
    """
    try:
        from pushkeep.testing.live import LivePushService
    except ModuleNotFoundError as error:
        pytest.fail(
            f"The local push service needs the Python package {error.name}; install pushkeep[testing].", pytrace=False
        )
    config = request.config
    strict = bool(config.getoption("--push-strict") or config.getini("pushkeep_strict"))
    with LivePushService(strict=strict, strict_except=config.getini("pushkeep_strict_except")) as live:
        yield live


@pytest.fixture
def push_service(push_service_session: LivePushService, request: pytest.FixtureRequest) -> Iterator[LivePushService]:
    """The local push service. One for all tests, with nothing left over from the test before.

    For the test's duration the environment says how to trust and find it (``push_service.environment()``).
    """
    live, item = push_service_session, request.node
    live.start()  # the test before may have stopped it
    if isinstance(item, pytest.Item):
        item.stash[_running] = live
    with pytest.MonkeyPatch.context() as patch:
        for name, value in live.environment().items():
            patch.setenv(name, value)
        _trust_in_aiohttp(patch, live)
        yield live
    if live.running:
        live.reset()


def _trust_in_aiohttp(patch: pytest.MonkeyPatch, live: LivePushService) -> None:
    """aiohttp reads the environment once, when it is imported; give it what it would read now."""
    import ssl
    import sys

    connector = sys.modules.get("aiohttp.connector")
    if isinstance(getattr(connector, "_SSL_CONTEXT_VERIFIED", None), ssl.SSLContext):
        patch.setattr(connector, "_SSL_CONTEXT_VERIFIED", live.ssl_context())


@pytest.fixture(scope="session")
def vapid_key() -> VapidKey:
    """A VAPID key pair in every form that senders ask for. Override it to use your application's own."""
    from pushkeep.testing.vapid_key import VapidKey

    return VapidKey()


@pytest.fixture
def push_vendor(request: pytest.FixtureRequest) -> str:
    """Whose push service ``push_subscription`` is of; set it with ``@pytest.mark.push_vendor("apple")``."""
    return str(getattr(request, "param", DEFAULT_VENDOR))


@pytest.fixture
def push_subscription(push_service: LivePushService, vapid_key: VapidKey, push_vendor: str) -> PushSubscription:
    """A subscription that receives and decrypts in the test; call it for more of them."""
    return push_service.subscribe(vapid_key.public, vendor=push_vendor)


@pytest.fixture
def sent_messages(push_service: LivePushService) -> SentMessages:
    """What the push service accepted in this test, and ``sent_messages.refused``."""
    return push_service.sent


@pytest.fixture
def faults(push_service: LivePushService) -> LiveFaults:
    """Faults on purpose for this test: ``faults.add("status=429 retry-after=10")``."""
    return push_service.faults


@pytest.fixture(scope="session")
def _pushkeep_firefox(push_service_session: LivePushService) -> Iterator[BrowserHost]:
    yield from _browser(push_service_session, "firefox")


@pytest.fixture(scope="session")
def _pushkeep_chromium(push_service_session: LivePushService) -> Iterator[BrowserHost]:
    yield from _browser(push_service_session, "chromium")


def _browser(live: LivePushService, name: str) -> Iterator[BrowserHost]:
    from pushkeep.testing.browser import BrowserMissing
    from pushkeep.testing.visitor import BrowserHost

    host = BrowserHost(live, name)
    try:
        try:
            host.start()
        except BrowserMissing as error:
            # Whoever runs tests at a desk may lack a browser; a build that skips them proves nothing.
            if os.environ.get("CI", "").lower() not in ("", "0", "false"):
                pytest.fail(f"{error.message} (not skipped, because CI is set)", pytrace=False)
            pytest.skip(error.message)
        yield host
    finally:
        host.stop()


@pytest.fixture
def firefox_push(
    push_service: LivePushService, vapid_key: VapidKey, _pushkeep_firefox: BrowserHost
) -> Iterator[BrowserPush]:
    """A page in stock Firefox, subscribed with ``vapid_key``."""
    yield from _visitor(_pushkeep_firefox, vapid_key)


@pytest.fixture
def chromium_push(
    push_service: LivePushService, vapid_key: VapidKey, _pushkeep_chromium: BrowserHost
) -> Iterator[BrowserPush]:
    """A page in stock Chromium, subscribed with ``vapid_key``."""
    yield from _visitor(_pushkeep_chromium, vapid_key)


def _visitor(host: BrowserHost, key: VapidKey) -> Iterator[BrowserPush]:
    visitor = host.visit(key.public)
    yield visitor
    visitor.close()
