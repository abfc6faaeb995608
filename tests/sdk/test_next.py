"""The table of what is due: one step for each situation, and none for what has to be left alone."""

from __future__ import annotations

import json

import pytest

from .conftest import OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]

NOW = 1_800_000_000_000
DAY = 86_400_000
SAME = {"endpoint": "E", "key": "AQID", "token": "t", "state": "active", "confirmed": NOW, "abilities": "x"}
OLD = SAME | {"confirmed": NOW - 300_000}
SENT = {"endpoint": "E", "key": "AQID", "subscription": {}}
HERE, OTHER, NONE = "E", "F", None
DROP = {"slot": "b", "at": NOW + 1}
DUE = {"slot": "b", "at": NOW}
SAID = {"purpose": "offers", "given": False, "told": False, "stamp": 1}
TOLD, UNTOLD = ({"subject": None, "told": told, "stamp": 1} for told in (True, False))

# What the record says, what slots a and b hold ("?": out of reach), whether it is allowed, and the step.
SITUATIONS: dict[str, tuple[dict[str, object], str | None, str | None, bool, str]] = {
    "never asked": ({}, NONE, NONE, True, "rest"),
    "never asked, but there is one": ({}, HERE, NONE, True, "register"),
    "never asked, there is one, not allowed": ({}, HERE, NONE, False, "rest"),
    "wanted, nothing there": ({"wanted": True}, NONE, NONE, True, "subscribe"),
    "wanted, not allowed": ({"wanted": True}, NONE, NONE, False, "rest"),
    "subscribed, not sent": ({"wanted": True}, HERE, NONE, True, "register"),
    "sent, not answered": ({"wanted": True, "a": SENT}, HERE, NONE, True, "register"),
    "all is well": ({"wanted": True, "a": SAME}, HERE, NONE, True, "rest"),
    "all was well": ({"wanted": True, "a": OLD}, HERE, NONE, True, "heartbeat"),
    "the clock was put back": ({"wanted": True, "a": SAME | {"confirmed": NOW + 10**9}}, HERE, NONE, True, "heartbeat"),
    "the endpoint has changed": ({"wanted": True, "a": SAME}, OTHER, NONE, True, "register"),
    "the worker can more": ({"wanted": True, "a": SAME | {"abilities": "y"}}, HERE, NONE, True, "register"),
    "somebody has logged out": ({"wanted": True, "a": SAME, "owner": UNTOLD}, HERE, NONE, True, "register"),
    "who logged out is known": ({"wanted": True, "a": SAME, "owner": TOLD}, HERE, NONE, True, "rest"),
    "something was said": ({"wanted": True, "a": SAME, "words": [SAID]}, HERE, NONE, True, "tell"),
    "something was said, and is to be renewed": (
        {"wanted": True, "a": SAME, "words": [SAID], "renew": "asked"},
        HERE,
        NONE,
        True,
        "tell",
    ),
    "something was said about one that is gone": (
        {"wanted": True, "a": SAME | {"state": "gone"}, "words": [SAID], "renew": "asked"},
        HERE,
        NONE,
        True,
        "renew",
    ),
    "something was said by one of whom nobody knows": (
        {"wanted": True, "a": SAME, "words": [SAID], "owner": UNTOLD},
        HERE,
        NONE,
        True,
        "register",
    ),
    "out of reach, something was said by one of whom nobody knows": (
        {"wanted": True, "a": SAME, "words": [SAID], "owner": UNTOLD},
        "?",
        NONE,
        True,
        "rest",
    ),
    "something was said, not registered": ({"wanted": True, "words": [SAID]}, HERE, NONE, True, "register"),
    "what was said is told": ({"wanted": True, "a": SAME, "words": [SAID | {"told": True}]}, HERE, NONE, True, "rest"),
    "what was said is somebody else's": (
        {"wanted": True, "a": SAME, "words": [SAID | {"subject": "ann"}]},
        HERE,
        NONE,
        True,
        "rest",
    ),
    "out of reach, something was said": ({"wanted": True, "a": SAME, "words": [SAID]}, "?", NONE, True, "tell"),
    "lost": ({"wanted": True, "a": SAME}, NONE, NONE, True, "subscribe"),
    "lost, a move was cut off": ({"wanted": True, "a": SAME}, NONE, OTHER, True, "swap"),
    "lost, the other is being dropped": ({"wanted": True, "a": SAME, "drop": DROP}, NONE, OTHER, True, "subscribe"),
    "permission gone": ({"wanted": True, "a": SAME}, NONE, NONE, False, "lose"),
    "permission gone, told": ({"wanted": True}, NONE, NONE, False, "rest"),
    "to be renewed": ({"wanted": True, "a": SAME, "renew": "asked"}, HERE, NONE, True, "renew"),
    "to be renewed, and something else came": (
        {"wanted": True, "a": SAME, "renew": "asked"},
        OTHER,
        NONE,
        True,
        "register",
    ),
    "to be renewed, the other slot is in use": (
        {"wanted": True, "a": SAME, "renew": "asked", "drop": DROP},
        HERE,
        OTHER,
        True,
        "rest",
    ),
    "to be renewed at once, the other slot is in use": (
        {"wanted": True, "a": SAME, "renew": "leaked", "drop": DROP},
        HERE,
        OTHER,
        True,
        "renew",
    ),
    "gone, the other slot is in use": (
        {"wanted": True, "a": SAME | {"state": "gone"}, "renew": "asked", "drop": DROP},
        HERE,
        OTHER,
        True,
        "renew",
    ),
    "the grace period is over": ({"wanted": True, "a": SAME, "drop": DUE}, HERE, OTHER, True, "drop"),
    "the grace period is over, all was well": ({"wanted": True, "a": OLD, "drop": DUE}, HERE, OTHER, True, "heartbeat"),
    "the grace period is over, and nothing else is there": (
        {"wanted": True, "a": SAME, "drop": DUE},
        NONE,
        OTHER,
        True,
        "subscribe",
    ),
    "the grace period was begun by a clock that was far ahead": (
        {"wanted": True, "a": SAME, "drop": {"slot": "b", "at": NOW + 10**10}},
        HERE,
        OTHER,
        True,
        "drop",
    ),
    "what is to be dropped is gone already": ({"wanted": True, "a": SAME, "drop": DROP}, HERE, NONE, True, "drop"),
    "what is to be dropped is out of reach": ({"wanted": True, "a": SAME, "drop": DUE}, HERE, "?", True, "rest"),
    "never answered, and lost": (
        {"wanted": True, "doubts": [{"subscription": {"endpoint": "G"}, "key": ""}]},
        HERE,
        NONE,
        True,
        "settle",
    ),
    "left": ({"wanted": False, "a": SAME}, HERE, NONE, True, "leave"),
    "left, not allowed": ({"wanted": False, "a": SAME}, NONE, NONE, False, "leave"),
    "left, the server knows, the browser still has it": ({"wanted": False}, NONE, HERE, True, "leave"),
    "left, never answered": (
        {"wanted": False, "doubts": [{"subscription": {"endpoint": "G"}, "key": ""}]},
        NONE,
        NONE,
        True,
        "settle",
    ),
    "left, and from a backup the server may not know": (
        {"wanted": False, "former": ["t"], "left": {"until": NOW + 1, "said": NOW - DAY}},
        NONE,
        NONE,
        True,
        "repeat",
    ),
    "left, and said so less than a day ago": (
        {"wanted": False, "former": ["t"], "left": {"until": NOW + 1, "said": NOW - DAY + 1}},
        NONE,
        NONE,
        True,
        "rest",
    ),
    "left, and said so for long enough": (
        {"wanted": False, "former": ["t"], "left": {"until": NOW, "said": NOW - DAY}},
        NONE,
        NONE,
        True,
        "rest",
    ),
    "left, nothing to say": ({"wanted": False, "left": {"until": NOW + 1, "said": 0}}, NONE, NONE, True, "rest"),
    "left for good": ({"wanted": False}, NONE, NONE, True, "rest"),
    "out of reach, all was well": ({"wanted": True, "a": OLD}, "?", NONE, True, "heartbeat"),
    "out of reach, all is well": ({"wanted": True, "a": SAME}, "?", NONE, True, "rest"),
    "out of reach, to be renewed": ({"wanted": True, "a": SAME, "renew": "asked"}, "?", HERE, True, "rest"),
    "out of reach, not known": ({"wanted": True}, "?", HERE, True, "rest"),
}


async def test_each_situation_has_its_step(open_page: OpenPage) -> None:
    page = await open_page()
    steps = await page.evaluate(
        """async ([situations, now]) => {
          await import('/pushkeep/sdk.js');
          const key = new Uint8Array([1, 2, 3]).buffer;
          const seen = (what) =>
            what === '?' ? undefined : what && { endpoint: what, options: { applicationServerKey: key } };
          return situations.map(([record, a, b, granted]) => {
            const all = { sequence: 0, current: 'a', former: [], doubts: [], words: [], ...record };
            const view = { record: all, seen: { a: seen(a), b: seen(b) }, granted, able: ['x'] };
            return PushkeepCore.next(view, now);
          });
        }""",
        [json.loads(json.dumps([list(row[:4]) for row in SITUATIONS.values()])), NOW],
    )
    assert dict(zip(SITUATIONS, steps, strict=True)) == {name: row[4] for name, row in SITUATIONS.items()}
