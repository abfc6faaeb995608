"""The push service in a thread of its own: it starts and stops in bounded time, whoever calls, whatever hangs."""

from __future__ import annotations

import asyncio
import concurrent.futures
import socket
import ssl
import threading
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from pushkeep import PushClient
from pushkeep.errors import InvalidInput, Unavailable
from pushkeep.testing.background import BackgroundLoop
from pushkeep.testing.live import LivePushService
from pushkeep.testing.vapid_key import VapidKey

KEY = VapidKey()
CONTACT = "mailto:me@my-site.org"


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("pushkeep")}


def is_listening(url: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", urlsplit(url).port or 0)) == 0


def test_start_and_stop_leave_nothing_behind() -> None:
    before = threads()
    live = LivePushService()
    assert "stopped" in repr(live)
    for _ in range(2):
        live.start()
        live.start()
        url, bundle = live.url, live.bundle_file
        assert is_listening(url)
        assert bundle.read_bytes().endswith(live.ca_file.read_bytes())
        live.stop()
        live.stop()
        assert not is_listening(url)
        assert not bundle.exists()
        assert threads() == before
    for use in (lambda: live.url, lambda: live.record, lambda: live.bundle_file, lambda: live.subscribe(KEY.public)):
        with pytest.raises(Unavailable, match="is not running; start it first"):
            use()


def test_a_sender_that_hangs_does_not_hold_up_the_end() -> None:
    with LivePushService() as live:
        subscription = live.subscribe(KEY.public)
        live.faults.add("hang")
        context = live.ssl_context()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            hanging = pool.submit(httpx.post, subscription.endpoint, verify=context, timeout=60, trust_env=False)
            assert live.record.wait(lambda seen: len(seen) == 1, 10)
            live.stop()
            assert isinstance(hanging.exception(10), httpx.TransportError)


def test_what_fails_at_the_start_leaves_nothing_running() -> None:
    before = threads()
    with pytest.raises(InvalidInput, match="no_such_rule"):
        LivePushService(strict=True, strict_except=["no_such_rule"]).start()
    assert threads() == before


async def test_it_answers_a_loop_a_thread_and_a_blocking_caller_at_once() -> None:
    with LivePushService() as live:
        phone, tablet = live.subscribe(KEY.public_bytes, vendor="apple"), live.subscribe(KEY.public)
        async with PushClient(key=KEY.signing_key, contact=CONTACT, origin_map=live.origin_map) as client:
            outcomes = await asyncio.gather(
                client.send(phone.to_json(), "to the phone"), client.send(tablet.to_json(), "to the tablet")
            )
        assert all(outcome.accepted for outcome in outcomes)
        assert phone.receive().text == "to the phone"
        assert (await asyncio.to_thread(tablet.receive)).text == "to the tablet"
        assert len(live.sent) == 2


def test_a_wait_in_the_loops_own_thread_is_refused_instead_of_standing_still() -> None:
    with LivePushService() as live:
        with pytest.raises(RuntimeError, match="must not be made in the loop it waits for"):
            live.loop.call(lambda: live.subscribe(KEY.public))
        assert live.subscribe(KEY.public).receive


def test_bad_arguments_are_one_sentence() -> None:
    with LivePushService() as live:
        with pytest.raises(InvalidInput, match="vendor must be"):
            live.subscribe(KEY.public, vendor="netscape")
        with pytest.raises(InvalidInput, match="application_server_key"):
            live.subscribe("AAAA")
        with pytest.raises(InvalidInput, match="allowed are"):
            live.faults.add("explode")


def test_the_files_it_names_also_hold_what_was_trusted_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LivePushService() as other, LivePushService() as third:
        monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
        monkeypatch.setenv("SSL_CERT_FILE", str(other.ca_file))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(third.ca_file))
        monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(other.ca_file))
        with LivePushService() as live:
            environment = live.environment()
            context = ssl.create_default_context(cafile=environment["CURL_CA_BUNDLE"])
            for service in (live, other, third):
                answer = httpx.post(f"{service.url}/wpush/v2/x", verify=context, trust_env=False)
                assert answer.status_code == 404
            for_node = Path(environment["NODE_EXTRA_CA_CERTS"]).read_bytes()
            assert for_node.count(b"BEGIN CERTIFICATE") == 2
            assert other.ca_file.read_bytes().strip() in for_node
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nothing"))
        with LivePushService() as live:
            assert live.ca_file.read_bytes() in live.bundle_file.read_bytes()


def test_a_background_loop_hands_values_errors_and_time_limits_over() -> None:
    loop = BackgroundLoop("pushkeep-test")

    async def fails() -> None:
        raise ValueError("as it was")

    async def gives_up() -> None:
        raise TimeoutError("its own")

    began, ended = threading.Event(), threading.Event()

    async def sleeps() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(Unavailable, match="pushkeep-test is not running"):
        loop.run(fails())
    loop.start()
    try:
        assert loop.call(divmod, 7, 2) == (3, 1)
        with pytest.raises(ValueError, match="as it was"):
            loop.run(fails())
        with pytest.raises(TimeoutError, match="its own"):
            loop.run(gives_up())
        with pytest.raises(TimeoutError, match=r"no result within 0\.05 s"):
            loop.run(sleeps(), seconds=0.05)
        assert ended.wait(10), "what took too long is cancelled"
        began.clear()
        ended.clear()
        left = loop.submit(sleeps())
        assert began.wait(10)
    finally:
        loop.stop()
    assert ended.wait(10), "what still runs at the end is cancelled"
    assert left.cancelled()
