"""Databases as they come about: drawn from a seed, step by step, through the store's own methods."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Callable

from pushkeep.domain.consent import Basis, ConsentWord, Method, Wording
from pushkeep.domain.ids import AnyId
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import Event, State, StateReason, SubscriptionRecord
from pushkeep.errors import PushkeepError
from pushkeep.ports import ResultUpdate, Store
from pushkeep.ports.consents import Speaker
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.verdict import Verdict
from tests.store.doubles import SeededEntropy
from tests.store.samples import NOW, new_notification, registration, subscription

PEOPLE = ("ann", "böb", "C-3", "d@example.com")
PURPOSES = ("news", "orders")
TAGS = ("vip", "sale", "de")


class Drawn:
    """Does what a seed says to a store."""

    def __init__(self, store: Store, project: Project, seed: int) -> None:
        self._store = store
        self._project = project
        self._random = random.Random(seed)
        self._entropy = SeededEntropy(seed)
        self._now = NOW
        self._wordings: list[Wording] = []

    async def live(self, steps: int) -> None:
        """Take so many steps; those that are not possible are taken as what they are, refusals."""
        await self._declare()
        choices: list[tuple[Callable[[], Awaitable[object]], int]] = [
            (self._register, 8),
            (self._replace, 3),
            (self._end, 2),
            (self._result, 6),
            (self._tag, 2),
            (self._say, 3),
            (self._seal, 1),
            (self._rotate, 1),
            (self._notify, 1),
            (self._api_key, 1),
            (self._move_on_and_on, 1),
        ]
        kinds, weights = [one for one, _ in choices], [weight for _, weight in choices]
        for _ in range(steps):
            self._now += self._random.choice((0.0, 1.5, 3600.25, 86_400.0))
            with contextlib.suppress(PushkeepError):
                await self._random.choices(kinds, weights)[0]()

    async def _declare(self) -> None:
        for name in PURPOSES:
            await self._store.put_purpose(
                self._project, name, description=name.title(), basis=Basis.CONSENT, now=self._now
            )
            for locale, policy in (("en", "2026"), ("de-AT", "")):
                wording = Wording(name, locale, "1", policy, f"{name} in {locale}?\n„Ja“", self._now)
                await self._store.add_wording(self._project, wording)
                self._wordings.append(wording)

    def _words(self) -> tuple[ConsentWord, ...]:
        words = []
        for wording in self._random.sample(self._wordings, self._random.randrange(3)):
            given = self._random.random() < 0.7
            digest = wording.digest if given else None
            words.append(ConsentWord(wording.purpose, given, Method.PROMPT, digest, "https://example.com/a"))
        return tuple({word.purpose: word for word in words}.values())

    async def _key(self) -> int:
        keys = await self._store.signing_keys(self._project)
        return self._random.choice(keys).id

    async def _some(self) -> SubscriptionRecord:
        found = await self._store.list_subscriptions(self._project, state=None, limit=1000, after=0)
        if not found:
            return await self._register()
        return self._random.choice(found)

    async def _register(self, replaces: str | None = None) -> SubscriptionRecord:
        stored = await self._store.register(
            self._project,
            registration(
                subscription(f"e{self._random.randrange(10_000)}"),
                await self._key(),
                owner=self._random.choice((None, *PEOPLE)),
                replaces=replaces,
                now=self._now,
                abilities=self._random.choice((None, frozenset({"deflate"}))),
                consents=self._words(),
                sequence=self._random.choice((None, int(self._now))),
            ),
        )
        return stored.record

    async def _replace(self) -> object:
        return await self._register((await self._some()).public_id)

    async def _end(self) -> object:
        cause = self._random.choice((Event.LEFT, Event.LOST, Event.REMOVED))
        named = AnyId((await self._some()).public_id, None)
        reason = StateReason(cause, self._now, self._random.choice((None, "", "Bye „you“")))
        return await self._store.end_subscription(self._project, named, reason)

    async def _result(self) -> object:
        record = await self._some()
        event = self._random.choice(
            (Event.FAILED, Event.ACCEPTED, Event.QUARANTINED, Event.KEY_REFUSED, Event.SAID_GONE)
        )
        day = int(self._now // 86_400)
        update = ResultUpdate(
            record.id,
            record.version,
            event,
            None
            if event is Event.ACCEPTED
            else StateReason(event, self._now, "said", 410, 7, 106, "https://x.example/"),
            suspect_days=frozenset({day, day - 1}) if event is Event.FAILED else None,
            probe_at=self._now + 60 if event is Event.QUARANTINED else None,
            verdict=Verdict.SUSPECT,
        )
        return await self._store.apply_results(self._project, [update], now=self._now)

    async def _tag(self) -> object:
        names = self._random.sample(TAGS, self._random.randrange(len(TAGS)))
        return await self._store.put_contact(self._project, self._random.choice(PEOPLE), names)

    async def _say(self) -> object:
        speaker = Speaker(contact=self._random.choice(PEOPLE))
        if self._random.random() < 0.5:
            speaker = Speaker(subscription=AnyId((await self._some()).public_id, None))
        return await self._store.say(self._project, speaker, self._words(), sequence=None, now=self._now)

    async def _seal(self) -> object:
        return await self._store.seal_consents(self._project, now=self._now)

    async def _rotate(self) -> object:
        keys = await self._store.signing_keys(self._project)
        fresh = SigningKey(self._entropy.ephemeral_key())
        if self._random.random() < 0.3:
            return await self._store.prepare_key(self._project, fresh, now=self._now)
        if len(keys) > 2:
            return await self._store.retire_key(self._project, keys[-1].id, force=True, now=self._now)
        leaked = self._random.random() < 0.2
        return await self._store.rotate_keys(
            self._project, expected=keys[0].id, fresh=fresh, leaked=leaked, now=self._now
        )

    async def _notify(self) -> object:
        new = new_notification(Target.everyone(), accepted_at=self._now, send_at=self._now)
        return await self._store.accept(self._project, new, backlog_max=10_000, lease_owner=None)

    async def _api_key(self) -> None:
        digest = self._entropy.token_bytes(32)
        name = f"k{self._random.randrange(10**10):011d}"
        await self._store.add_api_key(self._project, key_id=name, digest=digest, label="Shop", now=self._now)

    async def _move_on_and_on(self) -> None:
        """One browser on which two people log in by turns: a life with many entries."""
        record = await self._some()
        found = await self._store.find_recipient(self._project, AnyId(record.public_id, None))
        if record.state is not State.ACTIVE or found is None or found.subscription is None:
            return
        for turn in range(self._random.choice((3, 120))):
            owner = PEOPLE[turn % 2]
            again = registration(found.subscription, record.signing_key_id, owner=owner, now=self._now + turn)
            await self._store.register(self._project, again)
