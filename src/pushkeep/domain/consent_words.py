"""What may be declared and said about consent, and which word counts.

A page says a word by the digest of a wording that was declared before; so what somebody was shown is known word for
word, and nothing a page makes up gets into the records.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from pushkeep.domain.consent import HASH_BYTES, Basis, ConsentWord, Method, Purpose, Wording
from pushkeep.domain.plain_values import check_flag, check_line, check_text
from pushkeep.errors import InvalidInput

PURPOSE_CHARACTERS_MAX = 40
"""A word for programs and for tables."""

DESCRIPTION_CHARACTERS_MAX = 300
"""One line or two beside a switch."""

TEXT_CHARACTERS_MAX = 4000
"""A page of print; whoever asks for more is not understood."""

LOCALE_CHARACTERS_MAX = 35
"""RFC 5646 section 4.4.1."""

VERSION_CHARACTERS_MAX = 40
"""Room for a date, a number, or a commit."""

PAGE_CHARACTERS_MAX = 500
"""Where somebody was, without what they looked for."""

WORDS_MAX = 20
"""Said at once; a person who is asked more at once does not read it."""

PURPOSES_PER_PROJECT_MAX = 50
"""What a person can still tell apart; every answer about purposes lists them all."""

WORDINGS_PER_PURPOSE_MAX = 1000
"""Thirty languages in thirty versions; they are kept for good."""

SAID_AHEAD_SECONDS_MAX = 60.0
"""A time further ahead is of a clock that goes wrong."""

_PURPOSE = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_LOCALE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_HEX_DIGITS = HASH_BYTES * 2
_SHOWN = frozenset({Method.PROMPT, Method.SETTINGS})


def check_purpose_name(value: object, *, field: str = "purpose") -> str:
    """Check a purpose's name: 1 to 40 of ``a-z 0-9 _ -``, beginning with a letter or digit.

    Raises:
        InvalidInput: it is none.
    """
    if not isinstance(value, str) or not _PURPOSE.fullmatch(value):
        raise InvalidInput(
            f"{field} must be 1 to {PURPOSE_CHARACTERS_MAX} characters of a-z 0-9 _ - and begin with a letter or "
            "digit.",
            field=field,
        )
    return value


def check_description(value: object) -> str:
    """Check what a purpose is called for visitors: one line of up to 300 characters.

    Raises:
        InvalidInput: it is none.
    """
    return check_line(value, "description", DESCRIPTION_CHARACTERS_MAX)


def check_basis(value: object) -> Basis:
    """Check a legal basis.

    Raises:
        InvalidInput: it is none.
    """
    try:
        return Basis(str(value))
    except ValueError:
        raise InvalidInput(f"basis must be one of {', '.join(Basis)}.", field="basis") from None


def check_locale(value: object, *, field: str = "locale") -> str:
    """Check a language tag.

    Raises:
        InvalidInput: it is none.
    """
    if not isinstance(value, str) or len(value) > LOCALE_CHARACTERS_MAX or not _LOCALE.fullmatch(value):
        raise InvalidInput(f"{field} must be a language tag such as en or de-AT.", field=field)
    return value


def check_digest(value: object, *, field: str = "wording") -> bytes:
    """Check the digest of a wording as pages give it: 64 hexadecimal digits.

    Raises:
        InvalidInput: it is none.
    """
    if not isinstance(value, str) or not re.fullmatch(rf"[0-9A-Fa-f]{{{_HEX_DIGITS}}}", value):
        raise InvalidInput(f"{field} must be the {_HEX_DIGITS} hexadecimal digits of a wording's digest.", field=field)
    return bytes.fromhex(value)


def make_wording(
    purpose: object, *, locale: object, version: object, text: object, now: float, policy_version: object = ""
) -> Wording:
    """Check plain values for a wording.

    Raises:
        InvalidInput: ``field`` says which of them is wrong.
    """
    if policy_version not in (None, ""):
        policy_version = check_line(policy_version, "policy_version", VERSION_CHARACTERS_MAX)
    return Wording(
        purpose=check_purpose_name(purpose),
        locale=check_locale(locale),
        version=check_line(version, "version", VERSION_CHARACTERS_MAX),
        policy_version=str(policy_version or ""),
        text=check_text(text, "text", TEXT_CHARACTERS_MAX, empty=False),
        created_at=now,
    )


def make_word(
    *,
    purpose: object,
    given: object,
    method: object,
    wording: object = None,
    page: object = None,
    at: float | None = None,
    now: float,
    allowed: frozenset[Method] = _SHOWN,
    place: str = "",
) -> ConsentWord:
    """Check plain values for what somebody says.

    Args:
        purpose: its name.
        given: true to agree, false to withdraw.
        method: one of ``allowed``.
        wording: the digest of what they were shown, in hexadecimal; needed to agree in a prompt or in settings.
        page: http or https URL; query and fragment are taken off.
        at: epoch seconds for what was said earlier.
        now: epoch seconds.
        allowed: which methods the caller may name.
        place: stands before field names, as in ``consents[1].``.

    Raises:
        InvalidInput: ``field`` says which of them is wrong.
    """
    try:
        how = Method(str(method))
    except ValueError:
        how = None
    if how is None or how not in allowed:
        names = ", ".join(sorted(allowed))
        raise InvalidInput(f"{place}method must be one of {names}.", field=f"{place}method")
    agreed = check_flag(given, f"{place}given")
    if wording is None and agreed and how in _SHOWN:
        raise InvalidInput(
            f"{place}wording is missing: to agree, name the wording that was shown by its digest.",
            field=f"{place}wording",
        )
    if at is not None and (not math.isfinite(at) or not 0 <= at <= now + SAID_AHEAD_SECONDS_MAX):
        raise InvalidInput(f"{place}at must be a time that is not in the future.", field=f"{place}at")
    return ConsentWord(
        purpose=check_purpose_name(purpose, field=f"{place}purpose"),
        given=agreed,
        method=how,
        wording=None if wording is None else check_digest(wording, field=f"{place}wording"),
        page=_check_page(page, f"{place}page"),
        at=at,
    )


def check_words(words: Sequence[ConsentWord], *, field: str = "consents") -> tuple[ConsentWord, ...]:
    """Check what is said at once: up to 20 words, one for each purpose.

    Raises:
        InvalidInput: there are more, or two about one purpose.
    """
    if len(words) > WORDS_MAX:
        raise InvalidInput(f"{field} has {len(words)} entries; the limit is {WORDS_MAX}.", field=field)
    if len({word.purpose for word in words}) < len(words):
        raise InvalidInput(f"{field} has two entries for one purpose; say one thing about each.", field=field)
    return tuple(words)


def unknown_purpose(name: str, known: Sequence[str], *, field: str = "purpose") -> InvalidInput:
    """What naming a purpose that is not declared is answered."""
    declared = f"declared are {', '.join(known)}" if known else "none is declared yet; declare it first"
    return InvalidInput(f"There is no purpose {name}; {declared}.", field=field)


def unknown_wording(purpose: str, *, field: str = "wording") -> InvalidInput:
    """What naming a wording that is not declared for a purpose is answered."""
    return InvalidInput(
        f"There is no such wording for the purpose {purpose}; declare it first, and take its digest from the list of "
        "wordings.",
        field=field,
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a subject's word about a purpose.

    Attributes:
        given: whether it agreed.
        number: of the record it follows from.
        contact_id: whose the browser was when it was said; None for nobody's.
    """

    given: bool
    number: int
    contact_id: int | None = None


def effective(of_browser: Standing | None, of_contact: Standing | None, owner_id: int | None) -> Standing | None:
    """Which word counts for a browser: the later one of its own and its owner's.

    Its own counts only if it was said by nobody in particular, or by its present owner: what one visitor of a shared
    browser agreed to is not the next one's word.
    """
    if of_browser is not None and of_browser.contact_id not in (None, owner_id):
        of_browser = None
    words = [word for word in (of_browser, of_contact) if word is not None]
    return max(words, key=lambda word: word.number, default=None)


def may_be_told(basis: Basis, word: Standing | None) -> bool:
    """Whether somebody may be told something for a purpose: with consent, or unless they objected."""
    return basis is not Basis.CONSENT if word is None else word.given


def best_wordings(
    purposes: Sequence[Purpose], wordings: Sequence[Wording], locale: str | None
) -> Mapping[str, Wording]:
    """The wording to show for each purpose, by its name; without those that have none.

    The latest in the wanted locale; else in its language, as it is or of another region; else in the locale that was
    declared first for this purpose.
    """
    declared = _by_purpose(wordings)
    return {purpose.name: _latest(declared[purpose.name], locale) for purpose in purposes if purpose.name in declared}


def still_shown(wordings: Sequence[Wording]) -> tuple[Wording, ...]:
    """Those that :func:`best_wordings` may choose or goes by: of each purpose the first, and the latest in each locale.

    Args:
        wordings: in the order in which they were declared, as is what is returned.
    """
    kept: set[int] = set()
    for declared in _by_purpose(wordings).values():
        kept.add(id(min(declared, key=lambda wording: wording.created_at)))
        latest: dict[str, Wording] = {}
        for wording in declared:
            before = latest.get(wording.locale.lower())
            if before is None or wording.created_at >= before.created_at:
                latest[wording.locale.lower()] = wording
        kept.update(map(id, latest.values()))
    return tuple(wording for wording in wordings if id(wording) in kept)


def _by_purpose(wordings: Sequence[Wording]) -> Mapping[str, list[Wording]]:
    found: dict[str, list[Wording]] = {}
    for wording in wordings:
        found.setdefault(wording.purpose, []).append(wording)
    return found


def _latest(declared: Sequence[Wording], locale: str | None) -> Wording:
    wanted = (locale or "").lower()
    language = wanted.split("-")[0]
    first = min(declared, key=lambda wording: wording.created_at).locale.lower()
    ranks = {
        wording.locale.lower(): (
            wording.locale.lower() == wanted,
            wording.locale.lower() == language,
            wording.locale.lower().split("-")[0] == language,
            wording.locale.lower() == first,
        )
        for wording in declared
    }
    best = max(ranks.values())
    # Of two that were declared in one moment the one declared last: the store hands them out in that order.
    latest = [wording for wording in declared if ranks[wording.locale.lower()] == best]
    return max(enumerate(latest), key=lambda item: (item[1].created_at, item[0]))[1]


def _check_page(value: object, field: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidInput(f"{field} must be a URL.", field=field)
    bare = value.partition("#")[0].partition("?")[0]
    try:
        parts = urlsplit(bare)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        fine = False
    if not fine or not all(character >= "!" and character.isprintable() for character in bare):
        raise InvalidInput(f"{field} must be an http or https URL without user information.", field=field)
    if len(bare) > PAGE_CHARACTERS_MAX:
        raise InvalidInput(f"{field} has {len(bare)} characters; the limit is {PAGE_CHARACTERS_MAX}.", field=field)
    return bare
