"""What one connection may cost before a request begins: limits that uvicorn's fast parser does not have.

Bodies are limited by their routes. The head of a request comes before any route, and the parser collects it for as long
as the client goes on sending: without a limit one connection fills the memory, and a connection on which nothing
is ever sent stays open for good.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES_MAX = 65_536
"""Request line and headers. Browsers send 1 to 2 KB, and proxies commonly take 8 to 32 KB. What is kept can be larger
by one read of the socket (256 KB)."""

HEAD_SECONDS_MAX = 30.0
"""As long as for a body; a head fits into a few packets."""


PIPELINED_MAX = 100
"""Requests that may wait behind the one being answered. Browsers and proxies send none ahead. Uvicorn reads on after
each answer however many wait, at some 2 KB of memory for 40 octets sent."""


class BoundedConnection(HttpToolsProtocol):
    """A connection whose request heads are bounded in size and time, and whose waiting requests in number."""

    head_seconds_max = HEAD_SECONDS_MAX

    _deadline: asyncio.TimerHandle | None = None
    _in_head = True
    _head_bytes = 0
    _heads = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's does
        """Start to wait for the first head."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; refuse a head that is still not complete after too many octets, and too many requests at once."""
        was_in_head, heads = self._in_head, self._heads
        super().data_received(data)
        if len(self.pipeline) > PIPELINED_MAX:
            self.transport.close()
            return
        if not was_in_head or heads != self._heads:
            return  # a body, or a head that is complete
        self._wait_for_head()
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            self._refuse(f"The request's head is over {HEAD_BYTES_MAX} octets; send less.")

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._heads += 1
        self._in_head = False
        self._head_bytes = 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Whatever comes now belongs to the next head."""
        self._in_head = True
        super().on_message_complete()

    def _wait_for_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.head_seconds_max, self._give_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self._is_answering():
            self._wait_for_head()  # part of the next head came early: its turn has not come yet
        else:
            self.transport.close()

    def _refuse(self, why: str) -> None:
        if self._is_answering():
            self.transport.close()  # a second answer must not run into the first
        else:
            self.send_400_response(why)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete
