"""Any history of browsers and contacts that agree, withdraw, log in, renew and leave: who is sent to is what a plain
model says, records verify at every end, and both ways of asking (one by one, and a whole audience) agree."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pushkeep.adapters.store import SqliteStore, open_store_inline
from pushkeep.app.consent_audit import export_lines, verify
from pushkeep.domain.consent import Basis, ConsentWord
from pushkeep.domain.consent_file import verify_file
from pushkeep.domain.ids import AnyId
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.shard import Kind
from pushkeep.domain.subscription import Event, StateReason, SubscriptionRecord
from pushkeep.ports.consents import Speaker
from tests.store.consent_contract import declare, looks, no, yes
from tests.store.doubles import MASTER_KEY, FakeClock, SeededEntropy
from tests.store.samples import NOW, new_project, registration, subscription

EXAMPLES = int(os.environ.get("PUSHKEEP_CONSENT_HISTORIES", "15"))
PEOPLE = ("ann", "bob")
PURPOSES = ("news", "orders")  # one that needs consent, and one that does not

step = st.one_of(
    st.tuples(st.just("register"), st.integers(0, 2), st.sampled_from([None, *PEOPLE]), st.booleans()),
    st.tuples(st.just("say"), st.integers(0, 2), st.sampled_from(PURPOSES), st.booleans()),
    st.tuples(st.just("say as"), st.sampled_from(PEOPLE), st.sampled_from(PURPOSES), st.booleans()),
    st.tuples(st.just("log in"), st.integers(0, 2), st.sampled_from([None, *PEOPLE]), st.booleans()),
    st.tuples(st.just("renew"), st.integers(0, 2), st.booleans(), st.booleans()),
    st.tuples(st.just("end"), st.integers(0, 2), st.sampled_from([Event.LEFT, Event.LOST]), st.booleans()),
    st.tuples(st.just("seal"), st.none(), st.none(), st.none()),
)


@dataclass
class Browser:
    """What the model knows of one: its latest subscription, an earlier one, its owner, and the latest words in it."""

    id: str | None = None
    earlier: str | None = None
    endpoint: str = ""
    living: bool = False
    owner: str | None = None
    words: dict[str, tuple[int, bool, str | None]] = field(default_factory=dict)


class History:
    def __init__(self, store: SqliteStore, project: Project) -> None:
        self.store, self.project = store, project
        self.browsers = [Browser() for _ in range(3)]
        self.people: dict[str, dict[str, tuple[int, bool]]] = {name: {} for name in PEOPLE}
        self.said = 0
        self.now = NOW
        self.endpoints = 0

    def counts(self, browser: Browser, purpose: str) -> bool | None:
        """The later of the browser's own word and its owner's."""
        own = browser.words.get(purpose)
        if own is not None and own[2] not in (None, browser.owner):
            own = None
        owners = None if browser.owner is None else self.people[browser.owner].get(purpose)
        found = [word for word in (own, owners) if word is not None]
        return max(found)[1] if found else None

    def hear(self, browser: Browser, purpose: str, given_: bool) -> None:
        own = browser.words.get(purpose)
        mine = None if own is None or own[2] not in (None, browser.owner) else own[1]
        if mine is given_ and self.counts(browser, purpose) is given_:
            return
        self.said += 1
        browser.words[purpose] = (self.said, given_, browser.owner)

    async def take(self, kind: str, who: int | str, what: object, flag: bool) -> None:
        self.now += 1
        if kind == "seal":
            await self.store.seal_consents(self.project, now=self.now)
        elif kind == "say as":
            assert isinstance(who, str)
            purpose = str(what)
            if self.people[who].get(purpose, (0, None))[1] is not flag:
                self.said += 1
                self.people[who][purpose] = (self.said, flag)
            await self.store.say(
                self.project, Speaker(contact=who), [self.word(purpose, flag)], sequence=None, now=self.now
            )
        else:
            assert isinstance(who, int)
            await self.of_browser(kind, self.browsers[who], what, flag)

    def word(self, purpose: str, given_: bool) -> ConsentWord:
        return (yes if given_ else no)(purpose)

    async def of_browser(self, kind: str, browser: Browser, what: object, flag: bool) -> None:
        if kind == "register" and not browser.living:
            self.endpoints += 1
            browser.endpoint = f"e{self.endpoints}"
            browser.owner = what if isinstance(what, str) else None
            browser.words, browser.earlier, browser.living = {}, None, True
            await self.register(browser, consents=(self.word("news", flag),))
            self.hear(browser, "news", flag)
        elif browser.id is None:
            return
        elif kind == "say":
            # With the token of the subscription before, too: the answer to the renewal may have been lost.
            id = browser.earlier if browser.earlier and browser.living and self.now % 2 else browser.id
            said = [self.word(str(what), flag)]
            await self.store.say(self.project, Speaker(AnyId(id, None)), said, sequence=None, now=self.now)
            self.hear(browser, str(what), flag)
        elif kind == "log in" and browser.living:
            browser.owner = what if isinstance(what, str) else None
            await self.register(browser, detach=browser.owner is None)
        elif kind == "renew" and browser.living:
            self.endpoints += 1
            browser.endpoint, browser.earlier = f"e{self.endpoints}", browser.id
            await self.register(browser, replaces=browser.id, consents=(self.word("orders", flag),) if what else ())
            if what:
                self.hear(browser, "orders", flag)
        elif kind == "end" and browser.living:
            assert isinstance(what, Event)
            browser.living = False
            await self.store.end_subscription(self.project, AnyId(browser.id, None), StateReason(what, self.now))
            if what is Event.LEFT:
                for purpose in PURPOSES:
                    given_ = browser.words.get(purpose, (0, False))[1] or self.counts(browser, purpose) is True
                    if given_:
                        self.hear(browser, purpose, False)

    async def register(self, browser: Browser, **more: object) -> None:
        asked = registration(subscription(browser.endpoint), owner=browser.owner, now=self.now, **more)  # type: ignore[arg-type]
        asked = dataclasses.replace(asked, identity_issued_at=self.now)
        browser.id = (await self.store.register(self.project, asked)).record.public_id

    async def check(self) -> None:
        assert (await self.store.chain_standing(self.project)).records == self.said
        living = [browser for browser in self.browsers if browser.living]
        order = {record.public_id: record.id for record in await self.records()}
        living.sort(key=lambda browser: order[browser.id or ""])
        for purpose in PURPOSES:
            told = [self.counts(browser, purpose) for browser in living]
            may = [word if word is not None else purpose == "orders" for word in told]
            if living:
                expected = [None if one else Kind.SKIPPED_CONSENT for one in may]
                assert await looks(self.store, self.project, Target.everyone(), purpose) == expected
            for target in (Target.everyone(), Target.to_subscriptions([browser.id for browser in living] or ["a" * 8])):
                counted = await self.store.count_audience(self.project, target, purpose=purpose)
                assert sum(counted.by_origin.values()) == may.count(True)
                assert counted.skipped.get(Kind.SKIPPED_CONSENT, 0) == may.count(False)
        assert (await verify(self.store, self.project)).faults == ()
        lines = [line.encode() async for line in export_lines(self.store, self.project, now=self.now)]
        assert verify_file(lines).faults == ()

    async def records(self) -> list[SubscriptionRecord]:
        return list(await self.store.list_subscriptions(self.project, state=None, limit=1000, after=0))


async def play(steps: list[tuple[str, int | str, object, bool]]) -> None:
    store = open_store_inline(None, MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy())
    project = await store.ensure_project(new_project())
    await declare(store, project)
    await store.put_purpose(project, "orders", description="Orders", basis=Basis.CONTRACT, now=NOW)
    history = History(store, project)
    try:
        for taken in steps:
            await history.take(*taken)
        await history.check()
    finally:
        await store.aclose()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(step, min_size=3, max_size=18))
def test_who_is_sent_to_is_what_was_said_last(steps: list[tuple[str, int | str, object, bool]]) -> None:
    asyncio.run(play(steps))
