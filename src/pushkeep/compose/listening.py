"""The sockets on which the server listens, or why it cannot."""

from __future__ import annotations

import errno
import socket

from pushkeep.errors import ConfigurationError

BACKLOG = 1024
"""Connections that may wait to be taken: a push to everybody brings many back at once."""


def listen(host: str, port: int) -> list[socket.socket]:
    """Open listening sockets on every address of a host, so that ``localhost`` answers as 127.0.0.1 and as ::1.

    Args:
        host: address or name.
        port: 0 for any free one, the same on every address.

    Raises:
        ConfigurationError: the port is taken or not allowed, or the host is not this machine.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        raise ConfigurationError(f"host {host} is no address of this machine; give one.", field="host") from None
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in found:
            actual = sockets[0].getsockname()[1] if sockets else port
            listener = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address[0], actual))
            listener.listen(BACKLOG)
    except OSError as error:
        for listener in sockets:
            listener.close()
        raise ConfigurationError(_why_not(host, port, error), field="port") from None
    return sockets


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is in use by another program; stop it, or choose another port with --port."
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights than this user has; choose one above 1023 and put a proxy before it."
    return f"Cannot listen on {host} port {port}: {error.strerror}. Set host to an address of this machine."
