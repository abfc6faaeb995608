"""Where the benchmark's messages go: one nginx for everybody, near and far, in processes of their own.

nginx (Debian package ``nginx-light``) speaks HTTP/2 to those who can and HTTP/1.1 to the others, on the same port,
and answers every POST with 201 and the header fields of a push service. For each distance there is a relay
(``bench.relay``) that delays every octet by half of the round trip each way.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme

READY_SECONDS_MAX = 10.0
"""A server that is not listening by then has failed to start."""

ORIGIN = "https://fcm.googleapis.com"
"""Whom senders with an origin map address; the server's certificate bears this name and ``localhost``."""

TARGET = "/fcm/send/" + "c" * 22 + ":APA91b" + "x" * 134
"""As long as Google's."""

WATCHED = "/fcm/send/w"
"""How targets begin whose arrival is written down, to the millisecond."""

STREAMS_MAX = 100
"""Concurrent requests on a connection, as Google and Mozilla allow."""

# Connections stay open as long as a run may last, and the process never writes a body to disk.
_NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    log_format arrival '$msec $uri';
    server_tokens off;
    default_type text/plain;
    keepalive_timeout 3600s;
    keepalive_requests 1000000000;
    http2_max_concurrent_streams {streams};
    client_body_buffer_size 16k;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl http2 backlog=1024;
        ssl_certificate {directory}/chain.pem;
        ssl_certificate_key {directory}/key.pem;
        ssl_protocols TLSv1.2 TLSv1.3;
        add_header Location https://localhost/m/0123456789abcdef always;
        add_header TTL 60 always;
        location / {{ return 201; }}
        location {watched} {{ access_log {directory}/arrivals.log arrival; return 201; }}
    }}
}}
"""


@dataclass(frozen=True)
class Site:
    """One way to the server.

    Attributes:
        latency_ms: round trip.
        port: at 127.0.0.1.
    """

    latency_ms: int
    port: int


@dataclass(frozen=True)
class Servers:
    """What runs beside the senders.

    Attributes:
        sites: by distance, in the order asked for.
        ca_file: the authority that signed the server's certificate.
        processes: numbers of the processes by name, for the time they use.
        arrivals: the file in which nginx writes when a watched target was posted to.
    """

    sites: tuple[Site, ...]
    ca_file: Path
    processes: dict[str, int]
    arrivals: Path

    def seconds(self) -> dict[str, float]:
        """Processor seconds each process has used so far."""
        return {name: _processor_seconds(pid) for name, pid in self.processes.items()}


@contextlib.contextmanager
def running(directory: Path, latencies_ms: Sequence[int]) -> Iterator[Servers]:
    """Start nginx and one relay for each latency above zero, with all files in ``directory``; end them on leaving.

    Raises:
        SystemExit: nginx is not installed, or a server does not start.
    """
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if nginx is None:
        raise SystemExit("nginx is missing: install the Debian package nginx-light.")
    ca_file = _issue_certificate(directory)
    port = free_port()
    configuration = _NGINX.format(directory=directory, port=port, streams=STREAMS_MAX, watched=WATCHED)
    (directory / "nginx.conf").write_text(configuration)
    prefix = [nginx, "-p", str(directory), "-c", str(directory / "nginx.conf"), "-e", str(directory / "nginx.log")]
    commands, sites = {"nginx": (port, prefix)}, []
    for latency in latencies_ms:
        own = free_port() if latency else port
        sites.append(Site(latency, own))
        if latency:
            command = [sys.executable, "-m", "bench.relay", str(own), str(port), str(latency / 2)]
            commands[f"relay of {latency} ms"] = (own, command)
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, (listens, command) in commands.items():
            processes[name] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            wait_until_listening(name, processes[name], listens)
        numbers = {name: process.pid for name, process in processes.items()}
        yield Servers(tuple(sites), ca_file, numbers, directory / "arrivals.log")
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            process.wait(timeout=READY_SECONDS_MAX)


def _issue_certificate(directory: Path) -> Path:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", ORIGIN.removeprefix("https://"))
    issued.private_key_pem.write_to_path(str(directory / "key.pem"))
    (directory / "chain.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    return directory / "ca.pem"


def free_port() -> int:
    """A port at 127.0.0.1 that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_listening(name: str, process: subprocess.Popen[bytes], port: int) -> None:
    """Return when a process listens at its port.

    Raises:
        SystemExit: it does not.
    """
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise SystemExit(f"The benchmark's {name} on port {port} did not start.")


def _processor_seconds(pid: int) -> float:
    """User and system time, fields 14 and 15 of proc(5)'s stat; the name before them may hold spaces."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
