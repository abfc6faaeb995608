"""``python -m bench.receipts``: how many receipts a second the server takes in, from the socket to the database.

A server runs in a process of its own with one thread of Python; browsers are played over kept connections, as a reverse
proxy in front would have them, each receipt a request with a token of its own. Counted are the seconds until the last
one is answered, the processor time that the server used, all threads, up to the last insert, and what the database
holds afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import cast

import uvloop

from bench.engine_results import Receipts
from bench.processes import process_seconds
from pushkeep.app.accept import Asked, accept
from pushkeep.compose import run_server
from pushkeep.compose.services import ensure_project, open_services
from pushkeep.config import Settings, load_settings
from pushkeep.domain.notification import Content, Target
from pushkeep.domain.receipt import ReceiptTokens, receipt_key
from pushkeep.protocol.request import PushOptions

CONNECTIONS = 64
RECEIPTS = 50_000


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """A notification to report about."""

    publishable_key: str
    public_id: str
    number: int
    tokens: ReceiptTokens


def settings_of(directory: Path) -> Settings:
    """A server of its own in a directory."""
    values = {"data_dir": directory, "contact": "mailto:bench@example.com", "port": 0, "log_level": "warning"}
    return load_settings(environ={}, overrides=values)


async def prepare(settings: Settings) -> Told:
    """Make the database with one notification."""
    async with open_services(settings) as services:
        project = await ensure_project(services, settings)
        asked = Asked.of(Target.everyone(), Content.of(title="Hi"), PushOptions(ttl=60))
        accepted = await accept(services, project, asked, worker=None)
        key = receipt_key((await services.store.project_secrets(project)).sync)
        record = accepted.record
        return Told(project.publishable_key, record.public_id, record.id, ReceiptTokens(key, record.public_id))


async def counted(settings: Settings, told: Told) -> int:
    """How many the database has."""
    async with open_services(settings) as services:
        project = await ensure_project(services, settings)
        return (await services.store.receipt_counts(project, told.number))["displayed"]


class Browser(asyncio.Protocol):
    """Sends its receipts one after the other."""

    def __init__(self, requests: list[bytes], done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._done = done
        self.bad = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._next()

    def data_received(self, data: bytes) -> None:
        self.bad += not data.startswith(b"HTTP/1.1 204")
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(ConnectionError(f"the server closed a connection: {exc}"))

    def _next(self) -> None:
        if self._requests:
            self._transport.write(self._requests.pop())
        elif not self._done.done():
            self._done.set_result(None)


async def flood(port: int, told: Told, count: int) -> float:
    """Send them all; the seconds it took."""
    path = f"/v1/client/{told.publishable_key}/receipts"
    requests = []
    for number in range(1, count + 1):
        body = f"displayed {told.public_id} {told.tokens.make(number).decode()}".encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: push.example.com\r\nUser-Agent: Mozilla/5.0 (X11; rv:153.0)\r\n"
            f"Accept: */*\r\nContent-Type: text/plain;charset=UTF-8\r\nOrigin: https://shop.example.com\r\n"
            f"X-Forwarded-For: 203.0.113.7\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    loop = asyncio.get_running_loop()
    ends = [loop.create_future() for _ in range(CONNECTIONS)]
    began = time.monotonic()
    browsers: list[Browser] = []
    for at, end in enumerate(ends):
        browser = Browser(requests[at::CONNECTIONS], end)
        browsers.append(browser)
        await loop.create_connection(partial(_same, browser), "127.0.0.1", port)
    await asyncio.gather(*ends)
    seconds = time.monotonic() - began
    if bad := sum(browser.bad for browser in browsers):
        raise RuntimeError(f"{bad} were not answered 204")
    return seconds


def _same(browser: Browser) -> Browser:
    return browser


def measure(directory: Path, count: int) -> Receipts:
    """Send so many to a new server in ``directory``."""
    settings = settings_of(directory)
    told = uvloop.run(prepare(settings))
    command = [sys.executable, "-m", "bench.receipts", "--serve", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            before = process_seconds(server.pid)
            seconds = uvloop.run(flood(port, told, count))
            time.sleep(2)  # the last flush is a second later
            used = process_seconds(server.pid) - before
        finally:
            server.terminate()
    return Receipts(count, uvloop.run(counted(settings, told)), count / seconds, count / used)


def main() -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--receipts", type=int, default=RECEIPTS)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        run_server(settings_of(given.serve), on_ready=lambda serving: print(serving.settings.port, flush=True))
        return
    with tempfile.TemporaryDirectory() as directory:
        found = measure(Path(directory), given.receipts)
    print(f"{found.count} receipts: {found.per_second:,.0f} a second")
    print(f"server: {found.per_core_second:,.0f} for each second of its processor time")
    print(f"in the database: {found.kept}")


if __name__ == "__main__":
    main()
