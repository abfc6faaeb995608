"""Readings that several callers want at the same time and that are made once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Joined(Generic[K, V]):
    """Lets whoever asks for the same thing at the same time wait for one reading of it."""

    def __init__(self) -> None:
        self._under_way: dict[K, asyncio.Task[V]] = {}

    def __contains__(self, key: K) -> bool:
        """Whether a reading of it is under way."""
        return key in self._under_way

    async def read(self, key: K, reader: Callable[[], Coroutine[object, object, V]]) -> V:
        """What ``reader`` gives, or the reading of ``key`` that is under way.

        A caller that is cancelled leaves the reading to the others. What the reading raises, all of them get.
        """
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.ensure_future(reader())
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        return await asyncio.shield(task)
