"""What bad answers have in common, whatever the HTTP version."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from pushkeep.pushservice.http.message import Response

HUGE_HEADERS = tuple((f"x-filler-{number}", "x" * 1_000) for number in range(200))
"""200 KB: more than any client reads, and less than libcurl's own limit, so that the client's one is seen."""

ENDLESS_CHUNK = b"x" * 16_384
ENDLESS_BYTES_MAX = 256 * 1024 * 1024
"""After this even an endless body ends with the connection, for the sake of the machine both run on."""

GARBAGE = b"\xde\xad\xbe\xef this is not an answer\r\n\r\n" + b"\xff" * 100

DRIP_STEPS = 10
FILLER = b"." * 100
"""The body of an answer that must have one."""

ARRIVE_SECONDS = 0.05
"""What was sent must have arrived before a TCP RST, which overtakes it and makes the peer's system throw it away."""


def with_body(response: Response) -> Response:
    """The response with something in its body."""
    return response if response.body else replace(response, body=FILLER)


def drips(response: Response) -> tuple[list[bytes], float]:
    """The body in pieces, and the seconds before each."""
    body = with_body(response).body
    size = -(-len(body) // DRIP_STEPS)
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return pieces, response.seconds / len(pieces)


async def pause_to_arrive() -> None:
    """Let what was sent arrive."""
    await asyncio.sleep(ARRIVE_SECONDS)
