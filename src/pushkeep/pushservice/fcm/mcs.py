"""The MCS conversation with Chromium, over TLS.

Both sides number their frames from 1, the login being number 1 of each, and tell each other the last number
they received. So the client's acknowledgements are stream numbers, which are turned into message ids here; and
ours must be sent too, because Chromium keeps each acknowledged id until the acknowledgement itself is
confirmed, and repeats all of them in its next LoginRequest.

A connection lost within ten seconds of login makes Chromium wait half a minute before the next one, so nothing
here ends a connection younger than that, except a protocol violation or the end of the service. Source: Chromium
``mcs_client.cc``, ``connection_factory_impl.cc``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict

from pushkeep.errors import InvalidInput, PushkeepError
from pushkeep.pushservice.core import Client
from pushkeep.pushservice.fcm import mcs_frames as frames
from pushkeep.pushservice.http.stream import Stream
from pushkeep.pushservice.hub import Hub

AGE_SECONDS_MIN = 10.5
"""Younger connections are not dropped; Chromium's own threshold is 10 s."""

_SILENCE_SECONDS_MAX = 3_600.0  # Chromium sends a heartbeat every 15 to 28 minutes


class Mcs:
    """Serves MCS connections."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def serve(self, stream: Stream) -> None:
        """Hold one conversation until it ends."""
        reader = frames.FrameReader(self._hub.limits.mcs_frame_bytes_max)
        try:
            async with asyncio.timeout(self._hub.limits.login_seconds_max):
                login = await self._read_login(stream, reader)
            client = self._client(login)
            if client is None:
                await stream.send(bytes([frames.VERSION]) + frames.login_refused("refused"))
                return
            stream.settle_while(lambda: bool(client.subscriptions))  # also those made while this connection is open
            for message_id in login.received_ids:
                self._hub.acknowledge(client, message_id, code=None)
            await _Conversation(self._hub, stream, reader, client).run()
        except (InvalidInput, ConnectionError, TimeoutError):
            return  # MCS has no way to say what was wrong; the connection just ends

    async def _read_login(self, stream: Stream, reader: frames.FrameReader) -> frames.Login:
        seconds = self._hub.limits.login_seconds_max
        version = (await stream.receive_exactly(1, seconds=seconds))[0]
        if version != frames.VERSION:
            raise InvalidInput(f"MCS version {version} is not spoken here.", field="version")
        while (frame := reader.next_frame()) is None:
            data = await stream.receive(seconds=seconds)
            if not data:
                raise ConnectionResetError("the client closed before it logged in")
            reader.feed(data)
        return frames.read_login(frame)

    def _client(self, login: frames.Login) -> Client | None:
        if not self._hub.core.tokens.is_device(login.android_id, login.security_token):
            return None
        try:
            return self._hub.core.client(login.android_id, "chromium", self._hub.now())
        except PushkeepError:
            return None


class _Conversation:
    """A connection that logged in; the :class:`~pushkeep.pushservice.hub.Link` of its client."""

    via = "mcs"

    def __init__(self, hub: Hub, stream: Stream, reader: frames.FrameReader, client: Client) -> None:
        self._hub = hub
        self._stream = stream
        self._reader = reader
        self._client = client
        self._wake = asyncio.Event()
        self._ended = asyncio.Event()
        self._received = 1  # the LoginRequest
        self._sent = 1  # the LoginResponse
        self._unacknowledged: OrderedDict[int, str] = OrderedDict()
        self._started_at = asyncio.get_running_loop().time()

    def wake(self) -> None:
        """See :class:`~pushkeep.pushservice.hub.Link`."""
        self._wake.set()

    async def close(self, code: int | None) -> None:
        """See :class:`~pushkeep.pushservice.hub.Link`; waits until the connection is old enough."""
        age = asyncio.get_running_loop().time() - self._started_at
        with contextlib.suppress(TimeoutError):
            # Real time, because it is Chromium's clock that decides about its back-off.
            await asyncio.wait_for(self._ended.wait(), max(0.0, AGE_SECONDS_MIN - age))
        self._ended.set()

    async def run(self) -> None:
        """Read and write until either side ends it."""
        welcome = frames.login_response(self._client.id, now=self._hub.now())
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._stream.send(bytes([frames.VERSION]) + welcome)
            tasks = [asyncio.create_task(work) for work in (self._read(), self._write(), self._wait_for_end())]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.detach(self._client, self)
            self._ended.set()
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            with contextlib.suppress(ConnectionError, TimeoutError):
                await self._stream.send(frames.close())
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    def abandon(self) -> None:
        """The client has a newer connection; this one is of no use to it, however young."""
        self._ended.set()

    async def _wait_for_end(self) -> None:
        await self._ended.wait()

    async def _write(self) -> None:
        # A barred client is held, not refused: after a refused login Chromium stays away for half a minute.
        await self._hub.admission(self._client.id)
        replaced = self._hub.attach(self._client, self)
        if isinstance(replaced, _Conversation):
            replaced.abandon()
        while True:
            await self._wake.wait()
            self._wake.clear()
            for message in self._hub.take(self._client, self):
                self._unacknowledged[self._next()] = message.id
                self._hub.written(message)
                await self._stream.send(frames.data_message(message, self._received))

    def _next(self) -> int:
        self._sent += 1
        return self._sent

    async def _read(self) -> None:
        idle_frames = 0
        while True:
            frame = self._reader.next_frame()
            if frame is None:
                data = await self._stream.receive(seconds=_SILENCE_SECONDS_MAX)
                if not data:
                    return
                self._reader.feed(data)
                continue
            self._received += 1
            acknowledged = self._acknowledge(frame.last_stream_id_received)
            idle_frames = 0 if acknowledged else idle_frames + 1
            if idle_frames > self._hub.limits.idle_frames_max:
                return
            await asyncio.sleep(0)  # neither reading nor writing need wait below, and others want a turn
            if frame.tag == frames.Tag.CLOSE:
                return
            if frame.tag == frames.Tag.HEARTBEAT_PING:
                self._next()
                await self._stream.send(frames.heartbeat_ack(self._received))
            elif acknowledged:
                self._next()
                await self._stream.send(frames.stream_ack(self._received))

    def _acknowledge(self, last_stream_id: int) -> bool:
        """Strike off every message up to that frame of ours; whether there were any."""
        found = False
        while self._unacknowledged and next(iter(self._unacknowledged)) <= last_stream_id:
            _, message_id = self._unacknowledged.popitem(last=False)
            self._hub.acknowledge(self._client, message_id, code=None)
            found = True
        return found
