"""What may be declared and said about consent, and which word counts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.domain.consent import Basis, ConsentWord, Method, Purpose, Wording
from pushkeep.domain.consent_audit import Anchor
from pushkeep.domain.consent_words import (
    Standing,
    best_wordings,
    check_words,
    effective,
    make_word,
    make_wording,
    may_be_told,
    still_shown,
)
from pushkeep.errors import InvalidInput

NOW = 1_800_000_000.0
DIGEST = "AB" * 32


def word(**changes: object) -> ConsentWord:
    values: dict[str, Any] = {"purpose": "news", "given": True, "method": "prompt", "wording": DIGEST, "now": NOW}
    return make_word(**values | changes)


def test_a_word_is_as_it_was_said() -> None:
    assert word(page="https://example.com/a?b#c", at=NOW - 5) == ConsentWord(
        "news", True, Method.PROMPT, bytes.fromhex(DIGEST), "https://example.com/a", NOW - 5
    )
    assert word(given=False, wording=None).wording is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"purpose": "News"}, "purpose"),
        ({"purpose": 7}, "purpose"),
        ({"given": 1}, "given"),
        ({"method": "api"}, "method"),
        ({"method": None}, "method"),
        ({"wording": None}, "wording"),
        ({"wording": "ab"}, "wording"),
        ({"wording": b"ab"}, "wording"),
        ({"page": "/relative"}, "page"),
        ({"page": "https://user:secret@example.com/"}, "page"),
        ({"page": "https://[::1"}, "page"),
        ({"page": "https://example.com/" + "x" * 500}, "page"),
        ({"page": "https://example.com/a b"}, "page"),
        ({"page": 7}, "page"),
        ({"at": NOW + 61}, "at"),
        ({"at": -1.0}, "at"),
        ({"at": float("nan")}, "at"),
    ],
)
def test_what_is_wrong_with_a_word_is_named(changes: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        word(**changes, place="consents[3].")
    assert caught.value.field == f"consents[3].{field}"


def test_so_much_can_be_said_at_once_and_one_thing_about_each_purpose() -> None:
    words = [word(purpose=f"p{number}") for number in range(20)]
    assert check_words(words) == tuple(words)
    with pytest.raises(InvalidInput, match="has 21 entries; the limit is 20"):
        check_words([*words, word()])
    with pytest.raises(InvalidInput, match="two entries for one purpose"):
        check_words([word(), word(given=False)])


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (f"1:{DIGEST}", True),
        (f" 12:{DIGEST.lower()}\n", True),
        (f"0:{DIGEST}", False),
        (DIGEST, False),
        ("1:ab", False),
    ],
)
def test_a_head_is_read_as_it_is_printed(text: str, good: bool) -> None:
    if good:
        assert Anchor.parse(text).head == bytes.fromhex(DIGEST)
    else:
        with pytest.raises(InvalidInput, match="as `pushkeep consents head` prints it"):
            Anchor.parse(text)


def wording(locale: str, version: str = "1", at: float = 0.0) -> Wording:
    return make_wording("news", locale=locale, version=version, text=f"{locale} {version}", now=NOW + at)


PURPOSES = [Purpose(1, "news", "News", Basis.CONSENT, NOW), Purpose(2, "bare", "Bare", Basis.CONSENT, NOW)]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("de-AT", "de-AT 1"),
        ("DE-at", "de-AT 1"),
        ("de-CH", "de 2"),
        ("de", "de 2"),
        ("fr", "fr-CA 1"),
        ("fr-FR", "fr-CA 1"),
        ("ja", "en 3"),
        (None, "en 3"),
    ],
)
def test_a_visitor_is_asked_in_the_language_that_fits_best(wanted: str | None, found: str) -> None:
    declared = [
        wording("en"),
        wording("de", at=1),
        wording("de-AT", at=2),
        wording("de", "2", at=3),
        wording("fr-CA", at=4),
        wording("en", "2", at=5),
        wording("en", "3", at=5),
    ]
    for known in (declared, still_shown(declared)):
        best = best_wordings(PURPOSES, known, wanted)
        assert {name: one.text for name, one in best.items()} == {"news": found}


def test_of_thirty_versions_only_the_latest_is_kept_for_pages() -> None:
    declared = [wording("en", str(at), at=at) for at in range(30)]
    assert still_shown(declared) == (declared[0], declared[-1]), "the first tells the locale of those without another"
    early = wording("en", "early", at=-5)
    assert still_shown([*declared, early]) == (declared[-1], early), "of a clock that was set back"


def test_a_digest_is_of_every_part_but_the_time() -> None:
    one = wording("en")
    same = make_wording("news", locale="en", version="1", text="en 1", now=NOW + 99)
    others = [
        make_wording("new", locale="en", version="1", text="en 1", now=NOW),
        make_wording("news", locale="de", version="1", text="en 1", now=NOW),
        make_wording("news", locale="en", version="2", text="en 1", now=NOW),
        make_wording("news", locale="en", version="1", text="en 1", policy_version="1", now=NOW),
        make_wording("news", locale="en", version="1", text="en 1.", now=NOW),
    ]
    assert same.digest == one.digest
    assert len({one.digest, *(other.digest for other in others)}) == 6


STANDINGS = st.one_of(st.none(), st.builds(Standing, st.booleans(), st.integers(1, 9), st.sampled_from([None, 1, 2])))


@given(STANDINGS, STANDINGS, st.sampled_from([None, 1, 2]))
def test_the_later_word_that_is_ones_own_counts(
    of_browser: Standing | None, of_contact: Standing | None, owner: int | None
) -> None:
    counts = effective(of_browser, of_contact, owner)
    if counts is of_browser and counts is not None:
        assert counts.contact_id in (None, owner)
        assert of_contact is None or of_contact.number <= counts.number
    elif counts is None:
        assert of_contact is None
    assert may_be_told(Basis.CONSENT, counts) == (counts is not None and counts.given)
    assert may_be_told(Basis.CONTRACT, counts) == (counts is None or counts.given)
