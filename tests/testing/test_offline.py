"""The offline runner: a machine without a network, and nothing of the command gets lost or left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pushkeep.testing import offline

RUN = (sys.executable, "-m", "pushkeep.testing.offline", "--")


def run(*command: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, *command], capture_output=True, text=True, timeout=60, check=False, **options)


def namespaces_possible() -> bool:
    return "no network namespace" not in run("true").stderr


def test_inside_there_is_no_route_to_the_outside() -> None:
    probe = (
        "import os, socket\n"
        "from pushkeep.testing import offline\n"
        "print(os.environ.get(offline.NAMESPACE_VARIABLE), offline.route_to_outside())\n"
        "print(sorted(name for _, name in socket.if_nameindex()))\n"
    )
    done = run(sys.executable, "-c", probe)
    assert done.returncode == 0, done.stderr
    if namespaces_possible():
        assert done.stdout.splitlines() == ["1 False", "['lo', 'pushkeep0', 'pushkeep1']"]
    else:
        assert "no network namespace" in done.stderr
        assert done.stdout.startswith("None ")


def test_chromium_is_not_even_tried_where_only_loopback_is_up() -> None:
    """It would subscribe, and no message would ever come."""
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from types import SimpleNamespace\n"
        "from pushkeep.testing import chromium, offline\n"
        "from pushkeep.testing.browser import LaunchOptions\n"
        "offline._SET_UP = offline._SET_UP[:1]\n"
        "try: offline.enter_namespace()\n"
        "except offline.NamespaceImpossible as problem: sys.exit(f'impossible: {problem}')\n"
        "assert offline.only_loopback()\n"
        "asyncio.run(chromium.Chromium(LaunchOptions(push_service=SimpleNamespace())).start())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    if namespaces_possible():
        assert "Chromium believes itself offline while loopback is the only network interface" in done.stderr
    else:
        assert "impossible" in done.stderr
    probe = "from pushkeep.testing import offline; print(offline.only_loopback())"
    if namespaces_possible():
        assert run(sys.executable, "-c", probe).stdout == "False\n"


def test_this_very_run_is_offline_when_it_was_promised() -> None:
    """``make test`` runs everything through the runner; then nothing here may reach the outside."""
    if os.environ.get(offline.NAMESPACE_VARIABLE):
        assert not offline.route_to_outside()


def test_loopback_works_inside() -> None:
    probe = (
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname(), timeout=5).close()\n"
        "print('connected')\n"
    )
    assert run(sys.executable, "-c", probe).stdout == "connected\n"


def test_output_input_and_exit_status_pass_through() -> None:
    done = run("sh", "-c", "cat; echo err >&2; exit 42", input="hello\n")
    assert done.returncode == 42
    assert done.stdout == "hello\n"
    assert done.stderr.endswith("err\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_reaches_the_command_once(number: signal.Signals) -> None:
    program = (
        "import signal, sys, time\n"
        "seen = []\n"
        f"signal.signal({int(number)}, lambda *_: seen.append(1))\n"
        "print('ready', flush=True)\n"
        "while not seen: time.sleep(0.02)\n"
        # A second copy would arrive within this; it is an upper bound for the runner, not a wait for anything.
        "time.sleep(0.2)\n"
        "sys.exit(10 + len(seen))\n"
    )
    with subprocess.Popen([*RUN, sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(timeout=30) == 11


def test_death_by_a_signal_is_told_as_a_shell_tells_it() -> None:
    assert run("sh", "-c", "kill -KILL $$").returncode == 128 + signal.SIGKILL


def test_what_the_command_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    """Also in a session of its own and deaf to a polite request."""
    script = (
        f"setsid sh -c 'trap \"\" TERM HUP; echo $$ > {tmp_path}/pid; while :; do sleep 1; done' &\n"
        f"while [ ! -s {tmp_path}/pid ]; do sleep 0.05; done\n"
        "exit 5\n"
    )
    # Its output must not keep our pipe open, or this would wait for the stray instead of the runner.
    done = subprocess.run([*RUN, "sh", "-c", script], stdout=subprocess.DEVNULL, timeout=60, check=False)
    assert done.returncode == 5
    stray = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(stray, 0)


def test_it_says_so_and_runs_anyway_where_a_namespace_is_impossible(tmp_path: Path) -> None:
    nothing_on_path = {"PATH": str(tmp_path)}
    probe = (
        "import os, sys\n"
        "from pushkeep.testing import offline\n"
        "offline.shutil.which = lambda *_, **__: None\n"
        f"sys.exit(offline.main(['--', {sys.executable!r}, '-c',"
        " 'import os; print(os.environ.get(\"OFFLINE_BY_PUSHKEEP\"))']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**nothing_on_path, offline.NAMESPACE_VARIABLE: "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "None\n"
    assert "no network namespace (the command ip is missing (Debian package iproute2))" in done.stderr
    assert "nothing stops the command from reaching the network" in done.stderr


def test_a_command_that_does_not_exist_is_named() -> None:
    done = run("/nonexistent/command")
    assert done.returncode == 127
    assert "cannot run /nonexistent/command: No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_command_it_explains_itself() -> None:
    done = subprocess.run(RUN, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "usage:" in done.stderr
