"""``pushkeep serve --workers N``: workers are kept running, get their secrets unseen, and never stay behind."""

import asyncio
import base64
import os
import signal
from pathlib import Path

from tests.cli.conftest import Cli
from tests.processes.conftest import Installed, Start
from tests.processes.helpers import WAIT_SECONDS_MAX, alive, until

WORKERS = "SELECT pid FROM workers WHERE kind = 'worker' ORDER BY started_at"


def workers(installed: Installed) -> list[int]:
    """Process ids of the workers that have reported, and live."""
    return [pid for (pid,) in installed.look(WORKERS) if isinstance(pid, int) and alive(pid)]


async def test_a_worker_that_dies_is_replaced_and_all_stop_with_the_server(
    cli: Cli, start: Start, installed: Installed
) -> None:
    async with start("serve", "--port", "0", "--workers", "2", *installed.at) as server:
        await until(lambda: len(workers(installed)) == 2)
        first, second = workers(installed)
        os.kill(first, signal.SIGKILL)
        await until(lambda: first not in workers(installed) and len(workers(installed)) == 2)
        assert second in workers(installed)

        sent = await cli("notify", *installed.at, "--all", "--title", "Hello", "--wait")
        assert (sent.status, f"Accepted {len(installed.ids)} of {len(installed.ids)}." in sent.out) == (0, True)
        running = workers(installed)
        server.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            assert await server.wait() == 0
        assert not any(map(alive, running))
    # The one that was killed could not say so; it is forgotten after a while.
    assert installed.look(f"SELECT pid FROM workers WHERE pid <> {first}") == []


async def test_workers_of_a_killed_server_end_by_themselves(start: Start, installed: Installed) -> None:
    async with start("serve", "--port", "0", "--workers", "2", *installed.at) as server:
        await until(lambda: len(workers(installed)) == 2)
        running = workers(installed)
        server.send_signal(signal.SIGKILL)
        await server.wait()
        await until(lambda: not any(map(alive, running)))


async def test_secrets_stand_in_no_command_line(start: Start, installed: Installed) -> None:
    key_file = installed.data_dir / "master.key"
    master_key = key_file.read_text().strip()
    key_file.unlink()
    async with start("serve", "--port", "0", "--workers", "1", *installed.at, PUSHKEEP_MASTER_KEY=master_key):
        await until(lambda: len(workers(installed)) == 1)
        (pid,) = workers(installed)
        said = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert b"worker" in said
        for secret in (master_key.encode(), base64.b64decode(master_key + "==", altchars=b"-_")):
            assert secret not in said


async def test_without_workers_the_server_delivers_itself(cli: Cli, start: Start, installed: Installed) -> None:
    async with start("serve", "--port", "0", "--workers", "0", *installed.at) as server:
        sent = await cli("notify", *installed.at, "--all", "--title", "Hello", "--wait")
        assert sent.status == 0, sent.text
        assert workers(installed) == []
        server.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            assert await server.wait() == 0
