"""Where the benchmark's messages go: servers in processes of their own, so that only our work is counted.

``nghttpd`` (Debian package ``nghttp2-server``) takes everything that speaks HTTP/2: it is written in C and fast
enough not to be what is measured. It answers a POST with the empty file of that name and status 200, not 201,
which every sender here counts as accepted. pywebpush speaks HTTP/1.1 only, which nghttpd does not; its messages
go to the small server in this file, which answers 201.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import trustme
import uvloop

READY_SECONDS_MAX = 10.0
"""A server that is not listening by then has failed to start."""

ORIGIN = "https://fcm.googleapis.com"
"""Whom the HTTP/2 senders address; the connection goes to nghttpd, whose certificate bears this name."""

TARGET = "/fcm/send/" + "c" * 22 + ":APA91b" + "x" * 134
"""As long as Google's."""

STREAMS_MAX = 100
"""Concurrent requests on a connection, as Google and Mozilla allow."""


@dataclass(frozen=True)
class Sinks:
    """Addresses of the servers.

    Attributes:
        http2: port of nghttpd.
        http1: port of the HTTP/1.1 server.
        ca_file: the authority that signed both.
    """

    http2: int
    http1: int
    ca_file: Path


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Sinks]:
    """Start both servers, with certificates for ``localhost`` in ``directory``; end them on leaving.

    Raises:
        SystemExit: nghttpd is not installed, or a server does not start.
    """
    nghttpd = shutil.which("nghttpd") or shutil.which("nghttpd", path="/usr/sbin:/usr/bin")
    if nghttpd is None:
        raise SystemExit("nghttpd is missing: install the Debian package nghttp2-server.")
    authority = trustme.CA()
    ca_file, key_file, chain_file = (directory / name for name in ("ca.pem", "key.pem", "chain.pem"))
    authority.cert_pem.write_to_path(str(ca_file))
    issued = authority.issue_cert("localhost", ORIGIN.removeprefix("https://"))
    issued.private_key_pem.write_to_path(str(key_file))
    chain_file.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    documents = directory / "documents"
    document = documents / TARGET[1:]
    document.parent.mkdir(parents=True)
    document.touch()
    sinks = Sinks(_free_port(), _free_port(), ca_file)
    commands = [
        [
            nghttpd,
            "--address=127.0.0.1",
            f"--max-concurrent-streams={STREAMS_MAX}",
            f"--htdocs={documents}",
            str(sinks.http2),
            str(key_file),
            str(chain_file),
        ],
        [sys.executable, "-m", "bench.sinks", str(sinks.http1), str(key_file), str(chain_file)],
    ]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) for command in commands]
    try:
        for process, port in zip(processes, (sinks.http2, sinks.http1), strict=True):
            _wait_until_listening(process, port)
        yield sinks
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=READY_SECONDS_MAX)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise SystemExit(f"The benchmark's server on port {port} did not start.")


class _Http1(asyncio.Protocol):
    """Takes POSTs with Content-Length and answers each with 201."""

    _ANSWER = b"HTTP/1.1 201 Created\r\nLocation: /m/1\r\nTTL: 60\r\nContent-Length: 0\r\n\r\n"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's TLS transport is one by shape only
        self._pending = b""

    def data_received(self, data: bytes) -> None:
        self._pending += data
        while (end := self._pending.find(b"\r\n\r\n")) >= 0:
            head = self._pending[:end].lower()
            _, _, after = head.partition(b"content-length:")
            whole = end + 4 + int(after.split(b"\r\n", 1)[0] or 0)
            if len(self._pending) < whole:
                return
            self._pending = self._pending[whole:]
            self._transport.write(self._ANSWER)


async def _serve_http1(port: int, key_file: str, chain_file: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain_file, key_file)
    server = await asyncio.get_running_loop().create_server(_Http1, "127.0.0.1", port, ssl=context)
    async with server:
        await asyncio.to_thread(sys.stdin.read)  # until the benchmark ends, in whichever way


if __name__ == "__main__":
    uvloop.run(_serve_http1(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
