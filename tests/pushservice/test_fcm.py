"""Check-in, registration and MCS, with a client that does what Chromium does."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pushkeep.pushservice import Limits, PushService
from pushkeep.pushservice.events import Acked, Connected, Unregistered
from pushkeep.pushservice.fcm import mcs, protobuf
from pushkeep.pushservice.fcm.mcs_frames import Tag

from .helpers import KEY, OTHER_KEY, FakeChromium, FakeMcs, Sender, app_data, raw_data

SUBTYPE = "wp:http://localhost:8200/#9e0e1b2c-0000-4000-8000-000000000001-V2"
BODY = bytes(18) + b"\x10\x00A\x04" + bytes(100)


@pytest.fixture
async def chromium(service: PushService) -> AsyncIterator[FakeChromium]:
    client = FakeChromium(service)
    async with client.http:
        await client.check_in()
        yield client


async def hear_login(connection: FakeMcs) -> None:
    frame = await connection.hear()
    assert frame is not None
    assert (connection.version, frame.tag) == (41, Tag.LOGIN_RESPONSE)
    assert all(number != 3 for number, _ in frame.fields)


async def hear_push(connection: FakeMcs) -> dict[str, str]:
    frame = await connection.hear()
    assert frame is not None
    assert frame.tag == Tag.DATA_MESSAGE
    return app_data(frame) | {"id": protobuf.last_text(frame.fields, 9)}


async def test_check_in_gives_credentials_and_confirms_them(chromium: FakeChromium) -> None:
    first = (chromium.android_id, chromium.security_token)
    assert all(first)
    await chromium.check_in()
    assert (chromium.android_id, chromium.security_token) == first


@pytest.mark.parametrize("body", [b"\xff", b"\x08", b"\x0b"])
async def test_a_broken_check_in_is_a_400(service: PushService, body: bytes) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.post(service.checkin_url, content=body)).status_code == 400
        assert (await http.get(service.checkin_url)).status_code == 405
        assert (await http.post(service.checkin_url, content=b"x" * 20_000)).status_code == 413


async def test_registration_needs_the_devices_credentials(service: PushService, chromium: FakeChromium) -> None:
    chromium.security_token += 1
    answer = await chromium.form({"sender": KEY.public_b64, "X-subtype": SUBTYPE})
    assert (answer.status_code, answer.text) == (401, "Error=AUTHENTICATION_FAILED")
    assert (await chromium.http.post(service.registration_url, content=b"")).status_code == 401
    assert (await chromium.http.get(service.registration_url)).status_code == 405
    assert service.subscriptions() == []


async def test_the_same_app_id_and_sender_get_the_same_token(chromium: FakeChromium) -> None:
    endpoint = await chromium.register(SUBTYPE)
    assert await chromium.register(SUBTYPE) == endpoint
    assert await chromium.register(SUBTYPE, key=OTHER_KEY) != endpoint
    assert len(chromium.service.subscriptions()) == 2


async def test_the_browsers_own_registration_gets_a_token_and_is_no_subscription(
    service: PushService, chromium: FakeChromium, sender: Sender
) -> None:
    answer = await chromium.form({"app": "com.google.android.gms", "sender": "745476177629"})
    assert answer.text.startswith("token=")
    assert service.subscriptions() == []
    endpoint = "https://fcm.googleapis.com/fcm/send/" + answer.text.removeprefix("token=")
    assert (await sender.post(endpoint)).status_code == 410


@pytest.mark.parametrize(
    "content",
    [
        b"\xff=\xff",
        b"&".join(b"%d=1" % number for number in range(60)),
        b"X-subtype=" + b"x" * 1025,
        b"X-subtype=x&app=" + b"x" * 257,
    ],
)
async def test_a_broken_registration_is_told_so(chromium: FakeChromium, content: bytes) -> None:
    answer = await chromium.http.post(
        chromium.service.registration_url,
        content=content,
        headers={"authorization": f"AidLogin {chromium.android_id}:{chromium.security_token}"},
    )
    assert answer.text == "Error=INVALID_PARAMETERS"


async def test_too_many_registrations_are_told_so() -> None:
    async with PushService(limits=Limits(subscriptions_max=1)) as service:
        chromium = FakeChromium(service)
        async with chromium.http:
            await chromium.check_in()
            await chromium.register(SUBTYPE)
            answer = await chromium.form({"X-subtype": "wp:other", "sender": KEY.public_b64})
            assert answer.text == "Error=TOO_MANY_REGISTRATIONS"


async def test_unregistering_looks_the_subscription_up_by_its_app_id(
    service: PushService, chromium: FakeChromium, sender: Sender
) -> None:
    endpoint, kept = await chromium.register(SUBTYPE), await chromium.register("wp:other")
    assert (await sender.post(endpoint)).status_code == 201
    assert "token=" in (await chromium.unregister(SUBTYPE)).text
    assert (await sender.post(endpoint)).status_code == 410
    assert (await sender.post(kept)).status_code == 201
    assert "token=" in (await chromium.unregister(SUBTYPE)).text  # also when it is gone
    assert (await service.wait_for(Unregistered, 5)).reason == "client"


async def test_login_push_ack(service: PushService, chromium: FakeChromium, sender: Sender) -> None:
    endpoint = await chromium.register(SUBTYPE)
    async with chromium.mcs() as connection:
        await hear_login(connection)
        client = await service.wait_for_client(5, via="mcs")
        assert client.client_id == str(chromium.android_id)
        location = (await sender.post(endpoint, body=BODY, topic="t")).headers["location"]
        frame = await connection.hear()
        assert frame is not None
        assert frame.tag == Tag.DATA_MESSAGE
        assert protobuf.last_text(frame.fields, 3) == KEY.public_b64
        assert protobuf.last_text(frame.fields, 5) == FakeChromium.app
        assert app_data(frame) == {"subtype": SUBTYPE, "content-encoding": "aes128gcm"}
        assert raw_data(frame) == BODY
        assert location.endswith("/" + protobuf.last_text(frame.fields, 9))
        assert [message.state for message in service.messages()] == ["sent"]
        connection.stream_ack()
        assert (await service.wait_for_ack(location, 5)).code is None
        # The service confirms the ack, so that the browser may forget the id.
        confirmation = await connection.hear()
        assert confirmation is not None
        assert (confirmation.tag, confirmation.last_stream_id_received) == (Tag.IQ_STANZA, 2)
    assert service.messages() == []


async def test_an_ack_covers_every_frame_up_to_its_number(
    service: PushService, chromium: FakeChromium, sender: Sender
) -> None:
    endpoint = await chromium.register(SUBTYPE)
    async with chromium.mcs() as connection:
        await hear_login(connection)
        ids = []
        for _ in range(3):
            await sender.post(endpoint)
            ids.append((await hear_push(connection))["id"])
        connection.stream_ack(3)  # the login response and two pushes
        await service.wait_for_ack(ids[1], 5)
        assert [message.id for message in service.messages()] == [ids[2]]
        assert (await connection.hear()) is not None  # the confirmation, a frame of its own
        connection.stream_ack()
        await service.wait_for_ack(ids[2], 5)


async def test_heartbeats_are_answered_and_acknowledge_too(
    service: PushService, chromium: FakeChromium, sender: Sender
) -> None:
    endpoint = await chromium.register(SUBTYPE)
    async with chromium.mcs() as connection:
        await hear_login(connection)
        await sender.post(endpoint)
        await hear_push(connection)
        connection.send(Tag.HEARTBEAT_PING, protobuf.integer(2, connection.received))
        await service.wait_for(Acked, 5)
        answer = await connection.hear()
        assert answer is not None
        assert (answer.tag, answer.last_stream_id_received) == (Tag.HEARTBEAT_ACK, 2)


async def test_unknown_frames_are_skipped_and_counted(chromium: FakeChromium) -> None:
    async with chromium.mcs() as connection:
        await hear_login(connection)
        connection.send(99, protobuf.octets(1, "new in some year"))
        connection.send(Tag.HEARTBEAT_PING, b"")
        answer = await connection.hear()
        assert answer is not None
        assert answer.last_stream_id_received == 3


async def test_messages_wait_and_unacknowledged_ones_come_again(
    service: PushService, chromium: FakeChromium, sender: Sender
) -> None:
    endpoint = await chromium.register(SUBTYPE)
    await sender.post(endpoint, ttl="0")
    await sender.post(endpoint, topic="t")
    await sender.post(endpoint, topic="t")
    await sender.post(endpoint)
    async with chromium.mcs() as connection:
        await hear_login(connection)
        first, second = await hear_push(connection), await hear_push(connection)
    await service.wait_for_disconnect(str(chromium.android_id), 5)
    # The browser got the first and says so at its next login; the second it never saw.
    async with chromium.mcs(received=(first["id"], "unknown")) as connection:
        await hear_login(connection)
        assert (await hear_push(connection))["id"] == second["id"]
        assert (await service.wait_for_ack(first["id"], 5)).code is None


async def test_seven_hundred_ids_at_login_are_taken(chromium: FakeChromium) -> None:
    async with chromium.mcs(received=tuple(f"{number:022d}" for number in range(700))) as connection:
        await hear_login(connection)


async def test_foreign_credentials_are_refused_at_login(service: PushService, chromium: FakeChromium) -> None:
    async with chromium.mcs(security_token="1") as connection:
        frame = await connection.hear()
        assert frame is not None
        assert any(number == 3 for number, _ in frame.fields)
        assert await connection.hear() is None
    assert not [event for event in service.events() if isinstance(event, Connected)]


async def test_a_second_login_replaces_the_first(service: PushService, chromium: FakeChromium, sender: Sender) -> None:
    endpoint = await chromium.register(SUBTYPE)
    async with chromium.mcs() as first, chromium.mcs() as second:
        await hear_login(first)
        await hear_login(second)
        frame = await first.hear()
        assert frame is not None
        assert frame.tag == Tag.CLOSE
        await sender.post(endpoint)
        await hear_push(second)


async def test_a_young_connection_is_not_dropped_at_once(
    service: PushService, chromium: FakeChromium, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcs, "AGE_SECONDS_MIN", 0.5)  # the real wait is ten seconds
    endpoint = await chromium.register(SUBTYPE)
    async with chromium.mcs() as connection:
        await hear_login(connection)
        client = await service.wait_for_client(5)
        dropping = asyncio.create_task(service.drop_connection(client.client_id))
        await service.wait_for_disconnect(client.client_id, 5)
        await sender.post(endpoint)  # waits already, although the connection is still open
        connection.send(Tag.HEARTBEAT_PING, b"")
        frame = await connection.hear()
        assert frame is not None
        assert frame.tag == Tag.HEARTBEAT_ACK
        assert not dropping.done()
        frame = await connection.hear()
        assert frame is not None
        assert frame.tag == Tag.CLOSE
        assert await connection.hear() is None
        assert await dropping is True
    async with chromium.mcs() as connection:
        await hear_login(connection)
        await hear_push(connection)


async def test_a_refused_client_is_held_until_it_is_admitted(
    service: PushService, chromium: FakeChromium, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcs, "AGE_SECONDS_MIN", 0.0)
    endpoint = await chromium.register(SUBTYPE)
    client_id = str(chromium.android_id)
    assert await service.drop_connection(client_id, refuse=True) is False
    async with chromium.mcs() as connection:
        await hear_login(connection)
        await sender.post(endpoint, ttl="0")
        location = (await sender.post(endpoint)).headers["location"]
        connection.send(Tag.HEARTBEAT_PING, b"")
        frame = await connection.hear()
        assert frame is not None
        assert frame.tag == Tag.HEARTBEAT_ACK  # alive, and nothing delivered before it
        assert [client.connected for client in service.clients()] == [False]
        service.admit_client(client_id)
        assert location.endswith((await hear_push(connection))["id"])


async def test_a_closed_registration_refuses_what_is_new_and_a_held_one_answers_late(
    service: PushService, chromium: FakeChromium, sender: Sender
) -> None:
    endpoint = await chromium.register(SUBTYPE)
    service.close_registration()
    with pytest.raises(AssertionError, match="Error=TOO_MANY_REGISTRATIONS"):
        await chromium.register(SUBTYPE, key=OTHER_KEY)
    assert (await sender.post(endpoint)).status_code == 201
    service.close_registration(hold=True)
    waiting = asyncio.create_task(chromium.register(SUBTYPE, key=OTHER_KEY))
    await asyncio.sleep(0.05)  # long enough for an answer that came too early
    assert not waiting.done()
    service.open_registration()
    assert service.subscription_for(await waiting) is not None


@pytest.mark.parametrize(
    "octets",
    [
        b"\x28",  # version 40
        b"\x29\x02\xff\xff\xff\xff\x7f",  # an overlong LoginRequest
        b"\x29\x00\x00",  # a heartbeat instead
        b"\x29\x02\x01\xff",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_no_login_ends_the_connection(service: PushService, octets: bytes) -> None:
    assert await talk_mcs(service, octets) == b""


async def test_a_login_that_does_not_come_is_not_awaited_for_ever() -> None:
    async with PushService(limits=Limits(login_seconds_max=0.3)) as service:
        for octets in (b"", b"\x29", b"\x29\x02\x7f"):
            assert await talk_mcs(service, octets) == b""


async def talk_mcs(service: PushService, octets: bytes) -> bytes:
    context = ssl.create_default_context(cafile=str(service.ca_file))
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", urlsplit(service.mcs_url).port, ssl=context, server_hostname="localhost"
    )
    try:
        writer.write(octets)
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                return await reader.read(-1)
            return b""
    finally:
        writer.transport.abort()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
async def test_arbitrary_octets_after_login_harm_nobody(service: PushService, octets: bytes) -> None:
    chromium = FakeChromium(service)
    async with chromium.http:
        await chromium.check_in()
        async with chromium.mcs() as connection:
            await hear_login(connection)
            connection.writer.write(octets)
            connection.writer.write(bytes([Tag.CLOSE, 0]))
        async with chromium.mcs() as connection:
            await hear_login(connection)
