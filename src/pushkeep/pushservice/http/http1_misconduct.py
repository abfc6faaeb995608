"""Bad answers over HTTP/1.1; the connection ends after each of them."""

from __future__ import annotations

import asyncio
import contextlib

from pushkeep.pushservice.http import misconduct
from pushkeep.pushservice.http.message import Manner, Response, reason_phrase
from pushkeep.pushservice.http.stream import Stream


async def misbehave(stream: Stream, response: Response) -> None:
    """Give an answer in its manner; the caller then closes the connection."""
    match response.manner:
        case Manner.HANG:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(response.seconds):
                    while await stream.receive(seconds=response.seconds):
                        pass  # what a client still says is not heard; when it goes, so do we
        case Manner.RESET | Manner.RESET_STREAM:
            stream.reset()
        case Manner.RESET_MIDDLE:
            whole = _octets(misconduct.with_body(response))
            await stream.send(whole[: -len(misconduct.with_body(response).body) // 2])
            await misconduct.pause_to_arrive()
            stream.reset()
        case Manner.GARBAGE:
            await stream.send(misconduct.GARBAGE)
        case Manner.HUGE_HEADERS:
            headers = response.headers + misconduct.HUGE_HEADERS
            await stream.send(_octets(Response(response.status, headers, response.body)))
        case Manner.GOAWAY:
            await stream.send(_octets(response))
        case Manner.DRIP:
            pieces, seconds = misconduct.drips(response)
            await stream.send(_head(response, sum(map(len, pieces))))
            for piece in pieces:
                await asyncio.sleep(seconds)
                await stream.send(piece)
        case Manner.ENDLESS_BODY:
            await stream.send(_head(response, None))
            for _ in range(misconduct.ENDLESS_BYTES_MAX // len(misconduct.ENDLESS_CHUNK)):
                await stream.send(misconduct.ENDLESS_CHUNK)
        case _:
            pass  # REFUSE_STREAM, CLOSE, both abrupt GOAWAYs: nothing is said


def _head(response: Response, length: int | None) -> bytes:
    """Status line and header; without a length the body ends with the connection (RFC 9112 section 6.3)."""
    fields = [*response.headers, ("connection", "close")]
    if length is not None:
        fields.append(("content-length", str(length)))
    lines = [f"HTTP/1.1 {response.status} {reason_phrase(response.status)}"]
    lines += [f"{name}: {value}" for name, value in fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _octets(response: Response) -> bytes:
    return _head(response, len(response.body)) + response.body
