"""A TCP relay that makes a server far away: ``python -m bench.relay PORT TARGET_PORT DELAY_MS``.

Whatever arrives goes on, unchanged and in order, ``DELAY_MS`` later. Octets are delayed and not queued behind one
another: any number of them may be under way, so that nothing limits how many pass in a second. A new connection's
first octets wait one round trip longer, which stands for TCP's own handshake.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop


class _End(asyncio.Protocol):
    """One side of a connection; what it receives is written to ``other`` after ``delay`` seconds."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self.other: asyncio.Transport | None = None
        self._waiting: list[bytes] | None = []  # until the other side is connected

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def join(self, other: asyncio.Transport, first_seconds: float) -> None:
        """From now on there is someone to write to; what has come so far goes ``first_seconds`` later."""
        self.other = other
        waiting, self._waiting = self._waiting or [], None
        self._loop.call_later(first_seconds, self._write, b"".join(waiting))

    def data_received(self, data: bytes) -> None:
        if self._waiting is not None:
            self._waiting.append(data)
        else:
            # Timers of equal length fire in the order in which they were set.
            self._loop.call_later(self._delay, self._write, data)

    def connection_lost(self, _error: Exception | None) -> None:
        if self.other is not None:
            self._loop.call_later(self._delay, self.other.close)

    def _write(self, data: bytes) -> None:
        if data and self.other is not None and not self.other.is_closing():
            self.other.write(data)


async def _serve(port: int, target: int, delay: float) -> None:
    loop = asyncio.get_running_loop()
    opening: set[asyncio.Task[None]] = set()

    async def open_for(near: _End) -> None:
        await asyncio.sleep(3 * delay)  # SYN there, its answer back, the first octets there
        _, far = await loop.create_connection(lambda: _End(delay), "127.0.0.1", target)
        far.join(near.transport, 0)
        near.join(far.transport, 0)

    class Near(_End):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            task = asyncio.ensure_future(open_for(self))
            opening.add(task)
            task.add_done_callback(opening.discard)

    async with await loop.create_server(lambda: Near(delay), "127.0.0.1", port, backlog=1024):
        await asyncio.to_thread(sys.stdin.read)  # until the benchmark ends, in whichever way


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000))
