"""Bad answers over HTTP/2, at the level of frames.

GOAWAY and SETTINGS are written by hand: h2 takes a connection for ended once it has made a GOAWAY, and after a graceful
one what is open is still answered.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import h2.errors

from pushkeep.pushservice.http import misconduct
from pushkeep.pushservice.http.message import Manner, Response

if TYPE_CHECKING:
    from pushkeep.pushservice.http.http2 import Http2Connection


def goaway_frame(last_stream_id: int, code: int) -> bytes:
    """A GOAWAY frame (RFC 9113 section 6.8)."""
    return (8).to_bytes(3) + b"\x07\x00" + bytes(4) + last_stream_id.to_bytes(4) + code.to_bytes(4)


def settings_frame(setting: int, value: int) -> bytes:
    """A SETTINGS frame with one setting (RFC 9113 section 6.5)."""
    return (6).to_bytes(3) + b"\x04\x00" + bytes(4) + setting.to_bytes(2) + value.to_bytes(4)


async def misbehave(connection: Http2Connection, stream_id: int, response: Response) -> None:
    """Give the answer to one stream in its manner."""
    code = h2.errors.ErrorCodes
    stream = connection.stream
    match response.manner:
        case Manner.HANG:
            await asyncio.sleep(response.seconds)  # cancelled when the client resets the stream or goes
            stream.finish()
        case Manner.RESET:
            stream.reset()
        case Manner.RESET_MIDDLE:
            whole = misconduct.with_body(response)
            await connection.send_head(stream_id, whole, length=len(whole.body))
            await connection.send_body(stream_id, whole.body[: len(whole.body) // 2], end=False)
            await misconduct.pause_to_arrive()
            stream.reset()
        case Manner.RESET_STREAM | Manner.REFUSE_STREAM:
            refused = response.manner is Manner.REFUSE_STREAM
            connection.reset(stream_id, code.REFUSED_STREAM if refused else code.INTERNAL_ERROR)
            await connection.flush()
        case Manner.CLOSE:
            stream.finish()
        case Manner.GOAWAY:
            await connection.leave()
            await connection.respond(stream_id, response)
        case Manner.GOAWAY_ABRUPT | Manner.GOAWAY_TAKEN:
            # The last stream that may have been looked at: this one, or the one before, which makes a repeat safe.
            taken = response.manner is Manner.GOAWAY_TAKEN
            await stream.send(goaway_frame(stream_id if taken else max(0, stream_id - 2), code.NO_ERROR))
            stream.finish()
        case Manner.GARBAGE:
            await stream.send(misconduct.GARBAGE)
            stream.finish()
        case Manner.HUGE_HEADERS:
            headers = response.headers + misconduct.HUGE_HEADERS
            await connection.respond(stream_id, Response(response.status, headers, response.body))
        case Manner.DRIP:
            pieces, seconds = misconduct.drips(response)
            await connection.send_head(stream_id, response, length=sum(map(len, pieces)))
            for number, piece in enumerate(pieces, 1):
                await asyncio.sleep(seconds)
                await connection.send_body(stream_id, piece, end=number == len(pieces))
        case Manner.ENDLESS_BODY:
            await connection.send_head(stream_id, response, length=None)
            for _ in range(misconduct.ENDLESS_BYTES_MAX // len(misconduct.ENDLESS_CHUNK)):
                await connection.send_body(stream_id, misconduct.ENDLESS_CHUNK, end=False)
            stream.finish()
        case None:
            await connection.respond(stream_id, response)
