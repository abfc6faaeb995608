"""Requests to a server of ours in a process of its own, over kept connections, as a reverse proxy has them."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import cast

CONNECTIONS = 64
SITE_URL = "https://shop.example.com"
HEAD_END = b"\r\n\r\n"


def request(method: str, path: str, body: bytes, kind: str = "application/json", token: str | None = None) -> bytes:
    """What a page of the site sends."""
    credential = f"Authorization: Bearer {token}\r\n" if token else ""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: push.example.com\r\nUser-Agent: Mozilla/5.0 (X11; rv:153.0)\r\n"
        f"Accept: */*\r\nContent-Type: {kind}\r\nOrigin: {SITE_URL}\r\n{credential}"
        f"X-Forwarded-For: 203.0.113.7\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Browser(asyncio.Protocol):
    """Sends its requests one after the other."""

    def __init__(self, requests: list[bytes], wanted: Sequence[bytes], done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._wanted = tuple(b"HTTP/1.1 " + status for status in wanted)
        self._done = done
        self._read = b""
        self.bad: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._next()

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, body = self._read.partition(HEAD_END)
        if not end or len(body) < _length(head):
            return
        if not head.startswith(self._wanted):
            self.bad.append(self._read)
        self._read = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(ConnectionError(f"the server closed a connection: {exc}"))

    def _next(self) -> None:
        if self._requests:
            self._transport.write(self._requests.pop())
        elif not self._done.done():
            self._done.set_result(None)


def _length(head: bytes) -> int:
    _, _, after = head.lower().partition(b"\r\ncontent-length:")
    return int(after.partition(b"\r\n")[0] or 0)


async def flood(port: int, requests: Sequence[bytes], *wanted: bytes) -> float:
    """Send them all; the seconds it took.

    Raises:
        RuntimeError: an answer has another status than ``wanted``.
    """
    loop = asyncio.get_running_loop()
    ends = [loop.create_future() for _ in range(CONNECTIONS)]
    began = time.monotonic()
    browsers: list[Browser] = []
    for at, end in enumerate(ends):
        browser = Browser(list(requests[at::CONNECTIONS]), wanted, end)
        browsers.append(browser)
        await loop.create_connection(partial(_same, browser), "127.0.0.1", port)
    await asyncio.gather(*ends)
    seconds = time.monotonic() - began
    if bad := [answer for browser in browsers for answer in browser.bad]:
        raise RuntimeError(f"{len(bad)} were answered otherwise, as {bad[0][:400]!r}")
    return seconds


def _same(browser: Browser) -> Browser:
    return browser


@contextlib.contextmanager
def server_of(module: str, directory: Path) -> Iterator[tuple[int, int]]:
    """``python -m module --serve directory`` until the end; its process number and the port that it prints."""
    command = [sys.executable, "-m", module, "--serve", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.pid, int(server.stdout.readline())
        finally:
            server.terminate()
