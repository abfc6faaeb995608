"""What addresses does a name have? Asked of the system, in a bounded number of threads that nobody waits for.

The event loop's own executor would not do: names whose servers never answer, and anybody can subscribe with such, would
keep all its threads from the rest of the application, and the end of ``asyncio.run`` would wait for them.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable

from pushkeep.adapters.http2_dial import addresses_of, is_known
from pushkeep.protocol.endpoint import Endpoint

THREADS_MAX = 20
"""Names looked up at once: as many as libcurl looks up where there is no proxy."""

Found = Callable[[list[str] | None], None]
"""Takes the addresses, or None where there are none."""


class Resolver:
    """Looks names up in threads of its own, which end when nothing is left to look up.

    Args:
        threads_max: names looked up at once; further ones wait their turn.
    """

    def __init__(self, threads_max: int = THREADS_MAX) -> None:
        self._threads_max = threads_max
        self._lock = threading.Lock()
        self._asked: deque[tuple[str, int, Found]] = deque()
        self._running = 0

    def look_up(self, host: str, port: int, found: Found) -> None:
        """Call ``found``, in another thread, when the system's resolver has answered: after up to half a minute.

        Raises:
            OSError: no thread can be started for it.
        """
        with self._lock:
            self._asked.append((host, port, found))
            if self._running >= self._threads_max:
                return
            # A daemon: the resolver takes no time limit, so it is left behind when it does not answer.
            thread = threading.Thread(target=self._work, name="pushkeep-resolver", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                self._asked.pop()
                raise OSError(str(error)) from None
            self._running += 1

    def close(self) -> None:
        """Look up nothing more of what was asked."""
        with self._lock:
            self._asked.clear()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._asked:
                    self._running -= 1
                    return
                host, port, found = self._asked.popleft()
            found(_addresses(host, port))


class Resolvers:
    """A resolver for known push services and one for strangers', so that names that no server ever answers for hold
    up nobody but other strangers.
    """

    def __init__(self) -> None:
        self._known, self._strangers = Resolver(), Resolver()

    def look_up(self, endpoint: Endpoint, found: Found) -> None:
        """As :meth:`Resolver.look_up`, of the endpoint's host."""
        resolver = self._known if is_known(endpoint.host) else self._strangers
        resolver.look_up(endpoint.host, endpoint.port, found)

    def close(self) -> None:
        """Look up nothing more of what was asked."""
        self._known.close()
        self._strangers.close()


def _addresses(host: str, port: int) -> list[str] | None:
    try:
        return addresses_of(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError):  # the latter for a name that no name server could be asked for
        return None
