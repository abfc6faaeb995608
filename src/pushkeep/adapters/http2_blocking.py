"""The transport for callers without an event loop, or who must not wait in the one they have."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from pushkeep.adapters.http2_dial import CheckedAddresses, Refused
from pushkeep.adapters.http2_engine import Engine
from pushkeep.adapters.http2_handle import UNRESOLVED, Done, refused
from pushkeep.adapters.http2_limits import TransportLimits, TransportStatistics
from pushkeep.adapters.http2_pool import Exchange
from pushkeep.adapters.http2_reactor import SelectReactor
from pushkeep.adapters.http2_resolver import Resolvers
from pushkeep.domain.origin_map import OriginMap
from pushkeep.protocol.answer import Answer, TransportFailure
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.request import PushRequest


class BlockingTransport:
    """Posts push requests in the thread that calls it; one thread at a time, but not always the same one.

    It follows the same rules as :class:`~pushkeep.adapters.http2.CurlTransport`, with the same engine. Nothing moves
    unless :meth:`post` or :meth:`run_once` is running.

    Args:
        monotonic: seconds that never step back.
        origin_map: as there.
        limits: as there.
        proxy: as there.
        ca_file: as there.
        pinned_addresses: as there.

    Raises:
        ConfigurationError: ``proxy`` is not such a URL.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        origin_map: OriginMap | None = None,
        limits: TransportLimits | None = None,
        proxy: str | None = None,
        ca_file: str | None = None,
        pinned_addresses: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        self._monotonic = monotonic
        self._reactor = SelectReactor(monotonic)
        self._engine = Engine(
            self._reactor,
            origin_map=origin_map,
            limits=limits,
            proxy=proxy,
            ca_file=ca_file,
            pinned_addresses=pinned_addresses,
        )
        self._addresses = CheckedAddresses(pinned_addresses)
        self._resolvers = Resolvers()

    @property
    def statistics(self) -> TransportStatistics:
        """What this transport has done so far."""
        return self._engine.statistics

    def check(self) -> None:
        """Raise what forbids to send.

        Raises:
            RuntimeError: it is closed, or this process is a fork of the one it was made in.
        """
        self._engine.check()

    def post(self, request: PushRequest) -> Answer:
        """Post ``request`` once and wait for the answer, or for the reason why there is none.

        Raises:
            RuntimeError: as :meth:`check` does.
        """
        answers: list[Answer] = []
        exchange = self.start(request, answers.append)
        try:
            while not answers:
                self.run_once(None)
        finally:
            exchange.cancel()  # of no effect unless we are interrupted
        return answers[0]

    def start(self, request: PushRequest, done: Done) -> Exchange:
        """Post ``request`` once and call ``done`` with what came of it, from within :meth:`run_once`.

        Raises:
            RuntimeError: as :meth:`check` does.
        """
        self._engine.check()
        connect_to: str | None = None
        if self._engine.asks_proxy(request.endpoint.origin):
            found = self._address(request.endpoint)
            if isinstance(found, TransportFailure):
                return self._engine.fail(request, done, found)
            connect_to = found
        return self._engine.start(request, done, connect_to=connect_to)

    def run_once(self, seconds_max: float | None) -> None:
        """Let what is in flight move: wait for the next thing to happen, at most ``seconds_max``."""
        self._reactor.run_once(seconds_max)

    def extend(self, seconds: float) -> None:
        """Give what is in flight so much longer: for a caller who has kept it from moving for so long."""
        self._engine.extend(seconds)

    def close(self) -> None:
        """Close every connection; what is in flight ends as a reset."""
        self._engine.close()
        self._reactor.close()
        self._resolvers.close()

    def _address(self, endpoint: Endpoint) -> str | TransportFailure:
        """What the proxy is asked for."""
        try:
            known = self._addresses.known(endpoint, self._monotonic())
            if known is not None:
                return known
            told: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
            self._resolvers.look_up(endpoint, told.put)
            found = told.get(timeout=self._engine.limits.connect_seconds_max)
            return UNRESOLVED if found is None else self._addresses.learn(endpoint, found, self._monotonic())
        except Refused as reason:
            return refused(str(reason))
        except (OSError, queue.Empty):
            return UNRESOLVED
