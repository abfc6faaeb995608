"""The ports of a process that can die: between any two steps of what it asks of the outside."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Callable, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from pushkeep.adapters.erasure_file import ErasureFile
from pushkeep.domain.project import Project
from pushkeep.errors import Unavailable
from pushkeep.ports.privacy import ErasedName, Erasure
from tests.engine.virtual_time import Process, VirtualLoop
from tests.store.doubles import P256_ORDER

STORE_SECONDS = (0.0005, 0.004)
"""How long a question to the database is on its way, and its answer again."""

WAKE_SECONDS = 0.1
"""How late a process hears of another one's commits: the poll interval of SQLite's wake-ups."""

_KEYS = tuple(ec.derive_private_key(seed, ec.SECP256R1()) for seed in range(1001, 1065))


class PooledEntropy:
    """Chance by a seed. Key pairs come from a pool, which saves most of the time: nobody here reads in between."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def salt(self) -> bytes:
        return self._chance.randbytes(16)

    def ephemeral_key(self) -> ec.EllipticCurvePrivateKey:
        return self._chance.choice(_KEYS)

    def token_bytes(self, count: int) -> bytes:
        return self._chance.randbytes(count)

    def signing_key(self) -> ec.EllipticCurvePrivateKey:
        return ec.derive_private_key(self._chance.randrange(1, P256_ORDER), ec.SECP256R1())


class Database:
    """What the processes share: whether the database can be used, and who hears of commits.

    Attributes:
        down: nothing can be read or written at the moment.
        outages: when it went down or came back.
    """

    def __init__(self, loop: VirtualLoop, chance: random.Random) -> None:
        self.down = False
        self.outages: list[float] = []
        self._loop = loop
        self._chance = chance
        self._ears: list[VirtualWakeups] = []

    def turn(self, *, down: bool) -> None:
        if down != self.down:
            self.down = down
            self.outages.append(self._loop.time())

    def out_between(self, begin: float, end: float) -> bool:
        """Whether it went down, came back, or was down from then to then."""
        if any(begin <= at <= end for at in self.outages):
            return True
        return sum(at < begin for at in self.outages) % 2 == 1

    def seconds(self) -> float:
        return self._chance.uniform(*STORE_SECONDS)

    def join(self, ear: VirtualWakeups) -> None:
        self._ears.append(ear)

    def committed(self, by: Process | None) -> None:
        """Somebody has committed a change."""
        for ear in self._ears:
            if ear.process is not by:
                ear.hear(self._chance.uniform(0.0, WAKE_SECONDS))


class Erasures(ErasureFile):
    """The real file; no thread waits for its disk, and whoever asks can die before and after."""

    async def append(self, project: Project, names: Sequence[ErasedName], *, at: float, after: int) -> tuple[int, int]:
        await asyncio.sleep(0)
        numbers = self._append(project.public_id, names, at, after)
        await asyncio.sleep(0)
        return numbers

    async def read(self, *, after: int) -> Sequence[Erasure]:
        await asyncio.sleep(0)
        return self._read(after)


class VirtualWakeups:
    """The port of that name: own commits that left something to do are heard at once, those of others soon."""

    def __init__(self, database: Database, process: Process) -> None:
        self.process = process
        self._told = asyncio.Event()
        database.join(self)

    def hear(self, seconds: float) -> None:
        loop = self.process.loop
        loop.call_later(seconds, self._told.set, context=self.process.context)

    def own(self) -> None:
        self._told.set()

    async def wait(self, seconds_max: float) -> None:
        try:
            async with asyncio.timeout(max(seconds_max, 0.0)):
                await self._told.wait()
        except TimeoutError:
            return
        finally:
            self._told.clear()

    def close(self) -> None:
        return None


class MortalStore:
    """A store as one process reaches it: every question and every answer takes its time, in which one can die.

    Args:
        store: the real one, of this process alone.
        process: whose.
        database: whether it can be used.

    Attributes:
        doom: counts down with each question; at 0 the process dies, ``before`` or ``after`` what it asked was done.
    """

    def __init__(self, store: Any, process: Process, database: Database) -> None:
        self._store = store
        self._process = process
        self._database = database
        self.doom: tuple[int, str] | None = None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return self._mortal(found) if inspect.iscoroutinefunction(found) else found

    def _mortal(self, method: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*given: Any, **named: Any) -> Any:
            self._still_there()
            await asyncio.sleep(self._database.seconds())
            self._still_there()
            last = self._counted_down()
            if last == "before":
                self._process.kill()
                await asyncio.sleep(0)
                self._still_there()
            if self._database.down:
                raise Unavailable("The database cannot be written at the moment.")
            result = await method(*given, **named)
            if last == "after":
                self._process.kill()
            await asyncio.sleep(self._database.seconds())
            self._still_there()
            return result

        return call

    def _counted_down(self) -> str | None:
        """When the process dies, if this is the question at which it does."""
        if self.doom is None:
            return None
        left, when = self.doom
        self.doom = (left - 1, when) if left else None
        return None if left else when

    def _still_there(self) -> None:
        if self._process.buried:
            raise asyncio.CancelledError
