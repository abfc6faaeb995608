"""Loaded by every Python process that a test starts: keeps a copy of what it writes, and notes its secrets.

One file for each process, in the directory that ``TRANSCRIPTS_OF_TESTS`` names. Each line is ``sort:kind base64``; the
sort is ``argv``, ``written``, or for a secret ``text`` or ``octets``. ``tests/redaction/children.py`` reads them.
"""

import binascii
import os
import sys
from typing import Any

DIRECTORY = os.environ.get("TRANSCRIPTS_OF_TESTS")


def _keep(directory: str) -> None:
    # More than the number of the process: that is used again.
    path = f"{directory}/{os.getpid()}-{os.urandom(4).hex()}"
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # the tests are over, and somebody still starts processes
        return

    def put(kind: str, value: bytes) -> None:
        try:
            os.write(file, kind.encode() + b" " + binascii.b2a_base64(value, newline=True))
        except OSError:  # the program has closed all files
            return

    def note(kind: str, value: "str | bytes") -> None:
        sort = "written" if kind.startswith("~") else "text" if isinstance(value, str) else "octets"
        octets = value.encode("utf-8", "replace") if isinstance(value, str) else value
        put(f"{sort}:{kind.lstrip('~').replace(' ', '_')}", octets)

    put("argv:", "\0".join(sys.orig_argv).encode("utf-8", "replace"))
    for stream, name in ((sys.stdout, "stdout"), (sys.stderr, "stderr")):
        if stream is not None:
            _copy(stream.buffer, name, put)
    from watched_secrets import Watch

    Watch(note).install()


def _copy(buffer: Any, name: str, put: Any) -> None:
    """Keep a copy of what a stream hands on, be it text or octets: the text layer calls this very method."""
    write = buffer.write

    def written(value: Any) -> Any:
        put(f"written:{name}", bytes(value))
        return write(value)

    buffer.write = written


if DIRECTORY:
    _keep(DIRECTORY)
