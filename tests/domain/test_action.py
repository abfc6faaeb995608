import pytest

from pushkeep.domain.action import success_needs_write


@pytest.mark.parametrize(
    ("last", "failures", "needed"),
    [(None, 0, True), (1000.0, 0, False), (999.0, 0, True), (4000.0, 1, True), (9000.0, 0, False)],
)
def test_success_is_written_down_now_and_then(last: float | None, failures: int, needed: bool) -> None:
    assert success_needs_write(now=4600.0, last_accepted_at=last, consecutive_failures=failures) is needed


def test_success_is_written_down_at_once_where_it_changes_the_state() -> None:
    assert success_needs_write(now=4600.0, last_accepted_at=4599.0, consecutive_failures=0, active=False)
