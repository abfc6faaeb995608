"""A Pushkeep server with its workers, as an operator runs it, looked at from outside: what it is asked, what it takes.

``pushkeep serve`` in a process of its own, its worker processes below it, the database a file on a real disk. Nothing
in them knows that it is measured: processor time and memory are what the kernel says of each process.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import uvloop

from bench import audience
from bench.processes import children_of, first_thread_seconds, peak_mb, process_seconds
from bench.servers import ORIGIN, Servers, Site, free_port, wait_until_listening
from bench.world import CONTACT
from pushkeep.config import load_settings, settings_environment

READY_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 60.0
LONG_POLL_SECONDS = 30
KEPT_SECONDS = 2.0
"""The server closes a connection that was idle for five."""

CONTENT = {
    "title": "Your order has been sent",
    "body": "It should arrive on Thursday between 9 and 11.",
    "url": "/o/1",
}
"""What every message says: as the sender's, and in it a token of its own for each recipient's receipts."""


@dataclass(frozen=True)
class Spent:
    """Processor seconds of the processes of one server since they were started.

    Attributes:
        web: the process that accepts.
        workers: its worker processes, all threads.
        loops: of these, the threads that run the event loops; the others read and write the database.
    """

    web: float
    workers: float
    loops: float

    def __sub__(self, before: Spent) -> Spent:
        return Spent(self.web - before.web, self.workers - before.workers, self.loops - before.loops)


@dataclass(frozen=True)
class Broadcast:
    """What one notification to everybody came to.

    Attributes:
        recipients: all of them accepted.
        seconds: from its being accepted to its last recipient's being written down.
        first_send_seconds: from its being accepted to the first message's arrival at the push service.
        spent: processor time from before it was posted to after its end.
    """

    recipients: int
    seconds: float
    first_send_seconds: float
    spent: Spent


class Installation:
    """One server that runs; made by :func:`serving`.

    Attributes:
        recipients: how many subscribers it has.
        workers: how many worker processes.
    """

    def __init__(self, directory: Path, servers: Servers, port: int, api_key: str, recipients: int, workers: int):
        self.recipients = recipients
        self.workers = workers
        self._database = directory / "pushkeep.db"
        self._arrivals = servers.arrivals
        self._headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2 * LONG_POLL_SECONDS)
        self._asked_at = -KEPT_SECONDS
        self._web = 0
        self._children: tuple[int, ...] = ()

    def ready(self, web: int) -> None:
        """Wait until all workers have reported themselves.

        Raises:
            SystemExit: they do not.
        """
        self._web = web
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline:
            self._children = tuple(children_of(web))
            if self._look("SELECT count(*) FROM workers WHERE kind = 'worker'")[0][0] >= self.workers:
                return
            time.sleep(0.1)
        raise SystemExit("The benchmark's server did not start its workers.")

    def post(self, to: dict[str, object], priority: str = "normal") -> str:
        """Ask for a notification; its id, once it is accepted."""
        body = {"to": to, "content": CONTENT, "options": {"ttl": 3600}, "priority": priority}
        return str(self._ask("POST", "/v1/notifications", body)["id"])

    def wait(self, public_id: str) -> dict[str, object]:
        """What it came to, once nothing more will be tried for anybody."""
        while True:
            found = self._ask("GET", f"/v1/notifications/{public_id}?wait={LONG_POLL_SECONDS}")
            if found["finished_at"] is not None:
                return found

    def cancel(self, public_id: str) -> None:
        """Cancel one that has not ended, and wait until all workers have heard of it."""
        if self.finished_at(public_id) is None:
            self._ask("POST", f"/v1/notifications/{public_id}/cancel")
        self.wait(public_id)

    def finished_at(self, public_id: str) -> float | None:
        """When nothing more was tried for anybody, in epoch seconds; None before that. It costs the server nothing."""
        return self._look("SELECT finished_at FROM notifications WHERE public_id = ?", UUID(public_id).hex)[0][0]

    def broadcast(self) -> Broadcast:
        """Tell everybody something, and wait for the end of it."""
        seen, before = self.mark(), self.spent()
        public_id = self.post({"all": True})
        counts = self.wait(public_id)["counts"]
        spent = self.spent() - before
        assert counts == {"accepted": self.recipients}, counts
        accepted_at, finished_at = self._look(
            "SELECT accepted_at, finished_at FROM notifications WHERE public_id = ?", UUID(public_id).hex
        )[0]
        first = min(at for at, _ in self.arrivals(seen))
        return Broadcast(self.recipients, finished_at - accepted_at, first - accepted_at, spent)

    def arrivals(self, since: int) -> list[tuple[float, int]]:
        """When messages to watched subscribers arrived at the push service, and whose they were."""
        with self._arrivals.open() as file:
            file.seek(since)
            found = [line.split() for line in file]
        return [(float(at), audience.number_of(target)) for at, target in found]

    def mark(self) -> int:
        """A moment, for :meth:`arrivals`."""
        return self._arrivals.stat().st_size

    def forget_last_success(self) -> None:
        """As if nobody had been told anything for an hour, so that the next broadcast writes into every row again."""
        with contextlib.closing(sqlite3.connect(self._database, timeout=READY_SECONDS_MAX)) as connection, connection:
            connection.execute("UPDATE subscriptions SET last_accepted_at = NULL")

    def spent(self) -> Spent:
        """Processor time until now."""
        return Spent(
            process_seconds(self._web),
            sum(map(process_seconds, self._children)),
            sum(map(first_thread_seconds, self._children)),
        )

    def peak_mb(self) -> tuple[float, float]:
        """The largest resident set that the web process and the largest of the workers have had, in megabytes."""
        return peak_mb(self._web), max(map(peak_mb, self._children), default=0.0)

    def _ask(self, method: str, path: str, body: dict[str, object] | None = None) -> dict[str, object]:
        if time.monotonic() - self._asked_at > KEPT_SECONDS:
            self._connection.close()  # the server has done so too; the next request opens another
        self._connection.request(method, path, None if body is None else json.dumps(body), self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        self._asked_at = time.monotonic()
        assert answer.status < 300, content
        found: dict[str, object] = json.loads(content)
        return found

    def _look(self, query: str, *values: object) -> list[tuple[float, ...]]:
        with contextlib.closing(sqlite3.connect(f"{self._database.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(query, values).fetchall()


@contextlib.contextmanager
def serving(directory: Path, servers: Servers, site: Site, *, recipients: int, workers: int) -> Iterator[Installation]:
    """Fill a new database in ``directory`` and run a server on it; everything is as it comes but for the origin map.

    Raises:
        SystemExit: it does not start.
    """
    directory.mkdir(mode=0o700)
    port = free_port()
    values = {
        "data_dir": directory,
        "contact": CONTACT,
        "port": port,
        "host": "127.0.0.1",
        "workers": workers,
        "log_level": "warning",
        "origin_map": json.dumps([f"{ORIGIN}=https://127.0.0.1:{site.port},ca={servers.ca_file}"]),
    }
    settings = load_settings(environ={}, overrides=values)
    installation = Installation(
        directory, servers, port, uvloop.run(audience.fill(settings, recipients)), recipients, workers
    )
    command = [sys.executable, "-P", "-m", "pushkeep", "serve"]
    server = subprocess.Popen(command, env=settings_environment(settings), stdout=subprocess.DEVNULL)
    try:
        wait_until_listening("server", server, port)
        installation.ready(server.pid)
        yield installation
    finally:
        server.terminate()
        try:
            server.wait(timeout=STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
