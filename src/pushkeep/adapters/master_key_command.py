"""The master key from a program: a password manager, a cloud's secret store, a hardware token's tool.

The program gets no shell, no input and a time limit. What it says on standard error is not shown and neither is what it
prints: either may be a secret.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading

from pushkeep.adapters.master_key import MASTER_KEY_BYTES
from pushkeep.errors import ConfigurationError, InvalidInput
from pushkeep.protocol.encoding import b64_decode

COMMAND_SECONDS_MAX = 30.0
"""Secret stores answer within a second; one that waits for somebody's finger has this long."""

OUTPUT_BYTES_MAX = 4096
"""A key is 43 characters; whoever prints more prints something else."""


def run_master_key_command(command: str, *, seconds_max: float = COMMAND_SECONDS_MAX) -> bytes:
    """Run a program and read the key, 32 octets in base64, from its standard output.

    Args:
        command: program and arguments, quoted as for a shell; none is used.
        seconds_max: how long it may take before it is killed, with all that it started.

    Raises:
        ConfigurationError: it cannot be started, fails, takes too long, or prints no key.
    """
    arguments = shlex.split(command)
    try:
        child = subprocess.Popen(  # noqa: S603 - the operator's own setting, and no shell
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise _problem(f"{arguments[0]} cannot be started: {error.strerror}. Give its full path.") from None
    too_late = threading.Event()

    def give_up() -> None:
        too_late.set()
        _kill(child)

    timer = threading.Timer(seconds_max, give_up)
    timer.start()
    try:
        assert child.stdout is not None
        with child.stdout:
            printed = child.stdout.read(OUTPUT_BYTES_MAX + 1)
        if len(printed) > OUTPUT_BYTES_MAX:
            _kill(child)
        status = child.wait()
    finally:
        timer.cancel()
    if too_late.is_set():
        raise _problem(f"{arguments[0]} did not answer within {seconds_max:g} s; run it by hand and see why.")
    if len(printed) > OUTPUT_BYTES_MAX:
        raise _problem(f"{arguments[0]} printed over {OUTPUT_BYTES_MAX} octets; it must print the key alone.")
    if status != 0:
        raise _problem(f"{arguments[0]} ended with status {status}; run it by hand and see why.")
    try:
        return b64_decode(printed.decode("ascii", "replace").strip(), field="what it printed", length=MASTER_KEY_BYTES)
    except InvalidInput as error:
        raise _problem(f"{arguments[0]}: {error.message} It must print the master key and nothing else.") from None


def _kill(child: subprocess.Popen[bytes]) -> None:
    """With what it started, which might hold its output open."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def _problem(message: str) -> ConfigurationError:
    return ConfigurationError(f"master_key_command: {message}", field="master_key_command")
