"""HTTP/1.1 (RFC 9112) on h11, with the hand-over of WebSocket upgrades (RFC 6455)."""

from __future__ import annotations

import asyncio

import h11

from pushkeep.pushservice.http.http1_misconduct import misbehave
from pushkeep.pushservice.http.message import (
    Handler,
    Request,
    Response,
    Upgrade,
    answer,
    reason_phrase,
    text_response,
)
from pushkeep.pushservice.http.stream import Stream
from pushkeep.pushservice.limits import Limits

_BODILESS = frozenset({204, 304})


class Http1Connection:
    """Serves one connection until it ends; requests are answered one after the other."""

    def __init__(self, stream: Stream, handler: Handler, *, limits: Limits, upgrade: Upgrade | None = None) -> None:
        self._stream = stream
        self._handler = handler
        self._limits = limits
        self._upgrade = upgrade
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.request_line_and_header_bytes_max)

    async def run(self) -> None:
        """Serve until the client closes, breaks the protocol, or idles too long."""
        try:
            while await self._serve_one():
                pass
        except h11.RemoteProtocolError as error:
            await self._respond(text_response(error.error_status_hint, "This is not an HTTP request.\n"))
        except TimeoutError:
            # An idle connection just ends: a 408 there could be taken for the answer to the next request.
            if self._h11.our_state is h11.SEND_RESPONSE:
                await self._respond(text_response(408, "The request took too long.\n"))

    async def _serve_one(self) -> bool:
        """One request; False when the connection is at its end or taken over."""
        head = await self._next_head()
        if not isinstance(head, h11.Request):
            return False
        if self._upgrade is not None and _asks_for_websocket(head):
            trailing, _ = self._h11.trailing_data
            await self._upgrade(self._request(head, b"", 0), self._stream, trailing)
            return False
        request = await self._read_body(head)
        response = await answer(self._handler, request)
        if response.manner is not None:
            await misbehave(self._stream, response)
            return False
        await self._respond(response)
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        return True

    async def _read_body(self, head: h11.Request) -> Request:
        body, count = bytearray(), 0
        if self._h11.they_are_waiting_for_100_continue:
            going_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            await self._stream.send(self._h11.send(going_on) or b"")
        async with asyncio.timeout(self._limits.request_seconds_max):
            while count <= self._limits.request_discard_bytes_max:
                event = await self._next_event(seconds=self._limits.request_seconds_max)
                if not isinstance(event, h11.Data):
                    break
                room = self._limits.request_body_bytes_max - len(body)
                body += event.data[:room] if room > 0 else b""
                count += len(event.data)
        return self._request(head, bytes(body), count)

    def _request(self, head: h11.Request, body: bytes, count: int) -> Request:
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers)
        return Request(
            method=head.method.decode("latin-1"),
            scheme="https" if self._stream.is_tls else "http",
            authority=next((value for name, value in headers if name == "host"), ""),
            target=head.target.decode("latin-1"),
            headers=headers,
            body=body,
            body_bytes=count,
            version=head.http_version.decode("latin-1"),
        )

    async def _next_head(self) -> object:
        """Wait for the next request as long as for any idle connection, but for its end only so long as for a body."""
        waiting = self._h11.trailing_data[0] == b""
        if waiting and self._h11.their_state is h11.IDLE:
            data = await self._stream.receive(seconds=self._limits.idle_seconds_max)
            self._h11.receive_data(data)
        return await self._next_event(seconds=self._limits.request_seconds_max)

    async def _next_event(self, *, seconds: float) -> object:
        async with asyncio.timeout(seconds):
            while True:
                event = self._h11.next_event()
                if event is h11.NEED_DATA:
                    self._h11.receive_data(await self._stream.receive(seconds=seconds))
                    continue
                return event

    async def _respond(self, response: Response) -> None:
        if self._h11.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
        if response.status not in _BODILESS:
            headers.append((b"content-length", str(len(response.body)).encode()))
        head = h11.Response(
            status_code=response.status, headers=headers, reason=reason_phrase(response.status).encode()
        )
        out = self._h11.send(head) or b""
        if response.body and response.status not in _BODILESS:
            out += self._h11.send(h11.Data(data=response.body)) or b""
        out += self._h11.send(h11.EndOfMessage()) or b""
        await self._stream.send(out)


def _asks_for_websocket(head: h11.Request) -> bool:
    return head.method == b"GET" and any(
        name == b"upgrade" and value.lower() == b"websocket" for name, value in head.headers
    )
