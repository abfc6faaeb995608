"""Run a command where the outside world does not exist: ``python -m pushkeep.testing.offline -- COMMAND…``.

The command gets a network namespace of its own with loopback up and a pair of virtual interfaces that lead
nowhere: Chromium believes itself offline, and never dials its push service, while loopback is all there is. The
pair has an address of 192.0.2.0/24 (TEST-NET-1, RFC 5737) and there is no default route.

Output, exit status and signals pass through. Whatever the command leaves behind is ended with it, and the
namespace goes with its last process. Needs root, or user namespaces, and ``ip`` (Debian package iproute2).
Where that is missing it says so on standard error and runs the command as it is: the browser drivers themselves
still forbid look-ups outside.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# Set for the command, so that a test can insist on what it was promised. Without the prefix of settings: a pushkeep
# that is started there refuses what it does not know.
NAMESPACE_VARIABLE = "OFFLINE_BY_PUSHKEEP"
ADDRESS = "192.0.2.1"

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_CHILD_SUBREAPER = 36
_SIOCGIFFLAGS = 0x8913  # netdevice(7)
_IFF_UP = 0x1
_IFF_LOOPBACK = 0x8
_FROM_THE_KERNEL = 128  # si_code SI_KERNEL: the terminal sent it, to the whole group, so the command has it too

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_SET_UP = (
    ("link", "set", "lo", "up"),
    ("link", "add", "pushkeep0", "type", "veth", "peer", "name", "pushkeep1"),
    ("address", "add", f"{ADDRESS}/24", "dev", "pushkeep0"),
    ("link", "set", "pushkeep1", "up"),
    ("link", "set", "pushkeep0", "up"),
)
_SET_UP_SECONDS_MAX = 20.0
# Left-over processes get a moment to end by themselves: browsers write their profiles.
_LEFT_OVER_SECONDS_MAX = 3.0


class NamespaceImpossible(Exception):
    """This machine or account cannot have a network namespace; the text says why."""


def route_to_outside() -> bool:
    """Whether the kernel knows any way to a public address. Sends nothing: a UDP connect only picks a route."""
    for family, address in ((socket.AF_INET, "198.51.100.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((address, 9))
        except OSError:
            continue
        return True
    return False


def only_loopback() -> bool:
    """Whether loopback is the only network interface that is up; Chromium then never dials its push service."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("16sH14x", name.encode()[:15], 0)
            try:
                (flags,) = struct.unpack("16xH14x", fcntl.ioctl(probe, _SIOCGIFFLAGS, request))
            except OSError:
                continue  # gone meanwhile
            if flags & _IFF_UP and not flags & _IFF_LOOPBACK:
                return False
    return True


def enter_namespace() -> None:
    """Move this process into a fresh network namespace and set its interfaces up.

    Raises:
        NamespaceImpossible: not permitted, not supported, or ``ip`` is missing; nothing has changed if so.
    """
    ip = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if ip is None:
        raise NamespaceImpossible("the command ip is missing (Debian package iproute2)")
    # Tried in a child first: a namespace that exists but cannot be set up would be worse than none.
    _in_child(lambda: _unshare_and_set_up(ip))
    _unshare_and_set_up(ip)


def _in_child(attempt: object) -> None:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if callable(attempt):
                attempt()
            message = b""
        except BaseException as error:
            message = str(error).encode()[:2000]
        os.write(write_end, message)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        problem = pipe.read().decode(errors="replace")
    os.waitpid(child, 0)
    if problem:
        raise NamespaceImpossible(problem)


def _unshare_and_set_up(ip: str) -> None:
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        if user == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
            raise NamespaceImpossible(f"a network namespace was refused: {os.strerror(ctypes.get_errno())}")
        # Root inside only, which is what setting up the interfaces takes (user_namespaces(7)).
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1", encoding="ascii")
    for arguments in _SET_UP:
        done = subprocess.run(  # noqa: S603 - a fixed list of arguments
            [ip, *arguments],
            capture_output=True,
            text=True,
            timeout=_SET_UP_SECONDS_MAX,
            check=False,
        )
        if done.returncode != 0:
            raise NamespaceImpossible(f"ip {' '.join(arguments)} failed: {done.stderr.strip()}")


def run(command: Sequence[str]) -> int:
    """Run ``command`` to its end, handing signals on, and return its exit status (128 + n for signal n).

    Everything it started and left behind is ended before this returns, also what moved to another process
    group or session: orphans become children of this process.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    watched = {*_FORWARDED, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    try:
        try:
            child = subprocess.Popen(  # noqa: S603 - running the caller's command is what this is for
                command,
                # Blocked signals are inherited and would stay blocked in the command.
                preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, before) and None,
            )
        except OSError as error:
            print(f"pushkeep offline: cannot run {command[0]}: {error.strerror}", file=sys.stderr)
            return 127 if isinstance(error, FileNotFoundError) else 126
        status = _wait(child.pid, watched)
        # Popen must not wait for a process that is already reaped.
        child.returncode = status
        _end_left_overs()
        return status
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait(child: int, watched: set[signal.Signals]) -> int:
    while True:
        reaped, status = _reap(child)
        if reaped:
            return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
        arrived = signal.sigwaitinfo(watched)
        if arrived.si_signo != signal.SIGCHLD and arrived.si_code != _FROM_THE_KERNEL:
            os.kill(child, arrived.si_signo)


def _reap(child: int) -> tuple[bool, int]:
    """Reap whatever has ended; true with its wait status when ``child`` was among it."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False, 0
        if pid == child:
            return True, status
        if pid == 0:
            return False, 0


def _children() -> list[int]:
    own = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(pid) for pid in own.read_text(encoding="ascii").split()]


def _end_left_overs() -> None:
    """End all orphans. Killing one hands its own children to us, so go on until none is left."""
    deadline = time.monotonic() + _LEFT_OVER_SECONDS_MAX
    number = signal.SIGTERM
    while True:
        _reap(0)
        left = _children()
        if not left:
            return
        if time.monotonic() > deadline:
            number = signal.SIGKILL
        for pid in left:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        # Ends early when one of them ends.
        signal.sigtimedwait({signal.SIGCHLD}, 0.05)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit status is the command's own, or 2 when none was given."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = given[1:] if given[:1] == ["--"] else given
    if not command or command[0].startswith("-"):
        print("usage: python -m pushkeep.testing.offline -- COMMAND [ARGUMENT …]", file=sys.stderr)
        return 2
    try:
        enter_namespace()
        os.environ[NAMESPACE_VARIABLE] = "1"
    except NamespaceImpossible as problem:
        os.environ.pop(NAMESPACE_VARIABLE, None)
        print(
            f"pushkeep offline: no network namespace ({problem}). Running without one: nothing stops the command"
            " from reaching the network, only the browsers are told not to.",
            file=sys.stderr,
        )
    return run(command)


if __name__ == "__main__":
    sys.exit(main())
