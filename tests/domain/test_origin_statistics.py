import pytest

from pushkeep.domain import origin_statistics
from pushkeep.domain.origin_statistics import OriginStatistics, OriginView
from pushkeep.protocol.verdict import Verdict

FCM, APPLE = "https://fcm.googleapis.com", "https://web.push.apple.com"
DAY = 86_400.0


def fill(statistics: OriginStatistics, *, sends: int, gone: int, now: float, origin: str = FCM) -> None:
    for number in range(sends):
        verdict = Verdict.GONE if number < gone else Verdict.ACCEPTED
        statistics.record(origin, verdict, endpoint=number, key="key", now=now)


def view(
    statistics: OriginStatistics, now: float, origin: str = FCM, endpoint: object = "me", key: str = "key"
) -> OriginView:
    return statistics.view(origin, endpoint=endpoint, key=key, now=now)


def test_nothing_is_known_of_an_origin_never_sent_to() -> None:
    assert view(OriginStatistics(), 0.0) == OriginView()


@pytest.mark.parametrize(
    ("sends", "gone", "storm"),
    [(199, 199, False), (200, 10, False), (200, 11, True), (1000, 50, False), (1000, 51, True)],
)
def test_a_storm_is_more_than_five_percent_of_at_least_200_sends(sends: int, gone: int, storm: bool) -> None:
    statistics = OriginStatistics()
    fill(statistics, sends=sends, gone=gone, now=1000.0)
    assert view(statistics, 1000.0).gone_storm is storm


def test_a_storm_is_one_origins() -> None:
    statistics = OriginStatistics()
    fill(statistics, sends=200, gone=200, now=1000.0)
    assert not view(statistics, 1000.0, APPLE).gone_storm


def test_a_storm_passes_with_its_window() -> None:
    statistics = OriginStatistics()
    fill(statistics, sends=200, gone=200, now=1000.0)
    assert view(statistics, 1000.0 + 500).gone_storm
    assert not view(statistics, 1000.0 + 661).gone_storm


def test_what_was_always_so_is_no_storm() -> None:
    statistics = OriginStatistics()
    for day in range(5):
        fill(statistics, sends=300, gone=30, now=day * DAY)
    assert not view(statistics, 4 * DAY).gone_storm, "a tenth was gone on each day before"
    fill(statistics, sends=1000, gone=500, now=5 * DAY)
    assert view(statistics, 5 * DAY).gone_storm, "half of them is far above that"


def test_a_storm_is_not_its_own_history() -> None:
    statistics = OriginStatistics()
    fill(statistics, sends=1000, gone=5, now=0.0)
    for minute in range(60):
        now = DAY + minute * 60
        fill(statistics, sends=300, gone=300, now=now)
        assert view(statistics, now).gone_storm


def test_a_storm_over_midnight_is_still_one() -> None:
    statistics = OriginStatistics()
    fill(statistics, sends=300, gone=300, now=DAY - 60)
    fill(statistics, sends=300, gone=300, now=DAY + 60)
    assert view(statistics, DAY + 60).gone_storm, "just started: what came before midnight is the storm itself"
    for day in range(1, 5):
        fill(statistics, sends=300, gone=1, now=day * DAY + 3600)
    fill(statistics, sends=3000, gone=3000, now=6 * DAY - 60)
    fill(statistics, sends=300, gone=300, now=6 * DAY + 60)
    assert view(statistics, 6 * DAY + 60).gone_storm


def test_a_list_that_is_dying_is_believed_after_three_days() -> None:
    statistics = OriginStatistics()
    storms = []
    for day in range(5):
        fill(statistics, sends=300, gone=60, now=day * DAY)
        storms.append(view(statistics, day * DAY).gone_storm)
    assert storms == [True, True, True, False, False]


def test_a_history_of_a_handful_is_none() -> None:
    statistics = OriginStatistics()
    for day in range(5):
        fill(statistics, sends=19, gone=19, now=day * DAY)
    fill(statistics, sends=300, gone=300, now=5 * DAY)
    assert view(statistics, 5 * DAY).gone_storm


@pytest.mark.parametrize(("today", "storm"), [(14, False), (15, True)])
def test_history_is_a_fortnight(today: int, storm: bool) -> None:
    statistics = OriginStatistics()
    for day in range(3):
        fill(statistics, sends=1000, gone=1000, now=day * DAY)
    fill(statistics, sends=300, gone=300, now=today * DAY)
    assert view(statistics, today * DAY).gone_storm is storm


def test_ten_different_endpoints_throttled_within_five_seconds_are_the_whole_origin() -> None:
    statistics = OriginStatistics()
    for number in range(9):
        statistics.record(FCM, Verdict.THROTTLED, endpoint=number, key="key", now=number * 0.5)
    assert not view(statistics, 4.0).throttled_widely
    statistics.record(FCM, Verdict.THROTTLED, endpoint=9, key="key", now=4.5)
    assert view(statistics, 4.5).throttled_widely
    assert not view(statistics, 4.5, APPLE).throttled_widely
    assert not view(statistics, 5.5).throttled_widely


def test_one_endpoint_throttled_often_is_not_the_whole_origin() -> None:
    statistics = OriginStatistics()
    for _ in range(100):
        statistics.record(FCM, Verdict.THROTTLED, endpoint=1, key="key", now=1.0)
    assert not view(statistics, 1.0).throttled_widely


def test_ten_endpoints_throttled_slowly_are_not_the_whole_origin() -> None:
    statistics = OriginStatistics()
    for number in range(50):
        statistics.record(FCM, Verdict.THROTTLED, endpoint=number, key="key", now=float(number))
    assert not view(statistics, 49.0).throttled_widely


def test_a_key_is_taken_for_others_when_another_endpoint_was_accepted_of_late() -> None:
    statistics = OriginStatistics()
    statistics.record(FCM, Verdict.ACCEPTED, endpoint="me", key="key", now=0.0)
    assert not view(statistics, 1.0).key_taken_for_others, "I am no other"
    statistics.record(FCM, Verdict.ACCEPTED, endpoint="you", key="key", now=1.0)
    statistics.record(FCM, Verdict.ACCEPTED, endpoint="me", key="key", now=2.0)
    assert view(statistics, 3.0).key_taken_for_others
    assert not view(statistics, 3.0, key="other key").key_taken_for_others
    assert not view(statistics, 3.0, APPLE).key_taken_for_others
    assert not view(statistics, 602.0).key_taken_for_others, "that was long ago"


def test_a_key_that_three_endpoints_refuse_is_taken_no_more() -> None:
    statistics = OriginStatistics()
    statistics.record(FCM, Verdict.ACCEPTED, endpoint="you", key="key", now=0.0)
    for endpoint in ("me", "me", "her"):
        statistics.record(FCM, Verdict.BAD_TOKEN, endpoint=endpoint, key="key", now=1.0)
        assert view(statistics, 1.0).key_taken_for_others
    statistics.record(FCM, Verdict.BAD_TOKEN, endpoint="him", key="key", now=2.0)
    assert not view(statistics, 2.0).key_taken_for_others
    statistics.record(FCM, Verdict.ACCEPTED, endpoint="you", key="key", now=3.0)
    assert view(statistics, 3.0).key_taken_for_others, "taken again"


def test_an_endpoint_rests_alone() -> None:
    statistics = OriginStatistics()
    assert statistics.held_seconds("me", 0.0) == 0.0
    statistics.hold_endpoint("me", 60.0)
    assert statistics.held_seconds("me", 20.0) == 40.0
    assert statistics.held_seconds("you", 20.0) == 0.0
    assert statistics.held_seconds("me", 61.0) == 0.0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origin_statistics, "ORIGINS_MAX", 5)
    monkeypatch.setattr(origin_statistics, "RESTING_ENDPOINTS_MAX", 5)
    statistics = OriginStatistics()
    for number in range(20):
        statistics.hold_endpoint(number, 60.0)
    assert [statistics.held_seconds(number, 0.0) for number in (14, 15)] == [0.0, 60.0]
    for number in range(20):
        statistics.record(f"https://push{number}.example.net", Verdict.GONE, endpoint=1, key="key", now=0.0)
    assert len(statistics) <= 5
    for number in range(5000):
        statistics.record(FCM, Verdict.ACCEPTED, endpoint=number, key=number, now=number * 3600.0)
        statistics.record(FCM, Verdict.THROTTLED, endpoint=number, key=number, now=number * 3600.0)
        for refusing in range(5):
            statistics.record(FCM, Verdict.BAD_TOKEN, endpoint=refusing, key=number, now=number * 3600.0)
    kept = statistics._origins[FCM]
    assert (len(kept.minutes), len(kept.days), len(kept.throttled), len(kept.taken)) == (11, 15, 10, 64)
    assert (len(kept.refused), {len(refused) for refused in kept.refused.values()}) == (64, {3})
