"""Browsers, the application and the push service in one virtual time, and what must be true of them together."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pushkeep.app.accept import Asked as Notification
from pushkeep.app.accept import accept
from pushkeep.app.rotate import retire_key, rotate_keys
from pushkeep.domain.identity import sign_identity
from pushkeep.domain.notification import Content, Target
from pushkeep.domain.project import KeyState
from pushkeep.domain.subscription import SENDABLE, SubscriptionRecord
from pushkeep.errors import Conflict
from pushkeep.protocol.request import PushOptions
from tests.engine.virtual_time import EPOCH, VirtualLoop
from tests.lifecycle.browsers import Asked, BrowserError, Browsers, Call
from tests.lifecycle.server import PURPOSE, SERVER, SITE, WORDING, Server
from tests.lifecycle.service import Service

REQUEST_SECONDS = (0.02, 0.2)
"""How long a request takes that meets no trouble."""

STEPS_MAX = 3000
"""Operations on the network that one cause may have; an endless loop has more."""

IDENTITY_SECONDS = 3600.0
"""How long the site's word for who is logged in holds."""


@dataclass
class Visitor:
    """A browser profile and who sits before it.

    Attributes:
        name: of the profile.
        kind: ``firefox`` or ``chromium``.
        address: where its requests come from.
        who: who is logged in at the site; None for nobody.
        wanted: whether the visitor wants messages; None where that was not settled before its page ended.
        server: how its requests fare: ``up``, ``down`` (refused), ``stalled`` (kept until released), ``deaf`` (done,
            and the answer is lost).
        push: how its push service fares: ``up``, ``down``, ``stalled``.
        reached: whether a message sent now would be shown, as last seen.
        said: who has agreed or taken it back in this browser, the latest last; None where its page ended meanwhile.
    """

    name: str
    kind: str
    address: str
    who: str | None = None
    wanted: bool | None = False
    server: str = "up"
    push: str = "up"
    reached: bool = False
    said: dict[str | None, bool | None] = field(default_factory=dict)

    def heard(self, given: bool | None) -> None:
        """Whoever is there now has spoken."""
        self.said.pop(self.who, None)
        self.said[self.who] = given


def word(*, given: bool) -> dict[str, object]:
    """What a page gives to the SDK."""
    return {"purpose": PURPOSE, "given": given, "wording": WORDING.digest.hex() if given else None}


@dataclass
class World:
    """See the module."""

    loop: VirtualLoop
    browsers: Browsers
    service: Service
    server: Server
    chance: random.Random
    visitors: dict[str, Visitor]
    held: list[Asked] = field(default_factory=list)
    endpoints: dict[str, str] = field(default_factory=dict)
    leaked: bool = False
    cleared: bool = False
    shown: list[tuple[str, str]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @classmethod
    def begin(cls, browsers: Browsers, directory: Path, *, seed: int, kinds: Iterable[str]) -> World:
        """Fresh browsers and an empty installation."""
        loop, chance = VirtualLoop(), random.Random(seed)
        service = Service(loop, random.Random(chance.random()))
        server = Server(loop, directory / "pushkeep.db", service, random.Random(chance.random()))
        server.start()
        visitors = {
            f"{kind}{number}": Visitor(f"{kind}{number}", kind, f"203.0.113.{number}")
            for number, kind in enumerate(kinds, 1)
        }
        profiles = [{"name": one.name, "kind": one.kind, "site": SITE, "server": SERVER} for one in visitors.values()]
        browsers.begin(seed=chance.randrange(2**31), now=EPOCH + loop.time(), browsers=profiles)
        return cls(loop, browsers, service, server, chance, visitors)

    def end(self) -> None:
        try:
            self.server.stop()
        finally:
            self.loop.end()

    @property
    def now(self) -> float:
        """Epoch seconds."""
        return EPOCH + self.loop.time()

    # --- what visitors do -----------------------------------------------------------------------------------------

    def identity(self, visitor: Visitor) -> str | None:
        """The site's word for who is logged in."""
        if visitor.who is None:
            return None
        return sign_identity(
            self.server.identity_secret,
            external_id=visitor.who,
            expires_at=self.now + IDENTITY_SECONDS,
            issued_at=self.now,
        )

    def begin_open(self, visitor: Visitor, tab: str) -> Call:
        """Open a page, as the site renders it for who is logged in."""
        options = {"projectKey": self.server.project.publishable_key, "identity": self.identity(visitor)}
        return self.browsers.open(visitor.name, tab, options)

    def open(self, visitor: Visitor, tab: str) -> Call:
        """The same, and let it come to rest."""
        call = self.begin_open(visitor, tab)
        self.settle()
        return call

    def close(self, visitor: Visitor, tab: str) -> None:
        """Close a page, whatever it is doing."""
        self.browsers.command("close", profile=visitor.name, tab=tab)
        self.settle()

    def call(self, visitor: Visitor, tab: str, method: str, *given: object) -> Call:
        """Have a page call a method of the SDK."""
        call = self.browsers.call(visitor.name, tab, method, *given)
        self.settle()
        return call

    def knows_who(self, visitor: Visitor) -> bool:
        """Whether the browser has been told who is there now: what is said before that is somebody else's word."""
        record = self.browsers.look(visitor.name)["state"].get("keep") or {}
        return (record.get("owner") or {}).get("subject") == visitor.who

    def say(self, visitor: Visitor, tab: str, *, given: bool) -> Call:
        """The visitor agrees, or takes it back."""
        call = self.call(visitor, tab, "consent", word(given=given))
        if call.outcome == "done" or call.error is None or call.error["code"] != "consent":
            visitor.heard(given if call.outcome == "done" else None)
        return call

    def crash(self, visitor: Visitor) -> None:
        """The browser ends without a word; what its profile holds stays, and what it has sent is on its way."""
        self.held = [one for one in self.held if one.kind == "fetch" or one.profile != visitor.name]
        self.browsers.command("crash", profile=visitor.name)

    def permit(self, visitor: Visitor, permission: str) -> None:
        """The visitor changes the permission in the browser's settings."""
        if permission != "granted":
            visitor.reached = False
        self.browsers.command("permit", profile=visitor.name, permission=permission)
        self.settle()

    def clear(self, visitor: Visitor) -> None:
        """The visitor clears the site's data."""
        visitor.reached, visitor.wanted, self.cleared, visitor.said = False, False, True, {}
        self.browsers.command("crash", profile=visitor.name)
        self.browsers.command("clear", profile=visitor.name)
        self.settle()

    # --- what push services do ------------------------------------------------------------------------------------

    def forget(self, visitor: Visitor, *, tells: bool) -> None:
        """The push service forgets a browser. Firefox notices and tells its workers; Chromium notices nothing."""
        visitor.reached = False
        ended = self.service.forget(visitor.name)
        if visitor.kind == "firefox":
            changes = [{"endpoint": url, "fresh": None, "old": tells, "next": False} for url in ended]
            self.browsers.command("change", profile=visitor.name, changes=changes, tells=True)
        self.settle()

    def refresh(self, visitor: Visitor, *, old: bool, next: bool) -> None:
        """The browser gets other endpoints in the place of those it has, and says so in one of the four shapes."""
        visitor.reached = False
        changes = []
        for one in self.browsers.look(visitor.name)["subscriptions"]:
            if self.service.lives(one["endpoint"]):
                self.service.end(one["endpoint"])
                fresh = self.service.subscribe(visitor.name, visitor.kind, one["key"])
                changes.append({"endpoint": one["endpoint"], "fresh": fresh, "old": old, "next": next})
        self.browsers.command("change", profile=visitor.name, changes=changes, tells=True)
        self.settle()

    # --- what the operator does -----------------------------------------------------------------------------------

    def send(self, title: str, *, seconds: float = 5.0) -> None:
        """Tell everybody something, and let it go out."""
        for visitor in self.visitors.values():
            visitor.reached = False  # what push services answer may well put somebody aside
        options = PushOptions.of(ttl=600)
        asked = Notification.of(Target.everyone(), Content.of(title=title), options)
        with self.server.working():
            self.server.run(accept(self.server.services, self.server.project, asked, worker=None))
            self.advance(seconds)
        self.settle()

    def set_back(self, path: Path) -> None:
        """The operator restores a backup."""
        for visitor in self.visitors.values():
            visitor.reached = False
        self.server.set_back_to(path)

    def rotate(self, *, leaked: bool) -> None:
        """Another signing key for new subscriptions."""
        self.leaked = self.leaked or leaked
        with contextlib.suppress(Conflict):  # chance drew a key that the project had before
            self.server.run(rotate_keys(self.server.services, self.server.project, leaked=leaked))

    def retire(self, *, force: bool) -> str:
        """Put one key out of use that signs for older subscriptions; unless forced, that loses nobody."""
        services, project = self.server.services, self.server.project
        retiring = [key for key in self.server.signing_keys() if key.state is KeyState.RETIRING]
        if not retiring:
            return "there is none"
        if force:
            for visitor in self.visitors.values():
                visitor.reached = False
        try:
            self.server.run(retire_key(services, project, retiring[0].key.key_id, force=force))
        except Conflict:
            if force:
                raise
            return "it is still needed"
        return "done"

    # --- time and the network -------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let time pass for everybody."""
        target = self.loop.time() + seconds
        for _ in range(STEPS_MAX):
            upcoming = self.browsers.next
            until = target if upcoming is None else min(target, max(self.loop.time(), upcoming - EPOCH))
            self.loop.advance(max(0.0, until - self.loop.time()))
            self.browsers.pass_until(EPOCH + until)
            self.settle()
            if until >= target:
                return
            if self.loop.time() >= target:
                return
        raise AssertionError("time does not pass: timers call timers")

    def settle(self) -> None:
        """Answer whatever browsers ask of the network, until they ask nothing more."""
        for _ in range(STEPS_MAX):
            for arrival in self.service.take_arrivals():
                self.browsers.command("push", profile=arrival.profile, endpoint=arrival.endpoint, text=arrival.text)
            self._listen()
            if not self.browsers.asked:
                self._watch()
                return
            # In any order: requests overtake each other.
            asked = self.browsers.asked.pop(self.chance.randrange(len(self.browsers.asked)))
            self._serve(asked)
        raise AssertionError(f"a browser asks without end: {asked.kind} {asked.details}")

    def release(self, which: int, *, answered: bool) -> None:
        """What was kept on its way arrives, late; its answer may get through."""
        if self.held:
            asked = self.held.pop(which % len(self.held))
            self._carry_out(asked, answered=answered)
            self.settle()

    def _serve(self, asked: Asked) -> None:
        visitor = self.visitors[asked.profile]
        manner = visitor.server if asked.kind == "fetch" else visitor.push
        if manner == "stalled":
            self.held.append(asked)
        elif manner == "down":
            self.browsers.answer(asked, error="AbortError" if asked.kind == "subscribe" else "NetworkError")
        else:
            self.loop.advance(self.chance.uniform(*REQUEST_SECONDS))
            self.browsers.pass_until(self.now)
            self._carry_out(asked, answered=manner == "up")
            self._listen()
            self._watch()

    def _carry_out(self, asked: Asked, *, answered: bool) -> None:
        visitor, details = self.visitors[asked.profile], asked.details
        answer: dict[str, Any]
        if asked.kind == "subscribe":
            answer = self.service.subscribe(visitor.name, visitor.kind, details["key"])
        elif asked.kind == "unsubscribe":
            self.service.end(details["endpoint"])
            answer = {}
        else:
            reply = self.server.request(details, address=visitor.address)
            assert reply.status < 500, (reply.status, reply.text)
            self._note(details, reply.text)
            self.lines.append(
                f"  {visitor.name} {details['method']} {details['url'].rsplit('/', 1)[1]}: {reply.status}"
            )
            answer = {"status": reply.status, "headers": reply.headers, "text": reply.text}
        if answered or asked.kind != "fetch":
            self.browsers.answer(asked, **answer)
        else:
            self.browsers.answer(asked, error="NetworkError")

    def _note(self, details: dict[str, Any], text: str) -> None:
        """Which row stands for which endpoint; nobody else may know."""
        if details["method"] == "POST" and details["url"].endswith("/subscriptions") and text.startswith('{"id"'):
            self.endpoints[json.loads(text)["id"]] = json.loads(details["body"])["subscription"]["endpoint"]

    def _listen(self) -> None:
        """What browsers did without asking."""
        told, self.browsers.told = self.browsers.told, []
        for one in told:
            match one["type"]:
                case "ended":
                    self.service.end(one["endpoint"])
                case "shown":
                    self.shown.append((one["profile"], one["title"]))
                case "arrived":
                    pass
                case other:
                    raise AssertionError(f"what is {other}?")

    # --- what must be true ----------------------------------------------------------------------------------------

    def living(self, visitor: Visitor) -> dict[str, bytes | None]:
        """The endpoints that live: the browser has them, may show what comes, and its push service takes messages."""
        there = self.browsers.look(visitor.name)
        if there["permission"] != "granted":
            return {}
        urls = [one["endpoint"] for one in there["subscriptions"]]
        return {url: self.service.key_of(url) for url in urls if self.service.lives(url)}

    def active(self) -> dict[str, list[SubscriptionRecord]]:
        """The living rows, by endpoint; one whose endpoint nobody ever confirmed would be unknown."""
        found: dict[str, list[SubscriptionRecord]] = {}
        for row in self.server.rows():
            if row.living:
                found.setdefault(self.endpoints[row.public_id], []).append(row)
        return found

    def _watch(self) -> None:
        """No step of anybody's may make a visitor unreachable who was reachable before it."""
        active = self.active()
        for visitor in self.visitors.values():
            rows = [row for url in self.living(visitor) for row in active.get(url, ())]
            reached = any(row.state in SENDABLE for row in rows)
            # Told of a theft, a worker leaves the stolen key in place: for a moment there is nothing.
            if visitor.reached and not reached and visitor.wanted is True and not self.leaked:
                raise BrowserError(f"{visitor.name} was reached, and is lost without a cause:\n" + self.story())
            visitor.reached = reached

    def story(self) -> str:
        """What was done, for whoever reads a failure."""
        return "\n".join(self.lines[-60:])

    # --- the end ----------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Mend everything, let every browser visit, and look: who lives is known, and nobody else.

        A message between two visits lets push services say what browsers did not notice; the days after are
        for moves to be made, and for what was kept for late messages to go.
        """
        self.lines.append("everything is mended")
        self.service.faults.clear()
        for visitor in self.visitors.values():
            visitor.server = visitor.push = "up"
            self.browsers.command("doom", profile=visitor.name, left=None, when="")
            self.service.connect(visitor.name)
        while self.held:
            self.release(self.chance.randrange(100), answered=self.chance.random() < 0.5)
        # Google's service does not know young subscriptions everywhere yet, so its word is doubted for two minutes.
        self.advance(150)
        self._visit_all()
        self.send("before the end")
        for _ in range(3):
            self._visit_all()
            self.advance(86_400)
        self._visit_all()
        self.check()

    def _visit_all(self) -> None:
        for visitor in self.visitors.values():
            for tab in self.browsers.tabs(visitor.name):
                self.close(visitor, tab)
            self.lines.append(f"{visitor.name} visits")
            call = self.open(visitor, "last")
            assert call.outcome == "done", (call, self.story())
            assert call.value["error"] is None, (call.value["error"], self.story())
            self.advance(1)

    def check(self) -> None:
        """The active set equals the living set, each with the right key and owner; and a message reaches it once."""
        active = self.active()
        if self.cleared:
            # What is not sent to can only be ended by its browser, or by the sweep of what nobody has seen for long.
            active = {url: rows for url, rows in active.items() if rows[0].state in SENDABLE or self.service.lives(url)}
        expected: dict[str, Visitor] = {}
        for visitor in self.visitors.values():
            living = self.living(visitor)
            expected |= dict.fromkeys(living, visitor)
            permitted = self.browsers.look(visitor.name)["permission"] == "granted"
            if not permitted or visitor.wanted is False:
                assert not living, f"{visitor.name} has something left\n{self.story()}"
            elif visitor.wanted is True:
                assert len(living) == 1, f"{visitor.name} has {len(living)} living ones\n{self.story()}"
        assert set(active) == set(expected), (
            f"known but not living: {set(active) - set(expected)}, living but unknown: {set(expected) - set(active)}\n"
            + self.story()
        )
        keys = {key.id: key for key in self.server.signing_keys()}
        for url, visitor in expected.items():
            (row,) = active[url]
            assert row.contact_external_id == visitor.who, f"{visitor.name} is {visitor.who}, {row}\n{self.story()}"
            key = keys[row.signing_key_id]
            assert key.state is KeyState.ACTIVE, f"{visitor.name} has not moved to the new key\n{self.story()}"
            assert key.key.public_bytes == self.service.key_of(url), f"another key\n{self.story()}"
            if visitor.wanted is True:
                self._check_word(visitor, row)
        self.shown.clear()
        self.send("in the end")
        wanted = sorted((visitor.name, "in the end") for visitor in expected.values())
        assert sorted(self.shown) == wanted, f"{self.shown}\n{self.story()}"

    def _check_word(self, visitor: Visitor, row: SubscriptionRecord) -> None:
        """What counts is the visitor's last word, or one that nobody in particular has said since.

        The server keeps one word of a browser about a purpose, so somebody else's takes the place of the one before;
        and whoever logs in before nobody's word is told has said it as the one who logged in.
        """
        agreed = self.server.agreed(row)
        told = f"{visitor.name} said {visitor.said}, known is {agreed} of {visitor.who}\n{self.story()}"
        words = [(who, given) for who, given in visitor.said.items() if who in (None, visitor.who)]
        if any(given is None for _, given in words):
            return
        if agreed:
            assert words, told
            assert words[-1][1], told
        elif visitor.said and [*visitor.said][-1] == visitor.who:
            assert not visitor.said[visitor.who], told
