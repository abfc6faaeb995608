"""Clients for the tests: a sender, a fake Firefox and a fake Chromium, all over real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlencode, urlsplit

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from pushkeep.protocol.request import PushOptions, build_request
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.subscription import Subscription
from pushkeep.protocol.vapid import authorization_header, sign
from pushkeep.pushservice import PushService
from pushkeep.pushservice.fcm import mcs_frames, protobuf

KEY = SigningKey.generate()
OTHER_KEY = SigningKey.generate()
SUBPROTOCOL = Subprotocol("push-notification")


def authorization(
    origin: str,
    *,
    key: SigningKey = KEY,
    expires_in: float = 3600,
    now: float | None = None,
    contact: str | None = "mailto:a@example.com",
) -> str:
    moment = time.time() if now is None else now
    token = sign(key, audience=origin, contact=contact, expires_at=int(moment + expires_in))
    return authorization_header(token, key)


def sealed(subscription: Subscription, payload: bytes | None) -> bytes:
    request = build_request(
        subscription,
        payload,
        options=PushOptions(),
        authorization=None,
        as_private=ec.generate_private_key(ec.SECP256R1()),
        salt=os.urandom(16),
    )
    return request.body


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


class Sender:
    """Posts to endpoints, dialling the service whatever origin they are of."""

    def __init__(self, service: PushService, *, http2: bool = True) -> None:
        self.service = service
        context = ssl.create_default_context(cafile=str(service.ca_file))
        self.client = httpx.AsyncClient(http2=http2, verify=context, trust_env=False)

    async def request(
        self, method: str, url: str, *, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> httpx.Response:
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        return await self.client.request(
            method, self.service.url + target, headers={"host": parts.netloc, **(headers or {})}, content=body
        )

    async def post(
        self, endpoint: str, *, body: bytes = b"", key: SigningKey = KEY, **changes: str | None
    ) -> httpx.Response:
        """A right POST, with header fields changed, or left out where None; ``_`` stands for ``-``."""
        headers: dict[str, str | None] = {
            "ttl": "60",
            "authorization": authorization(origin_of(endpoint), key=key),
        }
        if body:
            headers["content-encoding"] = "aes128gcm"
        headers |= {name.replace("_", "-"): value for name, value in changes.items()}
        kept = {name: value for name, value in headers.items() if value is not None}
        return await self.request("POST", endpoint, headers=kept, body=body)

    async def send(
        self,
        subscription: Subscription,
        payload: bytes | None,
        *,
        key: SigningKey = KEY,
        **changes: str | None,
    ) -> httpx.Response:
        return await self.post(subscription.endpoint.url, body=sealed(subscription, payload), key=key, **changes)


class FakeFirefox:
    """The client's half of autopush."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.uaid = ""

    async def say(self, **frame: object) -> None:
        await self.socket.send(json.dumps(frame))

    async def hear(self, seconds: float = 30) -> dict[str, object]:
        async with asyncio.timeout(seconds):
            text = await self.socket.recv()
        frame: dict[str, object] = json.loads(text)
        return frame

    async def hello(self, uaid: str | None = None) -> str:
        extra = {} if uaid is None else {"uaid": uaid}
        await self.say(messageType="hello", broadcasts={}, use_webpush=True, **extra)
        answer = await self.hear()
        assert answer["messageType"] == "hello"
        assert answer["use_webpush"] is True
        self.uaid = str(answer["uaid"])
        return self.uaid

    async def register(self, *, key: SigningKey | None = KEY, channel: str | None = None) -> tuple[str, str]:
        """(channel, endpoint)"""
        channel = channel or str(uuid.uuid4())
        frame: dict[str, object] = {"channelID": channel, "messageType": "register"}
        if key is not None:
            frame["key"] = key.public_b64 + "="  # Firefox pads
        await self.say(**frame)
        answer = await self.hear()
        assert answer["status"] == 200, answer
        return channel, str(answer["pushEndpoint"])

    async def ack(self, notification: dict[str, object], code: int = 100) -> None:
        update = {"channelID": notification["channelID"], "version": notification["version"], "code": code}
        await self.say(messageType="ack", updates=[update])


@asynccontextmanager
async def firefox(service: PushService, uaid: str | None = None) -> AsyncIterator[FakeFirefox]:
    """A connected client that has said hello."""
    async with connect(service.autopush_url, subprotocols=[SUBPROTOCOL], proxy=None) as socket:
        client = FakeFirefox(socket)
        await client.hello(uaid)
        yield client


class FakeChromium:
    """Check-in and registration over http, MCS over TLS, as Chromium does them."""

    app = "org.chromium.linux"

    def __init__(self, service: PushService) -> None:
        self.service = service
        self.http = httpx.AsyncClient(trust_env=False)
        self.android_id = 0
        self.security_token = 0

    async def check_in(self) -> None:
        body = protobuf.integer(2, self.android_id) + protobuf.integer(14, 3)
        if self.security_token:
            body += protobuf.fixed64(13, self.security_token)
        answer = await self.http.post(self.service.checkin_url, content=body)
        assert answer.status_code == 200
        fields = protobuf.parse(answer.content)
        assert protobuf.last_integer(fields, 1) == 1  # stats_ok
        self.android_id = protobuf.last_integer(fields, 7) or 0
        self.security_token = protobuf.last_integer(fields, 8) or 0

    async def form(self, fields: dict[str, str]) -> httpx.Response:
        return await self.http.post(
            self.service.registration_url,
            content=urlencode(fields),
            headers={"authorization": f"AidLogin {self.android_id}:{self.security_token}"},
        )

    async def register(self, subtype: str, *, key: SigningKey = KEY) -> str:
        """The endpoint, as an unbranded build makes it."""
        answer = await self.form(
            {
                "app": self.app,
                "X-subtype": subtype,
                "device": str(self.android_id),
                "sender": key.public_b64,
                "scope": "GCM",
                "X-scope": "GCM",
                "gmsv": "156",
                "appid": "abcdefghijk",
            }
        )
        assert answer.text.startswith("token="), answer.text
        return "https://jmt17.google.com/fcm/send/" + answer.text.removeprefix("token=")

    async def unregister(self, subtype: str) -> httpx.Response:
        fields = {"app": self.app, "X-subtype": subtype, "delete": "true", "sender": "*", "scope": "*"}
        return await self.form(fields)

    @asynccontextmanager
    async def mcs(self, received: tuple[str, ...] = (), **changes: str) -> AsyncIterator[FakeMcs]:
        parts = urlsplit(self.service.mcs_url)
        context = ssl.create_default_context(cafile=str(self.service.ca_file))
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", parts.port, ssl=context, server_hostname="localhost"
        )
        try:
            connection = FakeMcs(reader, writer)
            await connection.login(
                changes.get("android_id", str(self.android_id)),
                changes.get("security_token", str(self.security_token)),
                received,
            )
            yield connection
        finally:
            writer.close()


class FakeMcs:
    """The client's half of MCS, with its stream counters."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.frames = mcs_frames.FrameReader(1_000_000)
        self.received = 0
        self.version: int | None = None

    async def login(self, android_id: str, security_token: str, received: tuple[str, ...]) -> None:
        content = (
            protobuf.octets(1, "chrome-156")
            + protobuf.octets(2, "mcs.android.com")
            + protobuf.octets(3, android_id)
            + protobuf.octets(4, android_id)
            + protobuf.octets(5, security_token)
            + b"".join(protobuf.octets(10, item) for item in received)
        )
        self.writer.write(bytes([41]))
        self.send(2, content)

    def send(self, tag: int, content: bytes) -> None:
        self.writer.write(bytes([tag]) + protobuf.encode_varint(len(content)) + content)

    def stream_ack(self, number: int | None = None) -> None:
        extension = protobuf.integer(1, 13) + protobuf.octets(2, b"")
        last = self.received if number is None else number
        self.send(
            7,
            protobuf.integer(2, 1)
            + protobuf.octets(3, "")
            + protobuf.octets(7, extension)
            + protobuf.integer(10, last),
        )

    async def hear(self, seconds: float = 30) -> mcs_frames.Frame | None:
        """The next frame; None at the end of the connection."""
        async with asyncio.timeout(seconds):
            if self.version is None:
                first = await self.reader.read(1)
                if not first:
                    return None
                self.version = first[0]
            while (frame := self.frames.next_frame()) is None:
                data = await self.reader.read(65536)
                if not data:
                    return None
                self.frames.feed(data)
        self.received += 1
        return frame


def app_data(frame: mcs_frames.Frame) -> dict[str, str]:
    """The key and value pairs of a DataMessageStanza."""
    pairs = [protobuf.parse(value) for number, value in frame.fields if number == 7 and isinstance(value, bytes)]
    return {protobuf.last_text(pair, 1): protobuf.last_text(pair, 2) for pair in pairs}


def raw_data(frame: mcs_frames.Frame) -> bytes | None:
    """The body of a DataMessageStanza."""
    return next((value for number, value in frame.fields if number == 21 and isinstance(value, bytes)), None)
