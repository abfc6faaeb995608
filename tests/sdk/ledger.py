"""The server's rules for subscriptions in small, for tests that need a server which remembers.

It decides like the real one; the real one, with these very scripts, is tested elsewhere.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TypeAlias, cast

from .site import AGREED, Answer, JsonObject, Site

Backup: TypeAlias = tuple[
    dict[str, str],
    dict[str, str],
    dict[str, str | None],
    dict[str, int],
    dict[str, str],
    dict[str, dict[str, bool]],
    dict[str, str],
]

_LIVING = ("active", "failing", "quarantined", "needs_renewal")


class Ledger:
    """Answers a site's registrations, heartbeats and ends.

    Attributes:
        states: of each endpoint.
        keys: each endpoint's application server key.
        owners: each endpoint's identity token.
        sequences: the highest told for each endpoint.
        successors: what replaced an endpoint.
        consents: what holds of each endpoint's words, by purpose.
        told: each word that was new, with its endpoint.
        since: when what holds about a purpose was said, wherever.
        wordings: the digests that were declared.
        refused: an identity token that is not accepted.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self.states: dict[str, str] = {}
        self.keys: dict[str, str] = {}
        self.owners: dict[str, str | None] = {}
        self.sequences: dict[str, int] = {}
        self.successors: dict[str, str] = {}
        self.consents: dict[str, dict[str, bool]] = {}
        self.told: list[tuple[str, str, bool]] = []
        self.since: dict[str, str] = {}
        self.wordings: set[object] = {AGREED["wording"]}
        self.refused: str | None = None
        site.on_register = self._register
        site.on_heartbeat = self._heartbeat
        site.on_delete = self._end
        site.on_consents = self._say

    @property
    def living(self) -> set[str]:
        """The endpoints that messages are sent to."""
        return {endpoint for endpoint, state in self.states.items() if state in _LIVING}

    def copy(self) -> Backup:
        """A backup."""
        return copy.deepcopy(
            (self.states, self.keys, self.owners, self.sequences, self.successors, self.consents, self.since)
        )

    def restore(self, backup: Backup) -> None:
        """As it was then."""
        self.states, self.keys, self.owners, self.sequences, self.successors, self.consents, self.since = copy.deepcopy(
            backup
        )

    def _register(self, body: JsonObject) -> Answer:
        endpoint = str(cast(Mapping[str, object], body["subscription"])["endpoint"])
        sequence = cast(int, body["sequence"])
        named = [_endpoint(token) for token in cast(list[str], body.get("replaces", []))]
        named = [one for one in named if one in self.states]
        if stale := self._stale(sequence, endpoint, *named):
            return stale
        if body.get("identity") is not None and body.get("identity") == self.refused:
            return 403, {"detail": "expired", "field": "identity", "reason": "expired"}
        if refused := self._unknown(body):
            return refused
        if self.states.get(endpoint) == "gone":
            return 200, self._answer(endpoint)
        successor = self._successor(endpoint)
        if self.states.get(successor) in _LIVING and successor not in (*named, endpoint):
            return 409, {"detail": "replaced", "reason": "replaced"}
        owner = next((self.owners[one] for one in (endpoint, *named) if self.owners.get(one)), None)
        for one in named:
            if one != endpoint:
                self.states[one] = "superseded"
                self.successors[one] = endpoint
                self.consents[endpoint] = self.consents.get(one, {}) | self.consents.get(endpoint, {})
        self.successors.pop(endpoint, None)
        self.states[endpoint] = "active"
        self.keys[endpoint] = str(body["application_server_key"])
        self.owners[endpoint] = None if body.get("detach") else cast(str | None, body.get("identity", owner))
        self.sequences[endpoint] = sequence
        answer = self._answer(endpoint)
        if "consents" in body:
            answer |= self._note(endpoint, body)
        return 200, answer

    def _say(self, token: str, body: JsonObject) -> Answer:
        endpoint = _endpoint(token)
        if endpoint not in self.states:
            return 404, {"detail": "not found", "field": "sync_token"}
        if self.states[endpoint] not in _LIVING:
            return 409, {"detail": "It has ended.", "reason": "ended"}
        if refused := self._stale(cast(int, body["sequence"]), endpoint) or self._unknown(body):
            return refused
        self.sequences[endpoint] = cast(int, body["sequence"])
        return 200, self._note(endpoint, body)

    def _note(self, endpoint: str, body: JsonObject) -> JsonObject:
        held = self.consents.setdefault(endpoint, {})
        for word in cast(list[JsonObject], body["consents"]):
            purpose, given = str(word["purpose"]), bool(word["given"])
            if held.get(purpose) is not given:
                self.told.append((endpoint, purpose, given))
                self.since[purpose] = f"2026-11-22T12:{len(self.told):02}:00Z"
            held[purpose] = given
        return {"consents": held, "since": {purpose: self.since[purpose] for purpose in held}}

    def _unknown(self, body: JsonObject) -> Answer | None:
        words = cast(list[JsonObject], body.get("consents", []))
        if all(not word["given"] or word["wording"] in self.wordings for word in words):
            return None
        return 400, {"detail": "There is no such wording.", "field": "consents[0].wording"}

    def _heartbeat(self, token: str) -> Answer:
        endpoint = _endpoint(token)
        if endpoint not in self.states:
            return 404, {"detail": "not found", "field": "sync_token"}
        answer = self._answer(endpoint)
        del answer["sync_token"]
        return 200, answer

    def _end(self, token: str, query: Mapping[str, str]) -> Answer:
        named = _endpoint(token)
        last = self._successor(named)
        endpoint = last if self.states.get(last) in _LIVING else named
        if stale := self._stale(int(query["sequence"]), endpoint):
            return stale
        if self.states.get(endpoint) in _LIVING:
            self.states[endpoint] = "unsubscribed"
            self.consents[endpoint] = dict.fromkeys(self.consents.get(endpoint, {}), False)
            self.sequences[endpoint] = int(query["sequence"])
        return 204, {}

    def _stale(self, sequence: int, *endpoints: str) -> Answer | None:
        known = max((self.sequences.get(one, 0) for one in endpoints), default=0)
        return (409, {"detail": "stale", "reason": "stale", "sequence": known}) if sequence < known else None

    def _successor(self, endpoint: str) -> str:
        while endpoint in self.successors:
            endpoint = self.successors[endpoint]
        return endpoint

    def _answer(self, endpoint: str) -> JsonObject:
        name = endpoint.rsplit("/", 1)[-1]
        state = self.states[endpoint]
        living_with_another = state in _LIVING and self.keys.get(endpoint) != self._site.key
        return {
            "id": f"id-{name}",
            "short_id": f"S{name:0>7}"[:8],
            "sync_token": f"st_{name}",
            "state": state,
            "renew": state in ("gone", "needs_renewal", "quarantined") or living_with_another,
            "application_server_key": self._site.key,
            "grace_seconds": 3600,
            "owned": self.owners.get(endpoint) is not None,
            "sequence": self.sequences.get(endpoint, 0),
        }


def _endpoint(token: str) -> str:
    return f"https://push.example/{token.removeprefix('Bearer ').removeprefix('st_')}"
