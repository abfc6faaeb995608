"""A copy of a simulated installation's database, and putting it back: the world goes on from an earlier moment.

What happened in between has happened: push services keep what they took, browsers their subscriptions, and the list of
who was erased is not in the copy. Nobody works meanwhile: every process is killed first.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pushkeep.adapters.store import open_store_inline
from pushkeep.app.projects import current_signing_key
from pushkeep.app.subscribe import Registered
from tests.engine.laws import Laws
from tests.engine.push_services import Posted
from tests.engine.spy import Spy
from tests.store.doubles import MASTER_KEY

if TYPE_CHECKING:
    from tests.engine.world import Told, World


@dataclass(frozen=True)
class Copy:
    """The database at a moment, with what those who watch it knew then.

    Attributes:
        path: the file.
        rows, registered: the subscriptions there were.
        told: the notifications there were.
        posted: by notification and endpoint, and by row, what had been posted.
        gone: rows that were erased, and when those had been.
        at: when it was made.
    """

    path: Path
    rows: dict[str, int]
    registered: dict[str, Registered]
    told: list[Told]
    posted: dict[tuple[int, str], list[Posted]]
    posted_to: dict[int, list[Posted]]
    gone: frozenset[int]
    erased: dict[int, float]
    at: float


def back_up(world: World) -> Copy:
    """Copy the database while everybody goes on."""
    path = world.path.with_name(f"copy-{world.loop.time():.6f}.db")
    with closing(sqlite3.connect(world.path)) as source, closing(sqlite3.connect(path)) as copy:
        source.backup(copy)
    laws = world.laws
    return Copy(
        path,
        dict(world.rows),
        dict(world.registered),
        list(world.told),
        {key: list(posted) for key, posted in laws._posted.items()},
        {row: list(posted) for row, posted in laws.life._posted.items()},
        frozenset(laws._gone),
        dict(laws.life._erased),
        world.loop.time(),
    )


def restore(world: World, copy: Copy) -> None:
    """Kill everybody, put the copy in the database's place, and do what a start does."""
    world.database.turn(down=False)
    for node in world.nodes:
        node.process.kill()
        world.run(node.store.aclose())
    world.run(world.office.store.aclose())
    world.spy.close()
    for suffix in ("-wal", "-shm"):
        world.path.with_name(world.path.name + suffix).unlink(missing_ok=True)
    world.path.write_bytes(copy.path.read_bytes())
    for known, then in ((world.rows, copy.rows), (world.registered, copy.registered)):
        known.clear()
        known.update(then)  # type: ignore[arg-type]  # each with its own
    world.told[:] = copy.told
    _watch_anew(world, copy)
    world.check()
    world.replay()
    for contact, at in world.erased.items():
        left = world.spy.rows("SELECT 1 FROM contacts WHERE external_id = ? AND created_at <= ?", contact, at)
        assert not left, f"{contact} was erased, and is there again"


def _watch_anew(world: World, copy: Copy) -> None:
    """Look at the database as it is now; laws remember what was true when it was copied."""
    from tests.engine.world import watch

    clock, entropy = world.office.clock, world.office.entropy
    store = open_store_inline(world.path, MASTER_KEY, clock=clock, entropy=entropy)
    world.office = replace(world.office, store=store)
    world.spy = Spy(world.path)
    world.push.watchers.remove(world.laws.posted)
    broken = world.laws.broken
    world.laws = Laws(world.loop, world.spy, world.database, world.owners, world.rows)
    world.laws.broken[:] = broken
    world.laws.adopt(copy.posted, copy.posted_to, copy.gone, copy.erased, copy.at)
    world.push.watchers.append(world.laws.posted)
    watch(store, world.spy, world.database, None)
    for contact in world.erased:
        for (id,) in world.spy.rows("SELECT id FROM contacts WHERE external_id = ?", contact):
            world.laws.erasing.add(id)
    world.key = world.run(current_signing_key(world.office, world.project)).public_b64
    world.spy.look(None)
