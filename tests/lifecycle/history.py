"""Everything that can happen to subscriptions, as steps in any order, and what must hold after them."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.lifecycle.browsers import Browsers, Call
from tests.lifecycle.world import Visitor, World, word

TABS = ("one", "two")
WHO = (None, "ann", "bob")
FAULTS = (None, "status=503", "status=429", "reset", "hang", "status=500", "answer=bad_signature")

whole = st.integers(0, 10_000)
"""Chooses one of whatever there is."""


class History(RuleBasedStateMachine):
    """One installation, its visitors, and everything that can happen to them."""

    browsers: Browsers
    template: Path

    def __init__(self) -> None:
        super().__init__()
        self._stack = contextlib.ExitStack()
        self._numbers = itertools.count()
        self._begun = False

    @initialize(
        seed=st.integers(0, 2**32 - 1),
        kinds=st.sampled_from([("firefox",), ("chromium",), ("firefox", "chromium"), ("chromium", "chromium")]),
        subscribed=st.booleans(),
    )
    def begin(self, seed: int, kinds: tuple[str, ...], subscribed: bool) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="pushkeep-life-"))
        self._stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
        shutil.copyfile(self.template, self.directory / "pushkeep.db")
        self.world = World.begin(self.browsers, self.directory, seed=seed, kinds=kinds)
        self._stack.callback(self.world.end)
        self._begun = True
        self._visitors = list(self.world.visitors.values())
        self.backup: Path | None = None
        for visitor in self._visitors:
            self.world.open(visitor, TABS[0])
            if subscribed:
                self._subscribe(visitor, TABS[0])

    # --- pages ----------------------------------------------------------------------------------------------------

    @rule(whose=whole, tab=st.sampled_from(TABS))
    def visit(self, whose: int, tab: str) -> None:
        """A page is opened, or loaded again."""
        visitor = self._visitor(whose)
        self._say(f"{visitor.name} loads {tab}")
        if tab in self.browsers.tabs(visitor.name):
            self.world.close(visitor, tab)
        self.world.open(visitor, tab)

    @rule(whose=whole)
    def visit_twice_at_once(self, whose: int) -> None:
        """A browser starts with two tabs of the site."""
        visitor = self._visitor(whose)
        self._say(f"{visitor.name} loads two tabs at once")
        for tab in self.browsers.tabs(visitor.name):
            self.world.close(visitor, tab)
        for tab in TABS:
            self.world.begin_open(visitor, tab)
        self.world.settle()

    @rule(whose=whole, tab=st.sampled_from(TABS))
    def close(self, whose: int, tab: str) -> None:
        visitor = self._visitor(whose)
        if tab in self.browsers.tabs(visitor.name):
            self._say(f"{visitor.name} closes {tab}")
            self.world.close(visitor, tab)

    @rule(whose=whole, which=whole, agrees=st.booleans())
    def subscribe(self, whose: int, which: int, agrees: bool) -> None:
        visitor = self._visitor(whose)
        if tab := self._tab(visitor, which):
            self._subscribe(visitor, tab, agrees=agrees and self.world.knows_who(visitor))

    @rule(whose=whole, which=whole)
    def unsubscribe(self, whose: int, which: int) -> None:
        visitor = self._visitor(whose)
        if tab := self._tab(visitor, which):
            visitor.wanted = None
            call = self.world.call(visitor, tab, "unsubscribe")
            self._say(f"{visitor.name} unsubscribes in {tab}: {_outcome(call)}")
            visitor.wanted = False if call.outcome == "done" else None
            # Whoever leaves takes back everything, also what others have said in this browser.
            visitor.said = dict.fromkeys((None, *WHO), False if call.outcome == "done" else None)

    @rule(whose=whole, which=whole, given=st.booleans())
    def agree(self, whose: int, which: int, given: bool) -> None:
        visitor = self._visitor(whose)
        if (tab := self._tab(visitor, which)) and self.world.knows_who(visitor):
            call = self.world.say(visitor, tab, given=given)
            self._say(f"{visitor.name} {'agrees' if given else 'takes it back'} in {tab}: {_outcome(call)}")

    @rule(whose=whole)
    def subscribe_twice_at_once(self, whose: int) -> None:
        visitor = self._visitor(whose)
        tabs = self.browsers.ready(visitor.name)
        if len(tabs) == len(TABS):
            visitor.wanted = None
            calls = [self.browsers.call(visitor.name, tab, "subscribe") for tab in tabs]
            self.world.settle()
            self._say(f"{visitor.name} subscribes in both tabs: {', '.join(map(_outcome, calls))}")
            if all(call.outcome == "done" for call in calls):
                visitor.wanted = True

    @rule(whose=whole, who=st.sampled_from(WHO), which=whole)
    def become(self, whose: int, who: str | None, which: int) -> None:
        """Somebody logs in or out; the page in which it happens says so, the others do not know."""
        visitor = self._visitor(whose)
        visitor.who = who
        if tab := self._tab(visitor, which):
            given = () if who is None else (self.world.identity(visitor),)
            call = self.world.call(visitor, tab, "logout" if who is None else "login", *given)
            self._say(f"{visitor.name} is {who or 'nobody'} in {tab}: {_outcome(call)}")
        else:
            self._say(f"{visitor.name} is {who or 'nobody'}")

    # --- browsers -------------------------------------------------------------------------------------------------

    @rule(whose=whole, permission=st.sampled_from(["granted", "denied", "default"]))
    def permit(self, whose: int, permission: str) -> None:
        visitor = self._visitor(whose)
        self._say(f"{visitor.name}: permission {permission}")
        self.world.permit(visitor, permission)

    @rule(whose=whole)
    def clear_site_data(self, whose: int) -> None:
        visitor = self._visitor(whose)
        self._say(f"{visitor.name} clears the site's data")
        self.world.clear(visitor)

    @rule(whose=whole)
    def crash(self, whose: int) -> None:
        visitor = self._visitor(whose)
        self._say(f"{visitor.name} crashes")
        self.world.crash(visitor)

    @rule(whose=whole, left=st.integers(0, 40), when=st.sampled_from(["before", "after"]))
    def doom(self, whose: int, left: int, when: str) -> None:
        """The page or worker that does the operation so far from now ends there."""
        visitor = self._visitor(whose)
        self._say(f"{visitor.name} will lose a page or worker {when} operation {left}")
        self.browsers.command("doom", profile=visitor.name, left=left, when=when)

    @rule(whose=whole)
    def synchronise(self, whose: int) -> None:
        """The browser finds it a good time for what was put off."""
        visitor = self._visitor(whose)
        self.browsers.command("synchronise", profile=visitor.name)
        self.world.settle()

    # --- push services --------------------------------------------------------------------------------------------

    @rule(whose=whole, tells=st.booleans())
    def forget(self, whose: int, tells: bool) -> None:
        visitor = self._visitor(whose)
        self._say(f"the push service forgets {visitor.name}")
        self.world.forget(visitor, tells=tells)

    @rule(whose=whole, old=st.booleans(), new=st.booleans())
    def refresh(self, whose: int, old: bool, new: bool) -> None:
        visitor = self._visitor(whose)
        self._say(f"{visitor.name} has another endpoint ({old=}, {new=})")
        self.world.refresh(visitor, old=old, next=new)

    # --- network and time -----------------------------------------------------------------------------------------

    @rule(whose=whole, server=st.sampled_from(["up", "up", "down", "stalled", "deaf"]))
    def server_is(self, whose: int, server: str) -> None:
        visitor = self._visitor(whose)
        self._say(f"to {visitor.name} the server is {server}")
        visitor.server = server
        if server == "up":
            self.synchronise(whose)

    @rule(whose=whole, push=st.sampled_from(["up", "up", "down", "stalled"]))
    def push_service_is(self, whose: int, push: str) -> None:
        visitor = self._visitor(whose)
        self._say(f"to {visitor.name} its push service is {push}")
        visitor.push = push
        (self.world.service.connect if push == "up" else self.world.service.disconnect)(visitor.name)
        self.world.settle()

    @precondition(lambda self: self._begun and self.world.held)
    @rule(which=whole, answered=st.booleans())
    def release(self, which: int, answered: bool) -> None:
        self._say("something kept arrives")
        self.world.release(which, answered=answered)

    @rule(seconds=st.sampled_from([1.0, 12.0, 45.0, 400.0, 4000.0, 90_000.0]))
    def wait(self, seconds: float) -> None:
        self._say(f"{seconds:g} s pass")
        self.world.advance(seconds)
        for visitor in self._visitors:
            self.browsers.command("idle", profile=visitor.name)

    # --- the operator ---------------------------------------------------------------------------------------------

    @rule(fault=st.sampled_from(FAULTS))
    def send(self, fault: str | None) -> None:
        self._say(f"a message is sent, {fault}")
        if fault is not None:
            self.world.service.faults.add(fault)
        self.world.send(f"message {next(self._numbers)}")
        self.world.service.faults.clear()

    @rule()
    def back_up(self) -> None:
        self._say("a backup is made")
        self.backup = self.directory / "backup.db"
        self.backup.unlink(missing_ok=True)
        self.world.server.copy_to(self.backup)

    @precondition(lambda self: self._begun and self.backup is not None)
    @rule()
    def restore(self) -> None:
        assert self.backup is not None
        self._say("the backup is restored")
        self.world.set_back(self.backup)

    @rule(leaked=st.integers(0, 3))
    def rotate(self, leaked: int) -> None:
        """Another signing key; in one of four cases because the old one was stolen."""
        self._say(f"the signing key is rotated{', it leaked' if not leaked else ''}")
        self.world.rotate(leaked=not leaked)

    @rule(force=st.booleans())
    def retire(self, force: bool) -> None:
        self._say(f"a signing key is retired, {force=}: {self.world.retire(force=force)}")

    # --- and in the end -------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            if self._begun:
                self.world.finish()
        finally:
            self._stack.close()

    def _subscribe(self, visitor: Visitor, tab: str, *, agrees: bool = False) -> None:
        visitor.wanted = None
        given = ({"consents": [word(given=True)]},) if agrees else ()
        call = self.world.call(visitor, tab, "subscribe", *given)
        self._say(f"{visitor.name} subscribes in {tab}{' and agrees' * agrees}: {_outcome(call)}")
        visitor.wanted = True if call.outcome == "done" else None
        if agrees:
            visitor.heard(True if call.outcome == "done" else None)

    def _visitor(self, which: int) -> Visitor:
        return self._visitors[which % len(self._visitors)]

    def _tab(self, visitor: Visitor, which: int) -> str | None:
        tabs = self.browsers.ready(visitor.name)
        return tabs[which % len(tabs)] if tabs else None

    def _say(self, line: str) -> None:
        self.world.lines.append(line)


def _outcome(call: Call) -> str:
    return f"{call.outcome} {call.error['code'] or call.error['message']}" if call.error else str(call.outcome)
