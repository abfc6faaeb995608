"""HTTP/2 at the level of frames: what hostile and unlucky clients do."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pushkeep.pushservice import Limits, PushService
from pushkeep.pushservice.http.http2 import FrameLengths

from .helpers import KEY, Sender


class RawClient:
    """h2's client half on a TLS socket, flushed by hand."""

    def __init__(self, service: PushService, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.authority = urlsplit(service.url).netloc
        self.reader = reader
        self.writer = writer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def head(self, method: str = "POST", path: str = "/wpush/v2/x", *, end: bool = False) -> int:
        stream_id = self.h2.get_next_available_stream_id()
        fields = [(":method", method), (":scheme", "https"), (":authority", self.authority), (":path", path)]
        self.h2.send_headers(stream_id, fields, end_stream=end)
        return stream_id

    async def events(self, seconds: float = 10) -> AsyncIterator[h2.events.Event]:
        async with asyncio.timeout(seconds):
            while data := await self.reader.read(65536):
                for event in self.h2.receive_data(data):
                    yield event
                self.flush()

    async def until(self, kind: type[h2.events.Event]) -> h2.events.Event:
        async for event in self.events():
            if isinstance(event, kind):
                return event
        raise AssertionError(f"the connection ended without {kind.__name__}")

    async def ended(self) -> None:
        async for _ in self.events():
            pass


@asynccontextmanager
async def raw(service: PushService) -> AsyncIterator[RawClient]:
    context = ssl.create_default_context(cafile=str(service.ca_file))
    context.set_alpn_protocols(["h2"])
    port = urlsplit(service.url).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    try:
        client = RawClient(service, reader, writer)
        client.flush()
        yield client
    finally:
        writer.transport.abort()


async def still_answers(service: PushService) -> None:
    sender = Sender(service)
    async with sender.client:
        receiver = await service.subscribe(KEY.public_bytes)
        assert (await sender.send(receiver.subscription, b"alive")).status_code == 201
        assert (await receiver.receive(5)).data == b"alive"


async def test_the_settings_state_the_limits(service: PushService) -> None:
    async with raw(service) as client:
        event = await client.until(h2.events.RemoteSettingsChanged)
        assert isinstance(event, h2.events.RemoteSettingsChanged)
        changed = {code: setting.new_value for code, setting in event.changed_settings.items()}
        assert changed[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] == 100
        assert changed[h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE] == 32_768


async def test_many_streams_at_once_are_all_answered(service: PushService) -> None:
    async with raw(service) as client:
        wanted = {client.head(end=True) for _ in range(100)}
        client.flush()
        ended: set[int | None] = set()
        async for event in client.events():
            if isinstance(event, h2.events.StreamEnded):
                ended.add(event.stream_id)
            if ended == wanted:
                break
        assert ended == wanted


async def test_more_streams_than_allowed_end_the_connection(service: PushService) -> None:
    async with raw(service) as client:
        for _ in range(101):
            client.head()
        client.flush()
        await client.until(h2.events.ConnectionTerminated)
    await still_answers(service)


async def test_a_body_without_end_is_answered_and_reset() -> None:
    async with PushService(limits=Limits(request_discard_bytes_max=100_000)) as service:
        async with raw(service) as client:
            stream_id = client.head()
            seen: list[h2.events.Event] = []

            async def listen() -> None:
                async for event in client.events():
                    seen.append(event)
                    if isinstance(event, h2.events.StreamReset):
                        return

            listening = asyncio.create_task(listen())
            while not listening.done():
                window = min(client.h2.local_flow_control_window(stream_id), 16_384)
                if window and not any(isinstance(event, h2.events.StreamEnded) for event in seen):
                    client.h2.send_data(stream_id, b"x" * window)
                    client.flush()
                await asyncio.wait([listening], timeout=0.01)  # lets the answer come in between
            await listening
            assert any(isinstance(event, h2.events.ResponseReceived) for event in seen)
        await still_answers(service)


async def test_a_flood_of_resets_is_told_to_calm_down() -> None:
    async with PushService(limits=Limits(resets_per_connection_max=50)) as service:
        async with raw(service) as client:
            for _ in range(200):
                client.h2.reset_stream(client.head())
            client.flush()
            event = await client.until(h2.events.ConnectionTerminated)
            assert isinstance(event, h2.events.ConnectionTerminated)
            assert event.error_code == 0xB  # ENHANCE_YOUR_CALM
        await still_answers(service)


async def test_half_a_request_is_cut_off_after_its_time() -> None:
    async with PushService(limits=Limits(request_seconds_max=0.2)) as service:
        async with raw(service) as client:
            client.head()
            client.flush()
            await client.until(h2.events.StreamReset)
        await still_answers(service)


async def test_an_idle_connection_ends_with_goaway() -> None:
    async with PushService(limits=Limits(idle_seconds_max=0.2)) as service, raw(service) as client:
        await client.until(h2.events.ConnectionTerminated)


async def test_an_answer_waits_for_the_window_and_not_for_ever() -> None:
    limits = Limits(write_seconds_max=0.3)
    async with PushService(limits=limits) as service:
        async with raw(service) as client:
            client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 10})
            fields = [
                (":method", "GET"),
                (":scheme", "https"),
                (":authority", client.authority),
                (":path", "/admin/"),
                ("authorization", f"Bearer {service.admin_token}"),
            ]
            client.h2.send_headers(1, fields, end_stream=True)
            client.flush()
            got, reset = b"", False
            async for event in client.events():
                if isinstance(event, h2.events.DataReceived):
                    got += event.data or b""
                if isinstance(event, h2.events.StreamReset):
                    reset = True
                    break
            assert (len(got), reset) == (10, True)
        await still_answers(service)


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 500,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x00\x00\x00\x00\x00\x01",
        b"\x00" * 100,
    ],
)
async def test_what_is_not_http2_ends_the_connection_only(service: PushService, octets: bytes) -> None:
    async with raw(service) as client:
        client.h2.data_to_send()
        client.writer.write(octets)
        async with asyncio.timeout(10):
            while await client.reader.read(65536):
                pass
    await still_answers(service)


@given(st.lists(st.integers(0, 60), max_size=10), st.integers(1, 50))
def test_frame_lengths_are_seen_however_the_octets_are_cut(lengths: list[int], size: int) -> None:
    stream = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    stream += b"".join(length.to_bytes(3) + bytes(6) + b"\xff" * length for length in lengths)
    watched = FrameLengths(50, 0)  # DATA frames: no header block
    too_long = False
    for start in range(0, len(stream), size):
        try:
            watched.watch(stream[start : start + size])
        except h2.exceptions.FrameTooLargeError:
            too_long = True
            break
    assert too_long == (max(lengths, default=0) > 50)


def test_a_header_block_in_many_frames_is_refused_before_it_is_decoded() -> None:
    """h2 would hold 1 MiB of it for every connection."""

    def frame(kind: int, length: int) -> bytes:
        return length.to_bytes(3) + bytes([kind]) + bytes(5 + length)

    watched = FrameLengths(50, 100)
    watched.watch(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    for _ in range(3):
        watched.watch(frame(1, 50) + frame(9, 50) + frame(0, 50))
    watched.watch(frame(1, 50) + frame(9, 50))
    with pytest.raises(h2.exceptions.DenialOfServiceError):
        watched.watch(frame(9, 1))


async def test_an_overlong_frame_is_refused_before_it_came(service: PushService) -> None:
    async with raw(service) as client:
        client.writer.write(b"\xff\xff\xff" + bytes(6))
        event = await client.until(h2.events.ConnectionTerminated)
        assert isinstance(event, h2.events.ConnectionTerminated)
        assert event.error_code == 0x6  # FRAME_SIZE_ERROR


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.binary(max_size=400))
async def test_arbitrary_octets_after_the_preface_harm_nobody(service: PushService, octets: bytes) -> None:
    async with raw(service) as client:
        client.writer.write(octets)
        client.writer.write_eof() if client.writer.can_write_eof() else client.writer.close()
        async with asyncio.timeout(10):
            while await client.reader.read(65536):
                pass
    assert service.clients() == []
