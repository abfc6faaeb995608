"""Every worker process shows its metrics on a port of its own, and nobody else can have it."""

import json
import socket

import httpx

from tests.cli.conftest import Cli
from tests.processes.conftest import Installed, Start
from tests.processes.helpers import until


def two_ports() -> int:
    """The first of two ports in a row that are free at this moment."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            try:
                other.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


async def page(port: int) -> str:
    async with httpx.AsyncClient() as client:
        try:
            return (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        except httpx.TransportError:
            return ""


async def test_the_workers_of_a_server_have_ports_in_a_row(cli: Cli, start: Start, installed: Installed) -> None:
    first = two_ports()
    installed.set(worker_metrics_port=first)
    async with start("serve", "--port", "0", "--workers", "2", *installed.at):

        async def both_answer() -> bool:
            return all(["pushkeep_takeovers_total 0.0" in await page(port) for port in (first, first + 1)])

        await until(both_answer)
        await installed.accept_for_all()
        await until(lambda: installed.look("SELECT state FROM notifications") == [("done",)])

        async def shown() -> bool:
            text = await page(first) + await page(first + 1)
            return 'kind="accepted"' in text and 'pushkeep_notifications_finished_total{state="done"} 1.0' in text

        await until(shown)
        assert "pushkeep_backlog_recipients" not in await page(first), "the same of every process would be added up"
        report = json.loads((await cli("status", "--json", *installed.at)).out)
        assert sorted(worker["kind"] for worker in report["workers"]) == ["web", "worker", "worker"]

    async def gone() -> bool:
        return not await page(first)

    await until(gone)  # the server has gone, and its workers go after it


async def test_a_port_that_is_taken_is_said(cli: Cli, installed: Installed) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = await cli("worker", *installed.at, "--metrics-port", str(port))
    assert ran.status == 2, ran.text
    assert f"Port {port} for metrics is in use by another program; set worker_metrics_port" in ran.err
