"""A worker's metrics on a port of the loopback interface: just enough HTTP for a monitoring agent on this machine.

It needs no key: who can connect is on the machine, and the page names no project, person or endpoint. It runs in the
event loop of the work it shows, so a page that comes late says something, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pushkeep.errors import ConfigurationError
from pushkeep.ports.metrics import MetricsPage

HOST = "127.0.0.1"

PATH = "/metrics"

HEAD_BYTES_MAX = 8192
"""Agents send some hundred octets."""

REQUEST_SECONDS_MAX = 5.0
"""From connecting to the last octet of the answer; agents give up after ten."""

CONNECTIONS_MAX = 16
"""At once; an agent opens one."""


@asynccontextmanager
async def serving_metrics(page: MetricsPage, port: int) -> AsyncIterator[int]:
    """Serve a page until the context is left; gives the port.

    Args:
        page: what is served at ``/metrics``.
        port: 0 for any free one.

    Raises:
        ConfigurationError: the port is taken or not allowed.
    """
    answering: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(answering) >= CONNECTIONS_MAX:
            writer.close()
            return
        answering.add(task)
        try:
            # Who goes away, sends no request or is too slow gets no answer.
            with contextlib.suppress(TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with asyncio.timeout(REQUEST_SECONDS_MAX):
                    await _answer(page, reader, writer)
        finally:
            answering.discard(task)
            writer.close()

    try:
        server = await asyncio.start_server(accept, HOST, port, limit=HEAD_BYTES_MAX)
    except OSError as error:
        reason = "is in use by another program" if error.errno == errno.EADDRINUSE else "cannot be opened"
        raise ConfigurationError(
            f"Port {port} for metrics {reason}; set worker_metrics_port to another one.", field="worker_metrics_port"
        ) from None
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(answering):
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)
        await server.wait_closed()


async def _answer(page: MetricsPage, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    status, media_type, body = "200 OK", page.media_type, b""
    if method not in ("GET", "HEAD"):
        status, media_type, body = "405 Method Not Allowed", "text/plain", b"Only GET.\n"
    elif path != PATH:
        status, media_type, body = "404 Not Found", "text/plain", f"Only {PATH} is here.\n".encode()
    else:
        body = await page.page()
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {media_type}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode() + (b"" if method == "HEAD" else body))
    await writer.drain()
