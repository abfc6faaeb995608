"""``python -m bench.receipts``: how many receipts a second the server takes in, from the socket to the database.

A server runs in a process of its own with one thread of Python; browsers are played over kept connections, as a reverse
proxy in front would have them, each receipt a request with a token of its own. Counted are the seconds until the last
one is answered, the processor time that the server used, all threads, up to the last insert, and what the database
holds afterwards.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import uvloop

from bench.engine_results import Receipts
from bench.processes import process_seconds
from bench.requests import flood, request, server_of
from pushkeep.app.accept import Asked, accept
from pushkeep.compose import run_server
from pushkeep.compose.services import ensure_project, open_services
from pushkeep.config import Settings, load_settings
from pushkeep.domain.notification import Content, Target
from pushkeep.domain.receipt import ReceiptTokens, receipt_key
from pushkeep.protocol.request import PushOptions

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


def _requests(told: Told, count: int) -> list[bytes]:
    path = f"/v1/client/{told.publishable_key}/receipts"
    bodies = (f"displayed {told.public_id} {told.tokens.make(number).decode()}" for number in range(1, count + 1))
    return [request("POST", path, body.encode(), "text/plain;charset=UTF-8") for body in bodies]


def measure(directory: Path, count: int) -> Receipts:
    """Send so many to a new server in ``directory``."""
    settings = settings_of(directory)
    told = uvloop.run(prepare(settings))
    requests = _requests(told, count)
    with server_of("bench.receipts", directory) as (pid, port):
        before = process_seconds(pid)
        seconds = uvloop.run(flood(port, requests, b"204"))
        time.sleep(2)  # the last flush is a second later
        used = process_seconds(pid) - before
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
