"""The paths of a subscription's life, step by step, for the pictures in docs/lifecycle.md.

A line is ``who > whom: text``; ``>>`` is an answer, ``>x`` does not arrive, and without an arrow somebody acts alone.
Each path is gone in tests/lifecycle or tests/e2e.
"""

from __future__ import annotations

import re

from sequences import Sequence, Step

ACTORS = {"p": "Page", "w": "Worker", "b": "Browser", "v": "Push service", "s": "Pushkeep"}
_LINE = re.compile(r"(?P<begin>\w)(?:\s*(?P<arrow>>>|>x|>)\s*(?P<end>\w))?: (?P<text>.+)")

_PATHS = {
    "subscribe": (
        "Subscribing: the page asks, the browser makes a subscription, Pushkeep stores it",
        """
        p: notes: wanted, sequence n
        p > s: which key? (no-store)
        s >> p: the active key
        p > b: subscribe in slot a
        b > v: register
        v >> b: endpoint
        p > s: register, sequence n
        s >> p: id, sync token, state
        p: notes: confirmed
        """,
    ),
    "visit": (
        "A later visit: nothing has changed, so one heartbeat is enough",
        """
        p: compares endpoint, key, permission
        p > s: heartbeat (at most every 5 min)
        s >> p: state, renew: false
        """,
    ),
    "loss": (
        "The push service forgets the browser: the worker subscribes again without a page",
        """
        v > b: unknown to me
        b > w: pushsubscriptionchange
        w: notes: slot a is empty
        w > s: which key?
        w > b: subscribe in slot a
        b >> w: another endpoint
        w > s: register, replaces the old one
        s: old superseded, new active: one commit
        s >> w: id, sync token
        """,
    ),
    "gone": (
        "A loss that the browser did not notice: the push service's answer ends it, the next visit mends it",
        """
        s > v: message
        v >> s: 410
        s: gone; endpoint and keys erased
        p > s: heartbeat
        s >> p: gone, renew: true
        p > b: subscribe in slot b
        b >> p: another endpoint
        p > s: register, replaces the old one
        s >> p: active
        p > b: end slot a after the grace period
        """,
    ),
    "revoked": (
        "Permission revoked, and granted again",
        """
        b > v: ends the subscription
        p: next visit: permission is not granted
        p > s: end it, reason=lost
        s: gone
        b > w: granted: pushsubscriptionchange
        w > b: subscribe
        w > s: register, replaces the old one
        s >> w: active
        """,
    ),
    "rotation": (
        "Rotation of the signing key: make before break",
        """
        s: key 2 active, key 1 retiring: both sign
        p > s: heartbeat
        s >> p: renew: true, key 2
        p > b: subscribe slot b with key 2
        b >> p: a second endpoint; slot a still lives
        p > s: register, replaces the old one
        s: old superseded, new active: one commit
        s >> p: grace_seconds
        v > b: what was under way reaches slot a
        p > b: end slot a
        """,
    ),
    "leaked": (
        "Rotation in an emergency: the key is in other hands, and no page is open",
        """
        s: keys rotate --leaked
        s > v: message, signed with key 1, hint: renew
        v > w: push
        w: shows the message
        w > b: ends the subscription of key 1
        w > b: subscribe with key 2
        w > s: register, replaces the old one
        s >> w: active, with key 2
        """,
    ),
    "offline": (
        "Pushkeep cannot be reached: the intent is kept and done later",
        """
        p: notes: wanted, sequence n
        p > b: subscribe
        p >x s: register, sequence n
        p: notes: try again after 5, 10, 20 … s
        b > w: sync: the network is back
        w > s: register, sequence n + 1
        s >> w: id, sync token
        p > s: the first request comes at last
        s: sequence n is stale: nothing changes
        """,
    ),
    "tabs": (
        "Two tabs at once: one lock, one subscription",
        """
        p: tab one takes the lock
        w: tab two or worker waits for it
        p > b: subscribe
        p > s: register
        s >> p: id, sync token
        p: releases the lock
        w: looks: nothing is due
        """,
    ),
    "owner": (
        "Logging in, logging out, and a token that is too old",
        """
        p > s: register, identity of ann
        s: belongs to ann
        p > s: register, detach
        s: belongs to nobody since now
        p > s: ann's token again, from before
        s >> p: 403 stale: nothing changes
        p > s: register, identity of bob
        s: belongs to bob
        """,
    ),
    "quarantine": (
        "Doubt on three days: quarantine with probes, and the way out of it",
        """
        s > v: messages on three different days
        v >> s: definite refusals
        s: quarantined: skipped from now on
        s > v: after a day, one due message: the probe
        v >> s: 201
        s: active again, counts cleared
        """,
    ),
    "backup": (
        "Pushkeep is restored from an older backup",
        """
        s: knows the predecessor, not the subscription
        p > s: heartbeat
        s >> p: 404
        p > s: register, replaces all former ones
        s: predecessor superseded, new active
        s >> p: id, sync token
        """,
    ),
}


def _sequence(title: str, text: str) -> Sequence:
    steps = []
    for line in filter(None, map(str.strip, text.splitlines())):
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"not a step: {line}")
        begin, arrow, end = found["begin"], found["arrow"], found["end"] or found["begin"]
        steps.append(Step(ACTORS[begin], ACTORS[end], found["text"], answer=arrow == ">>", lost=arrow == ">x"))
    used = {actor for step in steps for actor in (step.begin, step.end)}
    return Sequence(title, tuple(actor for actor in ACTORS.values() if actor in used), tuple(steps))


PATHS = {name: _sequence(title, text) for name, (title, text) in _PATHS.items()}
