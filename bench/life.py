"""``python -m bench.life``: what keeping subscriptions costs: registrations, re-syncs, heartbeats, sweeps.

The database has so many subscribers already. Browsers are played over kept connections as in ``bench.receipts``: each
registers a new subscription, synchronises it as every page load does, and sends a heartbeat. A sweep is the command, in
a process of its own: of the subscribers one in ten was not seen for a year, one in a thousand was doubted on three
days, and one in twenty is a tombstone to be forgotten.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import connect

import uvloop
from cryptography.hazmat.primitives.asymmetric import ec

from bench import audience
from bench.engine_results import Asked, Life
from bench.processes import Ran, process_seconds, run
from bench.requests import SITE_URL, flood, request, server_of
from bench.servers import ORIGIN, TARGET
from pushkeep.app.projects import active_signing_key
from pushkeep.compose import run_server
from pushkeep.compose.services import ensure_project, open_services
from pushkeep.config import Settings, load_settings, settings_environment
from pushkeep.domain.sync_token import make_sync_token
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.keys import encode_point

REQUESTS = 5_000
SIZES = (1_000, 100_000)

YEAR_SECONDS = 365 * 86_400

_AGE = (
    ("UPDATE subscriptions SET last_seen_at = last_seen_at - ?, created_at = created_at - ?", 10, 0),
    (
        "UPDATE subscriptions SET state = 'failing', consecutive_failures = 3, suspect_days = '20001 20002 20003', "
        "created_at = created_at - ? + 0 * ?",
        1000,
        1,
    ),
    (
        "UPDATE subscriptions SET state = 'gone', sealed = NULL, ended_at = last_seen_at - ?, "
        'created_at = created_at - ?, state_reason = \'{"cause": "said_gone", "at": 0}\'',
        20,
        2,
    ),
)
"""Who is made old, doubted or a tombstone, and which of how many it is."""


@dataclass(frozen=True, slots=True)
class Site:
    """What a page of the project knows."""

    publishable_key: str
    application_server_key: str
    project_public_id: str
    sync_secret: bytes


def settings_of(directory: Path) -> Settings:
    """A server of its own in a directory, without limits that one machine would meet."""
    values = {
        "data_dir": directory,
        "contact": "mailto:bench@example.com",
        "port": 0,
        "workers": 0,
        "log_level": "warning",
        "site_url": SITE_URL,
        "client_requests_per_minute": 100_000,
        "client_requests_burst": 100_000,
        "site_requests_per_minute": 10_000_000,
        "sweep_schedule": "off",
    }
    return load_settings(environ={}, overrides=values)


async def _site(settings: Settings) -> Site:
    async with open_services(settings) as services:
        project = await ensure_project(services, settings)
        key = (await active_signing_key(services, project)).key
        secret = (await services.store.project_secrets(project)).sync
        return Site(project.publishable_key, key.public_b64, project.public_id, secret)


def _registrations(site: Site, count: int) -> list[bytes]:
    points = [encode_point(ec.generate_private_key(ec.SECP256R1()).public_key()) for _ in range(audience.KEY_PAIRS)]
    path = f"/v1/client/{site.publishable_key}/subscriptions"
    made = []
    for number in range(count):
        keys = {"p256dh": b64url_encode(points[number % len(points)]), "auth": b64url_encode(os.urandom(16))}
        body = {
            "subscription": {"endpoint": f"{ORIGIN}{TARGET[:-9]}n{number:08}", "expirationTime": None, "keys": keys},
            "application_server_key": site.application_server_key,
            "abilities": ["deflate"],
            "sequence": 1_800_000_000_000 + number,
        }
        made.append(request("POST", path, json.dumps(body).encode()))
    return made


def _heartbeats(site: Site, database: Path, known: int) -> list[bytes]:
    with contextlib.closing(connect(database)) as connection:
        rows = connection.execute("SELECT public_id FROM subscriptions WHERE id > ?", (known,)).fetchall()
    path = f"/v1/client/{site.publishable_key}/heartbeat"
    made = []
    for (digits,) in rows:
        public_id = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        token = make_sync_token(site.sync_secret, project_public_id=site.project_public_id, public_id=public_id)
        made.append(request("POST", path, b"{}", token=token))
    return made


def _age(database: Path) -> None:
    with contextlib.closing(connect(database)) as connection, connection:
        for statement, of, rest in _AGE:
            values = (YEAR_SECONDS,) * statement.count("?")
            connection.execute(f"{statement} WHERE id % {of} = {rest}", values)


@dataclass(frozen=True, slots=True)
class _Swept:
    report: dict[str, object]
    ran: Ran


def _sweep(settings: Settings, *options: str) -> _Swept:
    ran = run([sys.executable, "-P", "-m", "pushkeep", "sweep", "--json", *options], settings_environment(settings))
    return _Swept(json.loads(ran.text), ran)


def measure(directory: Path, living: int, requests: int = REQUESTS) -> Life:
    """Fill a new database in ``directory`` and measure."""
    directory.mkdir(mode=0o700)
    settings = settings_of(directory)
    uvloop.run(audience.fill(settings, living))
    site = uvloop.run(_site(settings))
    database = directory / "pushkeep.db"
    made = _registrations(site, requests)
    with server_of("bench.life", directory) as (pid, port):
        register = _ask(pid, port, made, b"201")
        sync = _ask(pid, port, made, b"200")
        beat = _ask(pid, port, _heartbeats(site, database, living), b"200")
        time.sleep(1)  # what is written late is written
    _age(database)
    survey = _sweep(settings, "--dry-run", "--force")
    swept = _sweep(settings, "--force")
    for name in ("quarantined", "purged"):
        if survey.report[name] != swept.report[name]:
            raise RuntimeError(f"a dry run says {survey.report[name]} {name}, the sweep {swept.report[name]}")
    return Life(
        living,
        requests,
        register,
        sync,
        beat,
        float(str(survey.report["seconds"])),
        float(str(swept.report["seconds"])),
        swept.ran.cpu_seconds,
        swept.ran.peak_mb,
        int(str(swept.report["quarantined"])),
        int(str(swept.report["purged"])),
    )


def _ask(pid: int, port: int, requests: Sequence[bytes], wanted: bytes) -> Asked:
    before = process_seconds(pid)
    seconds = uvloop.run(flood(port, requests, wanted))
    used = process_seconds(pid) - before
    return Asked(len(requests) / seconds, used / len(requests) * 1e6)


def main() -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--living", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        run_server(settings_of(given.serve), on_ready=lambda serving: print(serving.settings.port, flush=True))
        return
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        for living in given.living:
            found = measure(Path(folder) / str(living), living, given.requests)
            print(f"{living:,} living subscriptions")
            for name, asked in (
                ("registrations", found.register),
                ("re-syncs", found.sync),
                ("heartbeats", found.beat),
            ):
                print(f"  {name}: {asked.per_second:,.0f} a second, {asked.cpu_us:,.0f} µs of the server's each")
            print(
                f"  sweep: {found.survey_seconds:.1f} s to count, {found.sweep_seconds:.1f} s in all, "
                f"{found.sweep_cpu_seconds:.1f} s of processor time, {found.sweep_mb:.0f} MB; "
                f"{found.quarantined:,} quarantined, {found.purged:,} forgotten"
            )


if __name__ == "__main__":
    main()
