"""A fault's line: what it may say, that it reads back as it was written, and what is said to a bad one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.errors import InvalidInput
from pushkeep.pushservice.faults import Fault, Kind
from pushkeep.pushservice.faults.grammar import (
    KINDS,
    OPTIONS,
    VENDOR_NAMES,
    WITH_RETRY_AFTER,
    WITH_TAKEN,
    Number,
    Words,
)

COUNTS = st.none() | st.integers(1, 1_000_000).map(float)
SECONDS = st.integers(0, 3_600_000).map(lambda thousandths: thousandths / 1000)


def values(kind: Kind) -> st.SearchStrategy[float | str | None]:
    allowed = KINDS[kind].value
    if isinstance(allowed, Words):
        return st.sampled_from(allowed.words)
    if isinstance(allowed, Number):
        step = 1 if allowed.whole else 1000
        return st.integers(int(allowed.least * step), int(allowed.most * step)).map(lambda steps: steps / step)
    return st.none()


@st.composite
def faults(draw: st.DrawFn) -> Fault:
    kind = draw(st.sampled_from(Kind))
    value = draw(values(kind))
    if kind is Kind.STREAM_LIMIT:
        return Fault(kind, value, active_seconds=draw(st.none() | SECONDS))
    vendor, subscription_id = draw(
        st.sampled_from([(None, None), (None, "5d41402abc4b2a76"), *((name, None) for name in VENDOR_NAMES)])
    )
    may_be_taken = kind in WITH_TAKEN and value not in ("graceful", "middle")
    retry_after = draw(st.none() | SECONDS) if kind in WITH_RETRY_AFTER else None
    return Fault(
        kind,
        value,
        vendor=vendor,
        subscription_id=subscription_id,
        retry_after_seconds=retry_after,
        retry_after_as_date=draw(st.booleans()) if retry_after is not None else False,
        taken=draw(st.booleans()) if may_be_taken else False,
        times=draw(COUNTS),
        after=draw(COUNTS),
        every=draw(COUNTS),
        chance=draw(st.none() | st.sampled_from([0.0, 0.2, 0.125, 1.0])),
        active_seconds=draw(st.none() | SECONDS),
    )


@given(faults())
def test_what_is_written_reads_back(fault: Fault) -> None:
    assert Fault.parse(str(fault)) == fault


@given(
    st.text(max_size=60) | st.lists(st.sampled_from([*Kind, *OPTIONS, "=", "1", "x", "all"]), max_size=6).map(" ".join)
)
def test_any_other_line_is_one_sentence(text: str) -> None:
    try:
        Fault.parse(text)
    except InvalidInput as error:
        caught = error
    else:
        return
    assert caught.field == "fault"
    assert caught.message.endswith(".")
    assert "\n" not in caught.message


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("apple status=429 retry-after=10 times=3", "apple status=429 retry-after=10 times=3"),
        ("all fcm", None),
        ("all  status=503   retry-after=date:30", "status=503 retry-after=date:30"),
        ("sub:5d41402abc4b2a76 reset", "sub:5d41402abc4b2a76 reset=before"),
        ("goaway", "goaway=graceful"),
        ("duplicate", "duplicate=2"),
        ("times=2 chance=0.25 hang taken", "hang=3600 taken times=2 chance=0.25"),
        ("skew=-3600 for=1.5", "skew=-3600 for=1.5"),
    ],
)
def test_lines(line: str, written: str | None) -> None:
    if written is None:
        with pytest.raises(InvalidInput):
            Fault.parse(line)
    else:
        assert str(Fault.parse(line)) == written


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "does not say what happens; allowed are status, "),
        ("apple", "does not say what happens; allowed are status, "),
        ("aple hang", "the word 'aple'; allowed are status, "),
        ("status", "status must be a whole number from 200 to 599"),
        ("status=429.5", "status must be a whole number from 200 to 599"),
        ("status=42", "status must be a whole number from 200 to 599"),
        ("answer=never", "answer must be one of bad_body, "),
        ("close=now", "close takes no value"),
        ("goaway=soft", "goaway must be one of graceful, abrupt"),
        ("slow=nan", "slow must be a number from 0 to 3600"),
        ("hang times=0", "times must be a whole number from 1 to 1000000"),
        ("hang times=2 times=3", "times twice"),
        ("hang chance=1.5", "chance must be a number from 0 to 1"),
        ("hang reset", "says what happens twice; reset needs a line of its own"),
        ("hang retry-after=3", "retry-after goes with answer, status only"),
        ("status=429 retry-after=soon", "retry-after must be a number from 0 to 3600"),
        ("slow=1 taken", "taken goes with close, goaway, hang, reset only"),
        ("goaway taken", "taken does not go with goaway=graceful"),
        ("stream-limit=0", "stream-limit must be a whole number from 1 to 1000"),
        ("apple stream-limit=5", "stream-limit is for connections"),
        ("sub: hang", "allowed are sub: and the id of a subscription"),
        ("x" * 501, "at most 500 characters"),
    ],
)
def test_a_bad_line_names_the_word_and_what_is_allowed(line: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Fault.parse(line)
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": Kind.CLOSE, "value": 3.0}, "close takes no value"),
        ({"kind": Kind.STATUS, "value": "429"}, "status must be a whole number"),
        ({"kind": Kind.STATUS}, "status must be a whole number"),
        ({"kind": Kind.ANSWER, "value": 3.0}, "answer must be one of"),
        ({"kind": Kind.HANG, "vendor": "aple"}, "the word 'aple'"),
        ({"kind": Kind.HANG, "vendor": "fcm", "subscription_id": "ab"}, "the word 'fcm'"),
        ({"kind": Kind.STATUS, "value": 429, "retry_after_as_date": True}, "needs its seconds"),
    ],
)
def test_a_fault_made_in_python_is_checked_too(fields: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Fault(**fields)  # type: ignore[arg-type]
    assert said in caught.value.message
