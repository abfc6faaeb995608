"""Start and stop, ports, files, and what must not be possible."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import stat
import warnings
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvloop

from pushkeep.errors import ConfigurationError
from pushkeep.pushservice import PushService

from .helpers import KEY, FakeChromium, Sender, firefox


def ports(service: PushService) -> list[int]:
    return [urlsplit(url).port or 0 for url in (service.url, service.checkin_url, service.mcs_url)]


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_start_and_stop_leave_nothing_behind() -> None:
    before = asyncio.all_tasks()
    service = PushService()
    await service.start()
    used, ca_file = ports(service), service.ca_file
    assert len(set(used)) == 3
    assert all(is_listening(port) for port in used)
    async with firefox(service) as client:
        await client.register()
        await service.stop()
        await asyncio.wait_for(client.socket.wait_closed(), 5)
        assert client.socket.close_code == 1001
    assert not any(is_listening(port) for port in used)
    assert not ca_file.exists()
    assert asyncio.all_tasks() == before
    await service.stop()


async def test_stop_with_every_kind_of_connection_open_is_quick_and_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        async with PushService() as service:
            sender, chromium = Sender(service), FakeChromium(service)
            async with sender.client, chromium.http:
                receiver = await service.subscribe(KEY.public_bytes)
                await sender.send(receiver.subscription, b"x")
                await chromium.check_in()
                async with chromium.mcs() as connection, firefox(service):
                    assert await connection.hear() is not None
                    async with asyncio.timeout(10):
                        await service.stop()
        gc.collect()


async def test_not_even_a_debug_log_holds_an_endpoint_or_a_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with PushService() as service:
        sender = Sender(service)
        # The client's own libraries log too; only what the server side writes counts here.
        for name in ("httpx", "httpcore", "websockets.client"):
            caplog.set_level(logging.CRITICAL, logger=name)
        async with sender.client, firefox(service) as client:
            _, endpoint = await client.register()
            assert (await sender.post(endpoint)).status_code == 201
            await client.hear()
        await service.stop()
    assert endpoint.rpartition("/")[2] not in caplog.text
    assert "eyJ" not in caplog.text  # how every JWT begins


async def test_two_services_run_side_by_side() -> None:
    async with PushService() as first, PushService() as second:
        assert set(ports(first)).isdisjoint(ports(second))
        assert first.admin_token != second.admin_token


async def test_a_taken_port_is_named_and_nothing_is_left() -> None:
    async with PushService() as first:
        before = asyncio.all_tasks()
        port = urlsplit(first.mcs_url).port or 0
        second = PushService(mcs_port=port)
        with pytest.raises(ConfigurationError, match=f"port {port}"):
            await second.start()
        assert asyncio.all_tasks() == before
        assert not is_listening(urlsplit(second.url).port or 0)
    async with PushService(mcs_port=port) as again:
        assert urlsplit(again.mcs_url).port == port


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_only_loopback_unless_told(host: str) -> None:
    with pytest.raises(ConfigurationError, match="loopback only"):
        PushService(host=host)
    PushService(host=host, allow_remote=True)


async def test_addresses_of_a_service_that_is_not_started() -> None:
    with pytest.raises(ConfigurationError, match="not started"):
        _ = PushService().ca_file


async def test_the_state_directory_keeps_trust_and_tokens(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    async with PushService(state_dir=directory) as first:
        chromium = FakeChromium(first)
        async with chromium.http:
            await chromium.check_in()
        spki, ca = first.spki_sha256, first.ca_file.read_bytes()
        receiver = await first.subscribe(KEY.public_bytes)
        token = receiver.subscription.endpoint.url.rpartition("/")[2]
    async with PushService(state_dir=directory) as second:
        assert (second.spki_sha256, second.ca_file.read_bytes()) == (spki, ca)
        chromium.service = second
        async with chromium.mcs() as connection:
            frame = await connection.hear()
            assert frame is not None
            assert all(number != 3 for number, _ in frame.fields)
        # Subscriptions are not kept, but a token of an earlier run is known for what it is: gone.
        sender = Sender(second)
        async with sender.client:
            assert (await sender.post(f"{second.url}/wpush/v2/{token}")).status_code == 410
    for name in ("leaf.pem", "secret"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
    assert {path.name for path in directory.iterdir()} == {"ca.pem", "leaf.pem", "secret"}


def test_an_unwritable_state_directory_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigurationError, match="choose another state directory"):
        PushService(state_dir=file / "state")


async def test_the_origin_map_names_our_origins_and_the_vendors(service: PushService) -> None:
    entries = service.origin_map_entries()
    assert [entry.partition("=")[0] for entry in entries] == [
        service.url,
        "https://jmt17.google.com",
        "https://fcm.googleapis.com",
        "https://fcm.google.com",
        "https://web.push.apple.com",
        "https://wns2-ln2p.notify.windows.com",
        service.url.replace("localhost", "127.0.0.1"),
    ]
    for entry in entries:
        assert f"={service.url},ca={service.ca_file},vendor=" in entry


async def test_time_is_a_parameter() -> None:
    clock = [1_000_000.0]
    async with PushService(now=lambda: clock[0]) as service:
        sender = Sender(service)
        receiver = await service.subscribe()
        receiver.disconnect()
        async with sender.client:
            for ttl in ("10", "20"):
                await sender.post(receiver.subscription.endpoint.url, authorization=None, ttl=ttl)
        assert [message.expires_at for message in service.messages()] == [1_000_010, 1_000_020]
        clock[0] += 15
        receiver.connect()
        assert (await receiver.receive(5)).ttl == 20
        assert service.messages() == []


def test_it_runs_on_uvloop() -> None:
    async def use() -> None:
        async with PushService() as service:
            sender = Sender(service)
            async with sender.client:
                receiver = await service.subscribe(KEY.public_bytes)
                assert (await sender.send(receiver.subscription, b"x")).status_code == 201
                assert (await receiver.receive(60)).data == b"x"
            async with firefox(service) as client:
                await client.register()
            chromium = FakeChromium(service)
            async with chromium.http:
                await chromium.check_in()
                async with chromium.mcs() as connection:
                    assert await connection.hear() is not None

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(use())


async def test_an_observer_sees_every_request_with_its_answer_until_it_is_told_to_stop() -> None:
    seen: list[tuple[str, int]] = []
    async with PushService() as service:
        sender = Sender(service)
        async with sender.client:
            receiver = await service.subscribe(KEY.public_bytes)
            stop = service.observe(lambda request, response: seen.append((request.method, response.status)))
            await sender.send(receiver.subscription, b"x")
            await receiver.unsubscribe()
            await sender.send(receiver.subscription, b"y")
            stop()
            await sender.send(receiver.subscription, b"z")
    assert seen == [("POST", 201), ("POST", 410)]
