"""The plans of what is asked about consent: while sending, with each registration, and by an audit."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, text

from pushkeep.adapters.store import (
    SqliteStore,
    audience_count_units,
    consent_audit_units,
    consent_check_units,
    consent_list_units,
    load_units,
    purpose_units,
    registration_units,
    seal_units,
    subscription_units,
)
from pushkeep.adapters.store.recipient_cache import RecipientCache
from pushkeep.domain.consent import ConsentWord
from pushkeep.domain.ids import AnyId
from pushkeep.domain.notification import Target
from pushkeep.domain.subscription import Event, StateReason
from pushkeep.ports.consents import Speaker
from tests.store.consent_contract import declare, no, yes
from tests.store.samples import NOW, new_notification, new_project, registration, subscription
from tests.store.test_plans import statements_of

SMALL = frozenset(
    {"purposes", "p", "wordings", "projects", "signing_keys", "chain", "before", "holds", "h", "wanted", "theirs"}
    | {"CONSTANT"}
)
"""A server has one project, and few purposes, wordings and keys; the others are chains in memory, and lists that came
with the question."""


async def test_nothing_that_is_asked_about_consent_reads_a_table(store: SqliteStore) -> None:
    project = await store.ensure_project(new_project())
    await declare(store, project)
    for number in range(300):
        words = (yes(),) if number % 3 else (no(),)
        await store.register(project, registration(subscription(f"s{number}"), owner=f"u{number % 50}", consents=words))
    for number in range(50):
        await store.say(project, Speaker(contact=f"u{number}"), [yes()], sequence=None, now=NOW)
    await store.seal_consents(project, now=NOW)
    await store.writer.run(lambda connection: connection.execute(text("ANALYZE")) and None)
    vault, (purpose,) = store._vault, await store.purposes(project)
    first, second = await store.list_subscriptions(project, state=None, limit=2, after=0)
    asked = new_notification(Target.to_subscriptions([first.public_id, second.public_id]), purpose="news")
    leased = (await store.accept(project, asked, backlog_max=1000, lease_owner="w")).leased[0]
    new = registration(subscription("new"), owner="u1", replaces=first.public_id, consents=(yes(),))
    again = registration(subscription("s7"), owner="u7", consents=(yes(),))
    me, ann = Speaker(AnyId(second.public_id, None)), Speaker(contact="u7")
    left = StateReason(Event.LEFT, NOW)

    def say(c: Connection, speaker: Speaker, words: list[ConsentWord], sequence: int | None = None) -> object:
        return consent_list_units.say(
            c, vault, project, speaker, words, sequence=sequence, now=NOW, living=sequence is not None
        )

    units: dict[str, Callable[[Connection], object]] = {
        "load": lambda c: load_units.load(c, vault, RecipientCache(10), leased, [0, 1], NOW),
        "register": lambda c: registration_units.register(c, vault, project, new),
        "re-sync": lambda c: registration_units.existing_registration(c, vault, project, again),
        "say": lambda c: say(c, me, [no()], sequence=9),
        "say late": lambda c: say(c, ann, [yes(at=NOW - 9)]),
        "say as": lambda c: say(c, ann, [no()]),
        "leave": lambda c: subscription_units.end(c, vault, project, AnyId(second.public_id, None), left),
        "held": lambda c: consent_list_units.held(c, vault, project, me),
        "page": lambda c: consent_list_units.page(c, vault, project, speaker=None, purpose=None, limit=9, after=5),
        "page of one": lambda c: consent_list_units.page(
            c, vault, project, speaker=me, purpose="news", limit=9, after=5
        ),
        "wordings": lambda c: purpose_units.all_wordings(c, project, "news"),
        "seal": lambda c: seal_units.seal(c, project, now=NOW),
        "standing": lambda c: seal_units.chain_standing(c, project),
        "rows": lambda c: consent_audit_units.rows(c, vault, project, limit=9, after=5),
        "states": lambda c: consent_audit_units.state_faults(c, project, limit=9, after=("", 0, 0)),
        "unwilling": lambda c: consent_check_units.without_consent(c, purpose.id, [1, 2, 3]),
        "count": lambda c: audience_count_units.count(c, project, Target.everyone(), purpose="news", now=NOW),
    }
    found = [
        (name, step, statement)
        for name, unit in units.items()
        for statement, steps in await statements_of(store, unit)
        for step in steps
        if step.startswith("SCAN") and "VIRTUAL TABLE" not in step and step.split()[1] not in SMALL
    ]
    assert not found, "\n".join(map(str, found))
