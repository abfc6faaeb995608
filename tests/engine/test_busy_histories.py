"""Long and busy histories, each of one seed: steps drawn so that much is under way when things go wrong.

A failure prints the seed and the steps. To repeat it, or to run many::

    PUSHKEEP_SEED=7 PUSHKEEP_BUSY_HISTORIES=1 pytest tests/engine/test_busy_histories.py
    PUSHKEEP_BUSY_HISTORIES=1000 pytest tests/engine/test_busy_histories.py --timeout 0
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from pushkeep.ports.secrets import SecretKind
from tests.engine.history import KEYS_MAX, MANNERS, OWNERS, PROCESSES_MAX, SUBSCRIPTIONS_MAX, TAGS, History
from tests.engine.world import World, small_numbers

SEED = int(os.environ.get("PUSHKEEP_SEED", "0"))
HISTORIES = int(os.environ.get("PUSHKEEP_BUSY_HISTORIES", "14"))
STEPS = 60

WEIGHTS = {
    "advance_a_little": 30,
    "accept": 14,
    "manner": 9,
    "advance": 8,
    "doom": 8,
    "command": 7,
    "start": 7,
    "stop": 6,
    "go_on": 6,
    "kill": 5,
    "subscribe": 3,
    "unsubscribe": 3,
    "replace": 3,
    "change_owner": 3,
    "end_orderly": 3,
    "database": 3,
    "calm": 3,
    "end_at_push_service": 2,
    "misbelieve": 2,
    "rotate": 1,
    "retire": 1,
    "nights": 1,
    "say": 3,
    "seal": 1,
    "erase": 1,
    "replay": 1,
    "back_up": 2,
    "restore": 1,
    "rotate_secret": 3,
    "remake": 6,
    "forget_tombstones": 1,
    "tag": 1,
    "power_off": 1,
}


def _drawn(chance: random.Random, name: str) -> dict[str, object]:
    """Arguments of a step."""
    which = chance.randrange(10_000)
    match name:
        case "advance_a_little":
            return {"seconds": chance.choice([0.001, 0.01, 0.05, 0.2, 0.7, 1.0, 1.5, 3.0]) * chance.uniform(0.5, 1.5)}
        case "advance":
            return {"seconds": chance.choice([4.0, 12.0, 12.0, 35.0, 65.0])}
        case "accept":
            return {
                "whom": chance.choice(
                    ["all", "all", "news", ["ann", "bob"], ["eve"], [chance.randrange(99) for _ in range(5)], [which]]
                ),
                "by": which,
                "priority": chance.choice(["normal", "transactional", "bulk"]),
                "ttl": chance.choice([60, 0, 5, 300, 900]),
                "wait": chance.choice([None, None, None, 0.4, 7.0]),
                "deadline": chance.choice([None, None, None, 2.0, 20.0]),
                "purpose": chance.choice([None, None, "news", "orders"]),
                "then": chance.choice([0.0, 0.02, 0.06, 0.5]),
            }
        case "manner":
            return {
                "origin": which,
                "kind": chance.choice([kind for kind in MANNERS if kind != "refuse"]),
                "share": chance.choice([1.0, 0.3]),
                "retry_after": chance.choice([None, 3, 20, 100]),
                "slow": chance.random() < 0.4,
            }
        case "doom":
            return {"which": which, "questions": chance.randrange(12), "when": chance.choice(["before", "after"])}
        case "command":
            command = chance.choice(["pause", "resume", "resume", "cancel", "retry_failed", "retry_failed"])
            return {"which": which, "command": command}
        case "start":
            return {"web": chance.random() < 0.3}
        case "database":
            return {"down": chance.random() < 0.4}
        case "subscribe" | "change_owner":
            return {"origin" if name == "subscribe" else "which": which, "owner": chance.randrange(99)}
        case "replace":
            return {"which": which, "origin": chance.randrange(99)}
        case "tag":
            return {"contact": chance.choice(OWNERS[1:]), "tags": set(chance.sample(TAGS, chance.randrange(3)))}
        case "misbelieve":
            return {"origin": which, "known": chance.random() < 0.6}
        case "nights":
            return {"days": chance.choice([1, 1, 3, 7])}
        case "say":
            given, as_contact = chance.random() < 0.6, chance.random() < 0.3
            return {"which": which, "purpose": chance.randrange(9), "given": given, "as_contact": as_contact}
        case "erase":
            return {"contact": chance.choice(OWNERS[1:]), "by": which}
        case "rotate_secret":
            return {"kind": chance.choice([SecretKind.DATA, SecretKind.LOOKUP])}
        case "remake":
            return {"pages": chance.randint(1, 12), "by": which}
        case (
            "back_up" | "restore" | "forget_tombstones" | "seal" | "replay" | "calm" | "power_off" | "rotate" | "retire"
        ):
            return {}
    return {"which": which}


def live_through(seed: int) -> World:
    """A long and busy history of one seed; what fails says how it came to it."""
    chance = random.Random(seed)
    history = History()
    steps: list[str] = []
    try:
        try:
            history.begin(chance.randrange(2**32), chance.randint(4, 16), chance.randint(1, 2), seed % 2 == 0, 0.03)
            for _ in range(STEPS):
                (name,) = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
                given = _drawn(chance, name)
                if name == "start" and sum(node.running for node in history.world.nodes) >= PROCESSES_MAX:
                    continue
                if name == "rotate" and len(history.world.spy.sight.keys) >= KEYS_MAX:
                    continue
                if name in ("subscribe", "replace", "misbelieve") and len(history.world.rows) >= SUBSCRIPTIONS_MAX:
                    continue
                steps.append(f"{history.world.loop.time():9.3f}  {name}({given})")
                getattr(history, name)(**given)
                history.lawful()
        except BaseException:
            history._sound = False
            raise
        finally:
            history.teardown()
    except Exception as error:
        error.add_note("\n".join([f"PUSHKEEP_SEED={seed} PUSHKEEP_BUSY_HISTORIES=1 repeats this:", *steps]))
        raise
    return history.world


@pytest.mark.timeout(600)
def test_busy_histories(template: Path) -> None:
    History.template = template
    with small_numbers():
        posted = [len(live_through(seed).push.record) for seed in range(SEED, SEED + HISTORIES)]
    assert sum(posted) >= 20 * len(posted), "these histories are not busy"
