"""The autopush WebSocket conversation with Firefox.

The client says hello (with its UAID only if it has subscriptions), registers and unregisters channels, and
acknowledges notifications. Every UAID other than the one it sent makes it drop all subscriptions and fire
``pushsubscriptionchange``, which is how forgetting a client is shown to it. Close code 4774 means: do not
reconnect by yourself. Source: as :mod:`pushkeep.pushservice.autopush_frames`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pushkeep.errors import InvalidInput, PushkeepError
from pushkeep.pushservice import autopush_frames as frames
from pushkeep.pushservice.core import Client, Subscription
from pushkeep.pushservice.http.message import ByteStream, Request
from pushkeep.pushservice.hub import Hub
from pushkeep.pushservice.websocket import WebSocket

_CLOSE_GOING_AWAY = 1001
_CLOSE_POLICY = 1008

EndpointOf = Callable[[Subscription], str]


class Autopush:
    """Takes over upgraded connections; one task reads, one writes."""

    def __init__(self, hub: Hub, endpoint_of: EndpointOf) -> None:
        self._hub = hub
        self._endpoint_of = endpoint_of

    async def serve(self, request: Request, stream: ByteStream, trailing: bytes) -> None:
        """Hold one conversation until it ends."""
        socket = WebSocket(stream, self._hub.limits, subprotocol="push-notification")
        if not await socket.open(request, trailing):
            return
        try:
            client = await self._greet(socket)
            if client is not None:
                stream.settle_while(lambda: bool(client.subscriptions))  # also those made on this connection
                await _Conversation(self._hub, self._endpoint_of, socket, client).run()
        except InvalidInput as error:
            await socket.close(_CLOSE_POLICY, error.message)
        except (ConnectionError, TimeoutError):
            pass
        except asyncio.CancelledError:
            await socket.close(_CLOSE_GOING_AWAY)
            raise
        await socket.close(_CLOSE_GOING_AWAY)
        await socket.wait_closed()

    async def _greet(self, socket: WebSocket) -> Client | None:
        seconds = self._hub.limits.handshake_seconds_max
        async with asyncio.timeout(seconds):  # of the whole wait: pings must not prolong it
            text = await socket.receive(seconds=seconds)
        if text is None:
            return None
        frame = frames.parse(text)
        if not isinstance(frame, frames.Hello):
            raise InvalidInput("The first frame must be hello.", field="messageType")
        core, uaid = self._hub.core, frame.uaid
        if uaid is not None and self._hub.is_barred(uaid):
            return None
        if uaid is None or uaid not in core.clients or core.clients[uaid].kind != "firefox":
            uaid = core.tokens.user_agent_id()
        try:
            return core.client(uaid, "firefox", self._hub.now())
        except PushkeepError as error:
            raise InvalidInput(error.message) from None


class _Conversation:
    """A greeted connection; the :class:`~pushkeep.pushservice.hub.Link` of its client."""

    via = "autopush"

    def __init__(self, hub: Hub, endpoint_of: EndpointOf, socket: WebSocket, client: Client) -> None:
        self._hub = hub
        self._endpoint_of = endpoint_of
        self._socket = socket
        self._client = client
        self._wake = asyncio.Event()
        self._ended = asyncio.Event()

    def wake(self) -> None:
        """See :class:`~pushkeep.pushservice.hub.Link`."""
        self._wake.set()

    async def close(self, code: int | None) -> None:
        """See :class:`~pushkeep.pushservice.hub.Link`."""
        await self._socket.close(_CLOSE_GOING_AWAY if code is None else code)
        self._ended.set()

    async def run(self) -> None:
        """Answer the hello, then read and write until either side ends it."""
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._socket.send(frames.hello(self._client.id))
            replaced = self._hub.attach(self._client, self)
            if replaced is not None:
                await replaced.close(None)
            tasks = [asyncio.create_task(work) for work in (self._read(), self._write(), self._wait_for_end())]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.detach(self._client, self)
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _wait_for_end(self) -> None:
        await self._ended.wait()

    async def _read(self) -> None:
        while (text := await self._socket.receive(seconds=None)) is not None:
            reply = await self._take(frames.parse(text))
            if reply is not None:
                await self._socket.send(reply)
            await asyncio.sleep(0)  # neither reading nor writing need have waited, and others want a turn

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            for message in self._hub.take(self._client, self):
                self._hub.written(message)  # first, because the ack may overtake the end of send()
                await self._socket.send(frames.notification(message))

    async def _take(self, frame: frames.ClientFrame) -> str | None:
        match frame:
            case frames.Register():
                if not await self._hub.may_register():
                    return frames.not_registered(frame.channel, 503, "No subscriptions are made for now.")
                return self._register(frame)
            case frames.Unregister(channel, code):
                for subscription in self._hub.core.channel(self._client, channel):
                    self._hub.end(subscription, "client", code)
                return frames.unregistered(channel)
            case frames.AckFrame(updates):
                for channel, version, code in updates:
                    self._hub.acknowledge(self._client, version, code=code, channel=channel)
                return None
            case frames.NackFrame(version, code):
                self._hub.nack(self._client, version, code)
                return None
            case frames.PingFrame():
                return frames.ping()
            case frames.BroadcastSubscribe():
                return frames.broadcast()
            case frames.Hello():
                raise InvalidInput("hello was said already.", field="messageType")

    def _register(self, frame: frames.Register) -> str:
        if frame.problem is not None:
            return frames.not_registered(frame.channel, 400, frame.problem)
        try:
            subscription = self._hub.subscribe(self._client, vendor="mozilla", channel=frame.channel, key=frame.key)
        except PushkeepError as error:
            return frames.not_registered(frame.channel, 500, error.message)
        return frames.registered(frame.channel, self._endpoint_of(subscription))
