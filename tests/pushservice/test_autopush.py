"""The conversation with Firefox, over a real WebSocket."""

from __future__ import annotations

import asyncio
import json
import ssl
import uuid
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from pushkeep.protocol.encoding import b64_decode
from pushkeep.pushservice import Limits, PushService
from pushkeep.pushservice.events import Acked, Dropped, Nacked, Registered, Unregistered
from pushkeep.pushservice.http.message import Request
from pushkeep.pushservice.websocket import WebSocket

from .helpers import KEY, SUBPROTOCOL, FakeFirefox, Sender, firefox


async def test_hello_gives_an_id_and_remembers_it_while_there_are_subscriptions(service: PushService) -> None:
    async with firefox(service) as client:
        uaid = client.uaid
        assert len(uaid) == 32
        await client.register()
    await service.wait_for_disconnect(uaid, 5)
    async with firefox(service, uaid) as again:
        assert again.uaid == uaid


async def test_a_client_without_subscriptions_is_not_remembered(service: PushService) -> None:
    async with firefox(service) as client:
        uaid = client.uaid
    await service.wait_for_disconnect(uaid, 5)
    assert service.clients() == []
    async with firefox(service, uaid) as again:
        assert again.uaid != uaid


@pytest.mark.parametrize("uaid", ["0" * 32, "f" * 31, "x", ""])
async def test_an_unknown_id_is_answered_with_another(service: PushService, uaid: str) -> None:
    async with firefox(service, uaid) as client:
        assert client.uaid != uaid


async def test_subprotocol_is_echoed_and_not_demanded(service: PushService) -> None:
    async with connect(service.autopush_url, subprotocols=[SUBPROTOCOL], proxy=None) as socket:
        assert socket.subprotocol == SUBPROTOCOL
    async with connect(service.autopush_url, proxy=None) as socket:
        assert socket.subprotocol is None
        assert len(await FakeFirefox(socket).hello()) == 32


async def test_wss_on_the_https_port(service: PushService) -> None:
    context = ssl.create_default_context(cafile=str(service.ca_file))
    async with connect(service.autopush_tls_url, ssl=context, proxy=None) as socket:
        assert len(await FakeFirefox(socket).hello()) == 32


async def test_register_push_ack(service: PushService, sender: Sender) -> None:
    async with firefox(service) as client:
        channel, endpoint = await client.register()
        assert endpoint.startswith(service.url + "/wpush/v2/")
        answer = await sender.post(endpoint, body=bytes(20) + b"A\x04" + bytes(100), ttl="30")
        assert answer.status_code == 400  # a record size of 0
        body = bytes(18) + b"\x10\x00A\x04" + bytes(100)
        location = (await sender.post(endpoint, body=body, ttl="30")).headers["location"]
        frame = await client.hear()
        assert (frame["messageType"], frame["channelID"]) == ("notification", channel)
        assert location.endswith("/" + str(frame["version"]))
        assert b64_decode(str(frame["data"]), field="data") == body
        assert frame["headers"] == {"encoding": "aes128gcm"}
        assert [message.state for message in service.messages()] == ["sent"]
        await client.ack(frame, 101)
        acked = await service.wait_for_ack(location, 5)
        assert (acked.code, acked.client_id) == (101, client.uaid)
        assert service.messages() == []
        assert [(ack.message_id, ack.code) for ack in service.acks()] == [(frame["version"], 101)]


async def test_the_same_channel_and_key_gives_the_same_endpoint(service: PushService) -> None:
    async with firefox(service) as client:
        channel, endpoint = await client.register()
        assert (await client.register(channel=channel))[1] == endpoint
        assert (await client.register())[1] != endpoint
        assert (await client.register(key=None))[1].startswith(service.url + "/wpush/v1/")


async def test_a_bad_key_fails_only_that_registration(service: PushService) -> None:
    async with firefox(service) as client:
        await client.say(messageType="register", channelID=str(uuid.uuid4()), key="AAAA")
        assert (await client.hear())["status"] == 400
        await client.register()


async def test_too_many_subscriptions_fail_the_registration() -> None:
    async with (
        PushService(limits=Limits(subscriptions_per_client_max=1)) as service,
        firefox(service) as client,
    ):
        await client.register()
        await client.say(messageType="register", channelID=str(uuid.uuid4()), key=KEY.public_b64)
        assert (await client.hear())["status"] == 500


async def test_too_many_clients_are_sent_away() -> None:
    async with PushService(limits=Limits(clients_max=1)) as service, firefox(service):
        with pytest.raises(ConnectionClosed):
            async with firefox(service):
                pass


@pytest.mark.parametrize("code", [200, 201, 202])
async def test_unregister_ends_the_subscription(service: PushService, sender: Sender, code: int) -> None:
    async with firefox(service) as client:
        channel, endpoint = await client.register()
        await client.say(messageType="unregister", channelID=channel, code=code)
        assert await client.hear() == {"messageType": "unregister", "channelID": channel, "status": 200}
        ended = await service.wait_for(Unregistered, 5)
        assert (ended.reason, ended.code) == ("client", code)
        assert (await sender.post(endpoint)).status_code == 410
        await client.say(messageType="unregister", channelID=channel, code=code)
        assert (await client.hear())["status"] == 200  # also when it is gone


async def test_ping_and_broadcasts(service: PushService) -> None:
    async with firefox(service) as client:
        await client.socket.send("{}")
        assert await client.hear() == {}
        await client.say(messageType="ping")
        assert await client.hear() == {}
        await client.say(messageType="broadcast_subscribe", broadcasts={"a": "1"})
        assert await client.hear() == {"messageType": "broadcast", "broadcasts": {}}


async def test_nack_is_announced(service: PushService) -> None:
    async with firefox(service) as client:
        await client.say(messageType="nack", version="v", code=301)
        nacked = await service.wait_for(Nacked, 5)
        assert (nacked.client_id, nacked.message_id, nacked.code) == (client.uaid, "v", 301)


async def test_what_was_not_acknowledged_comes_again_at_reconnect(service: PushService, sender: Sender) -> None:
    async with firefox(service) as client:
        _, endpoint = await client.register()
        await sender.post(endpoint)
        await sender.post(endpoint)
        first, second = await client.hear(), await client.hear()
        await client.ack(first)
        await service.wait_for(Acked, 5)
        uaid = client.uaid
    await service.wait_for_disconnect(uaid, 5)
    await sender.post(endpoint)
    async with firefox(service, uaid) as again:
        redelivered = await again.hear()
        assert redelivered == second
        third = await again.hear()
        assert third["version"] not in (first["version"], second["version"])
        for frame in (redelivered, third):
            await again.ack(frame)
        await service.wait_for_ack(str(third["version"]), 5)
    assert service.messages() == []


async def test_ttl_zero_reaches_only_a_connected_client(service: PushService, sender: Sender) -> None:
    async with firefox(service) as client:
        _, endpoint = await client.register()
        assert (await sender.post(endpoint, ttl="0")).status_code == 201
        assert (await client.hear())["ttl"] == 0
        uaid = client.uaid  # not acknowledged: it had its one chance
    await service.wait_for_disconnect(uaid, 5)
    assert (await sender.post(endpoint, ttl="0")).status_code == 201
    assert [event.reason for event in service.events() if isinstance(event, Dropped)] == [
        "offline",
        "offline",
    ]


async def test_a_second_connection_replaces_the_first(service: PushService, sender: Sender) -> None:
    async with firefox(service) as client:
        _, endpoint = await client.register()
        async with firefox(service, client.uaid) as second:
            with pytest.raises(ConnectionClosed):
                await client.hear()
            await sender.post(endpoint)
            assert (await second.hear())["messageType"] == "notification"


async def test_the_in_flight_limit_holds_and_acks_make_room(service: PushService) -> None:
    async with PushService(limits=Limits(in_flight_per_client_max=2)) as small, firefox(small) as client:
        sender = Sender(small)
        async with sender.client:
            _, endpoint = await client.register()
            for _ in range(4):
                await sender.post(endpoint)
        frames = [await client.hear(), await client.hear()]
        assert sorted(message.state for message in small.messages()) == ["sent", "sent", "waiting", "waiting"]
        for frame in frames:
            await client.ack(frame)
        assert len({str((await client.hear())["version"]) for _ in range(2)}) == 2


async def test_forgetting_gives_a_new_id_and_ends_the_subscriptions(service: PushService, sender: Sender) -> None:
    async with firefox(service) as client:
        _, endpoint = await client.register()
        await service.forget_client(client.uaid)
        with pytest.raises(ConnectionClosed):
            await client.hear()
    assert (await sender.post(endpoint)).status_code == 410
    async with firefox(service, client.uaid) as again:
        assert again.uaid != client.uaid
        assert [event.reason for event in service.events() if isinstance(event, Unregistered)] == ["forgotten"]


async def test_dropping_a_connection_with_a_code(service: PushService, sender: Sender) -> None:
    async with firefox(service) as client:
        _, endpoint = await client.register()
        assert await service.drop_connection(client.uaid, code=4774) is True
        with pytest.raises(ConnectionClosed) as closed:
            await client.hear()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4774
    assert await service.drop_connection(client.uaid) is False
    await sender.post(endpoint)
    async with firefox(service, client.uaid) as again:
        assert (await again.hear())["messageType"] == "notification"


async def test_a_refused_client_stays_out_until_it_is_admitted(service: PushService, sender: Sender) -> None:
    async with firefox(service) as client:
        _, endpoint = await client.register()
        await service.drop_connection(client.uaid, refuse=True)
    with pytest.raises(ConnectionClosed):
        async with firefox(service, client.uaid):
            pass
    assert [(found.connected, found.refused) for found in service.clients()] == [(False, True)]
    await sender.post(endpoint)
    service.admit_client(client.uaid)
    async with firefox(service, client.uaid) as again:
        assert (await again.hear())["messageType"] == "notification"


async def test_an_expired_subscription_is_gone_and_the_client_is_not_told(service: PushService, sender: Sender) -> None:
    async with firefox(service) as client:
        _, endpoint = await client.register()
        registered = await service.wait_for(Registered, 5)
        service.expire(registered.subscription_id)
        assert (await sender.post(endpoint)).status_code == 410
        await client.say()  # {} comes back first: nothing else was sent
        assert await client.hear() == {}


@pytest.mark.parametrize(
    "text",
    ["x", "[]", "1", '{"messageType":"nonsense"}', '{"messageType":"register"}', '{"messageType":"hello"}'],
)
async def test_a_violation_ends_the_connection_with_its_reason(service: PushService, text: str) -> None:
    async with firefox(service) as client:
        await client.socket.send(text)
        with pytest.raises(ConnectionClosed) as closed:
            await client.hear()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        assert closed.value.rcvd.reason


async def test_the_first_frame_must_be_hello_and_come_in_time() -> None:
    async with PushService(limits=Limits(handshake_seconds_max=0.3)) as service:
        async with connect(service.autopush_url, proxy=None) as socket:
            await socket.send("{}")
            with pytest.raises(ConnectionClosed):
                await socket.recv()
        async with connect(service.autopush_url, proxy=None) as socket:
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(socket.recv(), 10)


async def test_a_frame_over_the_limit_ends_the_connection(service: PushService) -> None:
    async with firefox(service) as client:
        await client.socket.send(json.dumps({"messageType": "ping", "x": "x" * 70_000}))
        with pytest.raises(ConnectionClosed) as closed:
            await client.hear()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


async def test_a_client_that_answers_no_ping_is_dropped() -> None:
    limits = Limits(ping_interval_seconds=0.2, pong_seconds_max=0.3)
    async with (
        PushService(limits=limits) as service,
        connect(service.autopush_url, proxy=None, close_timeout=0.1) as socket,
    ):
        client = FakeFirefox(socket)
        uaid = await client.hello()
        socket.transport.pause_reading()  # the library answers pings as long as it reads
        await service.wait_for_disconnect(uaid, 10)


async def test_a_client_that_answers_pings_stays() -> None:
    async with PushService(limits=Limits(ping_interval_seconds=0.05)) as service, firefox(service) as client:
        for _ in range(3):
            # Several ping intervals pass in between; what is tested is that the connection lives on.
            await asyncio.sleep(0.15)
            await client.socket.send("{}")
            assert await client.hear() == {}


async def test_an_upgrade_that_is_no_websocket_is_refused(service: PushService) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(service.autopush_url, additional_headers={"Sec-WebSocket-Version": "1"}, proxy=None):
            pass
    assert refused.value.response.status_code == 400


@pytest.mark.parametrize("origin", ["https://site.example", "http://localhost:8200", "null"])
async def test_a_script_of_a_page_is_refused(service: PushService, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(service.autopush_url, origin=Origin(origin), proxy=None):
            pass
    assert refused.value.response.status_code == 403
    async with connect(service.autopush_url, origin=Origin(service.autopush_url), proxy=None) as socket:
        assert len(await FakeFirefox(socket).hello()) == 32, "Firefox names the address it connects to"


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
NO_MASK = bytes(4)
PONG = bytes([0x8A, 0])


async def test_clients_that_hang_up_at_their_hello_are_not_remembered() -> None:
    text = b'{"messageType":"hello","use_webpush":true}'
    hello = bytes([0x81, 0x80 | len(text)]) + NO_MASK + text
    async with PushService(limits=Limits(clients_max=5)) as service:
        port = urlsplit(service.autopush_url).port
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(UPGRADE + hello)
            writer.close()
            await writer.wait_closed()
        async with asyncio.timeout(10):
            while service.clients():  # noqa: ASYNC110 - nothing announces a client that never was
                await asyncio.sleep(0.02)
        async with firefox(service):
            pass


async def test_pings_do_not_prolong_the_wait_for_hello() -> None:
    async with PushService(limits=Limits(handshake_seconds_max=0.3)) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(service.autopush_url).port)
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(10):
            answer = PONG
            while answer == PONG:
                writer.write(bytes([0x89, 0x80]) + NO_MASK)
                answer = await reader.readexactly(2)
                await asyncio.sleep(0.05)  # far more often than the limit
        writer.close()
        assert answer[0] == 0x88, "a close frame"


class Pipe:
    """A connection whose client has said all it will say."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    async def receive(self, *, seconds: float) -> bytes:
        data, self.data = self.data, b""
        return data

    async def send(self, data: bytes) -> None:
        pass

    def half_close(self) -> None:
        pass

    def settle_while(self, is_browser: Callable[[], bool]) -> None:
        pass


async def test_fragments_of_nothing_are_not_kept() -> None:
    first, empty, last = (bytes([head, 0x80]) + NO_MASK for head in (0x01, 0x00, 0x80))
    headers = tuple(
        (name.lower().decode(), value.decode())
        for name, _, value in (line.partition(b": ") for line in UPGRADE.split(b"\r\n")[1:-2])
    )
    request = Request("GET", "http", "localhost", "/", headers, b"", 0, "1.1")
    socket = WebSocket(Pipe(first + empty * 5_000), Limits(), subprotocol="push-notification")
    assert await socket.open(request, b"")
    assert await socket.receive(seconds=1) is None
    assert len(socket._fragments) == 0
    socket = WebSocket(Pipe(first + empty + last), Limits(), subprotocol="push-notification")
    assert await socket.open(request, b"")
    assert await socket.receive(seconds=1) == "", "still a message"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.text(max_size=60), st.binary(max_size=60)), max_size=4))
async def test_arbitrary_frames_harm_nobody(service: PushService, frames: list[str | bytes]) -> None:
    async with firefox(service) as client:
        try:
            for frame in frames:
                await client.socket.send(frame)
            await client.socket.send("{}")
            assert await client.hear() == {}
        except ConnectionClosed:
            pass
    async with firefox(service) as other:
        await other.register()
