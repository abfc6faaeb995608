"""Faults on purpose at a push service that runs in another thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pushkeep.pushservice.faults import Fault, FaultInfo, Faults
from pushkeep.testing.background import BackgroundLoop

if TYPE_CHECKING:
    from pushkeep.testing.subscriptions import PushSubscription


class LiveFaults:
    """What goes wrong on purpose; the words of a fault are in ``docs/pushservice.md``."""

    def __init__(self, loop: BackgroundLoop, faults: Faults) -> None:
        self._loop, self._faults = loop, faults

    def add(self, fault: str | Fault, *, to: PushSubscription | None = None) -> str:
        """Put a fault into force, such as ``"apple status=429 retry-after=10 times=3"``; returns its id.

        Args:
            fault: a line, or a fault made before.
            to: only messages to this subscription; the line then begins with what happens.

        Raises:
            InvalidInput: the line cannot be read; the sentence names the word and what is allowed.
        """
        if to is not None and isinstance(fault, str):
            fault = f"sub:{to.subscription_id} {fault}"
        return self._loop.call(self._faults.add, fault)

    def remove(self, fault_id: str) -> None:
        """End a fault; raises NotFound."""
        self._loop.call(self._faults.remove, fault_id)

    def clear(self) -> None:
        """End all faults; done for you after each test."""
        self._loop.call(self._faults.clear)

    def list(self) -> list[FaultInfo]:
        """The faults in force, each with the number of requests it hit."""
        return self._loop.call(self._faults.list)

    def __repr__(self) -> str:
        return f"<LiveFaults {[info.fault for info in self.list()]}>"
