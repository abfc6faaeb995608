"""The story: every move has a sentence, names stand in it only where they are given, and no log is no silence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pushkeep.domain.health import DAY_SECONDS, assess
from pushkeep.domain.lifecycle import By, Evidence, LifecycleEntry
from pushkeep.domain.story import NOBODY, Names, sentence, standing, tell
from pushkeep.domain.subscription import ENDED, TRANSITIONS, Event, State, StateReason
from tests.domain.test_health import NOW, quarantined, record

_NAMES = Names(contacts={7: "alice", 8: "bob"}, shorts={"p": "AAAAaaaa", "s": "BBBBbbbb"}, keys=True, notes=True)
_FULL = Evidence(
    By.BROWSER,
    text="no such token",
    verdict="suspect",
    status=404,
    code=404,
    errno=106,
    predecessor="p",
    successor="s",
    contact=7,
    contact_before=8,
    key="newkey",
    key_before="oldkey",
    days=3,
)
_MOVES = [
    (None, Event.REGISTERED, State.ACTIVE),
    *((before, event, after) for (before, event), after in TRANSITIONS.items()),
]


@pytest.mark.parametrize(("before", "event", "after"), _MOVES)
@pytest.mark.parametrize("by", list(By))
@pytest.mark.parametrize("rich", [True, False])
def test_every_move_is_told_in_one_sentence(
    before: State | None, event: Event, after: State, by: By, *, rich: bool
) -> None:
    evidence = replace(_FULL, by=by) if rich else Evidence(by)
    for names in (_NAMES, NOBODY):
        words = sentence(LifecycleEntry(NOW, event, before, after, evidence), vendor="Google (FCM)", names=names)
        assert words[0].isupper()
        assert words.endswith(".")
        assert ".." not in words
        assert "None" not in words
        assert "_" not in words.replace("no_such", "")


@pytest.mark.parametrize(("before", "event", "after"), _MOVES)
def test_without_names_nobody_is_named(before: State | None, event: Event, after: State) -> None:
    words = sentence(LifecycleEntry(NOW, event, before, after, _FULL), vendor="Apple")
    assert not [name for name in ("alice", "bob", "7", "AAAAaaaa", "BBBBbbbb", "oldkey", "newkey") if name in words]


def test_what_the_operator_noted_is_for_operators() -> None:
    noted = Evidence(By.OPERATOR, text="Ann Miller asked for it")
    entry = LifecycleEntry(NOW, Event.REMOVED, State.ACTIVE, State.UNSUBSCRIBED, noted)
    assert sentence(entry, vendor="Apple") == "Removed by the operator."
    assert sentence(entry, vendor="Apple", names=_NAMES) == 'Removed by the operator ("Ann Miller asked for it").'
    before_the_log = replace(
        record(),
        state=State.UNSUBSCRIBED,
        ended_at=NOW,
        state_reason=StateReason(Event.REMOVED, NOW, text="Ann Miller asked for it"),
    )
    assert "Ann" not in " ".join(told.words for told in tell(before_the_log, []))


def test_a_story_with_names_reads_as_it_happened() -> None:
    entries = [
        LifecycleEntry(NOW, Event.REGISTERED, None, State.ACTIVE, Evidence(By.BROWSER, key="k1", contact=7)),
        LifecycleEntry(
            NOW + 1,
            Event.QUARANTINED,
            State.FAILING,
            State.QUARANTINED,
            Evidence(By.PUSH_SERVICE, verdict="suspect", status=404, text="unknown", days=3),
        ),
        LifecycleEntry(NOW + 2, Event.ACCEPTED, State.QUARANTINED, State.ACTIVE, Evidence(By.PUSH_SERVICE)),
        LifecycleEntry(
            NOW + 3, Event.OWNER_MOVED, State.ACTIVE, State.ACTIVE, Evidence(By.BROWSER, contact=8, contact_before=7)
        ),
        LifecycleEntry(NOW + 4, Event.REPLACED, State.ACTIVE, State.SUPERSEDED, Evidence(By.BROWSER, successor="s")),
    ]
    assert [told.words for told in tell(record(), entries, names=_NAMES)] == [
        "Registered by its browser at Google (FCM), for alice, with the signing key k1.",
        'Put into quarantine: Google (FCM) says that it does not know it on 3 different days (status 404, "unknown").',
        "Google (FCM) took a message for it again; it is active again.",
        "It went to bob, who logged in; it was alice's.",
        "Replaced by its browser with BBBBbbbb.",
    ]


def test_a_log_that_began_later_says_so_and_an_old_end_is_told_from_its_reason() -> None:
    gone = replace(
        record(),
        state=State.GONE,
        ended_at=NOW,
        state_reason=StateReason(Event.SAID_GONE, NOW, text="expired", status=410),
    )
    told = tell(gone, [])
    assert [one.at for one in told] == [gone.created_at, NOW]
    assert "until its log begins" in told[0].words
    assert told[1].words == 'Google (FCM) said that it is gone (status 410, "expired").'


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_words_for_how_it_stands(state: State) -> None:
    ended_at = NOW if state in ENDED else None
    stored = replace(record(shown_days=2), state=state, consecutive_failures=1, ended_at=ended_at)
    lines = standing(stored, assess(stored, NOW), NOW)
    assert {"quarantined": "in quarantine", "needs_renewal": "needs renewal"}.get(state, state.value) in lines[0]
    assert lines[1].startswith("It was last confirmed 1 day ago; "), "by its browser or by its site's server"
    assert "showed one 2 days ago" in lines[1]


def test_who_needs_renewal_is_not_said_to_be_in_quarantine_nor_to_be_a_need() -> None:
    stored = replace(record(), state=State.NEEDS_RENEWAL)
    assert "100: it needs renewal (-40)" in standing(stored, assess(stored, NOW), NOW)[-1]
    released = LifecycleEntry(NOW, Event.RELEASED, State.NEEDS_RENEWAL, State.ACTIVE, Evidence(By.OPERATOR))
    assert sentence(released, vendor="Mozilla") == "Released by the operator; it is active again."


def test_a_quarantine_says_when_it_is_probed_or_that_it_never_is() -> None:
    stored = quarantined("suspect")
    due = replace(stored, probe_at=NOW - 1)
    later = replace(stored, probe_at=NOW + 3 * DAY_SECONDS)
    assert "the next message for it is sent, as a probe" in standing(due, assess(due, NOW), NOW)[0]
    assert "sent to it for 3 days; the next message" in standing(later, assess(later, NOW), NOW)[0]
    assert "never dialled" in standing(stored, assess(stored, NOW), NOW)[0]
    assert any(line.startswith("Likely dead: ") for line in standing(due, assess(due, NOW), NOW))
