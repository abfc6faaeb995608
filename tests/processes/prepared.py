"""``pushkeep`` that starts at once: of the second that a start costs, nearly all is spent on imports.

Each command is still a process of its own, with its own environment, directory, input, output and exit status: a copy
(``fork``) of one that waits with all modules loaded. What runs until it is stopped is started as its users start it.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import io
import marshal
import os
import pkgutil
import runpy
import selectors
import shutil
import site
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

PUSHKEEP = str(Path(sys.executable).with_name("pushkeep"))
NOT_IMPORTED = ("pushkeep.__main__", "pushkeep.testing", "pushkeep.adapters.store.migrations")
"""What does something by being imported, or is no part of the command line."""

REQUEST_BYTES_MAX = 1 << 20
"""Arguments and environment: Linux takes at most 128 KiB for each of them."""

START_SECONDS_MAX = 60

# Small, for its start is what each command costs: neither ``site`` nor any module that is not built in.
CLIENT = """#!{python} -IS
import _socket, marshal, os, sys
if set(sys.argv[1:2]) & {{"serve", "demo", "worker", "pushservice"}}:
    os.execv({pushkeep!r}, [{pushkeep!r}, *sys.argv[1:]])
request = marshal.dumps(([os.fsencode(word) for word in sys.argv[1:]], os.getcwdb(), dict(os.environb)))
connection = _socket.socket(_socket.AF_UNIX)
connection.connect({address!r})
descriptors = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
connection.sendmsg([len(request).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)])
while request:
    request = request[connection.send(request):]
answer = connection.recv(4)
os._exit(int(answer) if answer else 70)
"""


@functools.cache
def prepared() -> Path:
    """The directory of a ``pushkeep`` that starts at once, for as long as this process lives."""
    directory = Path(tempfile.mkdtemp(prefix="prepared-"))
    address = str(directory / "socket")
    theirs, ours = os.pipe()
    # Isolated: what is noted for an environment is noted by each command, of the environment that it is given.
    process = subprocess.Popen(
        [sys.executable, "-I", __file__, address, str(theirs)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        pass_fds=[theirs],
    )
    os.close(theirs)

    def end() -> None:
        os.close(ours)
        process.wait(START_SECONDS_MAX)
        shutil.rmtree(directory, ignore_errors=True)

    atexit.register(end)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    client = directory / "pushkeep"
    client.write_text(CLIENT.format(python=sys.executable, pushkeep=PUSHKEEP, address=address))
    client.chmod(0o700)
    return directory


def _receive(connection: socket.socket) -> tuple[list[bytes], bytes, dict[bytes, bytes]]:
    """What a command is asked to do; its input and outputs are this process's from here on."""
    head, descriptors, _, _ = socket.recv_fds(connection, 4, 3)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    size = int.from_bytes(head, "big")
    assert size <= REQUEST_BYTES_MAX
    request = b""
    while len(request) < size:
        request += connection.recv(size - len(request))
    asked: tuple[list[bytes], bytes, dict[bytes, bytes]] = marshal.loads(request)
    return asked


def _become(connection: socket.socket) -> None:
    """Be the command that is asked for."""
    words, directory, environment = _receive(connection)
    connection.close()
    os.chdir(directory)
    os.environb.clear()
    os.environb.update(environment)
    sys.argv = [PUSHKEEP, *map(os.fsdecode, words)]
    sys.orig_argv = [sys.executable, *sys.argv]
    sys.path[:0] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.modules.pop("sitecustomize", None)
    site.execsitecustomize()
    runpy.run_path(PUSHKEEP, run_name="__main__")


def _wait_for_work(address: str, lifeline: int) -> socket.socket | None:
    """Copy itself for each command, and tell how it ended: the connection in a copy; none when nobody is left."""
    selector = selectors.DefaultSelector()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(lifeline, selectors.EVENT_READ)
    os.write(1, b"ready\n")
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                connection, _ = listener.accept()
                child = os.fork()
                if not child:
                    selector.close()
                    listener.close()
                    return connection
                selector.register(os.pidfd_open(child), selectors.EVENT_READ, (child, connection))
            elif key.data is None:
                return None
            else:
                child, connection = key.data
                selector.unregister(key.fileobj)
                os.close(key.fd)
                status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                with connection, contextlib.suppress(OSError):
                    connection.sendall(b"%d" % (status if status >= 0 else 128 - status))


def _main(address: str, lifeline: int) -> None:
    for found in pkgutil.walk_packages(importlib.import_module("pushkeep").__path__, "pushkeep."):
        if not found.name.startswith(NOT_IMPORTED):
            importlib.import_module(found.name)
    importlib.import_module("uvloop")
    sys.argv = ["pushkeep", "--help"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        importlib.import_module("pushkeep.cli").main()  # what it loads only when it is needed
    gc.freeze()  # or each copy touches, and so really copies, every object when it ends
    connection = _wait_for_work(address, lifeline)
    if connection is not None:
        _become(connection)


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
