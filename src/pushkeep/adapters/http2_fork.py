"""A fork copies our sockets into the child, where libcurl would go on talking, or say good-bye, on the parent's lines.

So in the child every socket of a transport is replaced by ``/dev/null`` before anything else runs: what libcurl writes
when it is closed or collected there goes nowhere, and the parent's connections live on.
"""

from __future__ import annotations

import contextlib
import os
from weakref import WeakSet


class Sockets:
    """The sockets of one engine."""

    def __init__(self) -> None:
        self._inode_by_descriptor: dict[int, int] = {}
        _living.add(self)

    def note(self, descriptor: int) -> None:
        """Remember a socket. That it is closed again is not noted: the inode tells whether it is still the same."""
        self._inode_by_descriptor[descriptor] = os.fstat(descriptor).st_ino

    def silence(self, null: int) -> None:
        """Put ``null`` in the place of those that are still open."""
        for descriptor, inode in self._inode_by_descriptor.items():
            with contextlib.suppress(OSError):
                if os.fstat(descriptor).st_ino == inode:
                    os.dup2(null, descriptor, inheritable=False)
        self._inode_by_descriptor.clear()


_living: WeakSet[Sockets] = WeakSet()
_generation = 0


def generation() -> int:
    """How many forks lie between this process and the one that first imported us."""
    return _generation


def _after_fork_in_child() -> None:
    global _generation
    _generation += 1
    null = os.open(os.devnull, os.O_RDWR)
    for sockets in list(_living):
        sockets.silence(null)
    os.close(null)


os.register_at_fork(after_in_child=_after_fork_in_child)
