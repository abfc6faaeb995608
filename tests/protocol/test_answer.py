import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.protocol.answer import RETRY_AFTER_SECONDS_MAX, parse_retry_after

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("999999", float(RETRY_AFTER_SECONDS_MAX)),
        ("9" * 5000, float(RETRY_AFTER_SECONDS_MAX)),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60.0),
        ("Sun, 06 Nov 1994 08:50:37", 60.0),
        ("Sun, 06 Nov 1994 08:50:37 -0000", 60.0),
        ("Sun, 06 Nov 1994 08:48:37 GMT", 0.0),
        ("Sun, 06 Nov 2094 08:48:37 GMT", float(RETRY_AFTER_SECONDS_MAX)),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        ("Sun, 99 Nov 1994 08:48:37 GMT", None),
    ],
)
def test_both_forms_and_nothing_else(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


@given(st.text(max_size=50), st.floats(0, 4e9))
def test_any_value_gives_a_sane_wait_or_none(value: str, now: float) -> None:
    wait = parse_retry_after(value, now)
    assert wait is None or 0 <= wait <= RETRY_AFTER_SECONDS_MAX
