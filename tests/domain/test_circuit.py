import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.domain import circuit as circuit_module
from pushkeep.domain.circuit import (
    COOL_DOWN_SECONDS,
    COOL_DOWN_SECONDS_MAX,
    PROBE_SECONDS_MAX,
    TRANSITIONS,
    Circuit,
    CircuitEvent,
    Circuits,
    CircuitState,
    Permission,
    cool_down_seconds,
)
from pushkeep.protocol.verdict import Verdict

ORIGIN = "https://web.push.apple.com"


def opened(now: float = 0.0) -> Circuits:
    circuits = Circuits()
    circuits.tell("key", ORIGIN, Verdict.BAD_TOKEN, now)
    return circuits


def test_the_table_has_every_move_but_the_cooling_of_a_closed_circuit() -> None:
    every = {(state, event) for state in CircuitState for event in CircuitEvent}
    assert every - set(TRANSITIONS) == {(CircuitState.CLOSED, CircuitEvent.COOLED)}
    with pytest.raises(KeyError):
        Circuit().after(CircuitEvent.COOLED, 0.0)


def test_a_closed_circuit_lets_everything_through_and_takes_no_memory() -> None:
    circuits = Circuits()
    for verdict in Verdict:
        if verdict is not Verdict.BAD_TOKEN:
            circuits.tell("key", ORIGIN, verdict, 0.0)
    assert circuits.ask("key", ORIGIN, 0.0) == Permission(True)
    assert len(circuits) == 0


def test_one_refused_token_opens_it_for_that_key_and_origin_alone() -> None:
    circuits = opened()
    assert circuits.ask("key", ORIGIN, 20.0) == Permission(False, wait_seconds=40.0)
    assert circuits.ask("other key", ORIGIN, 20.0).granted
    assert circuits.ask("key", "https://fcm.googleapis.com", 20.0).granted


def test_after_the_cool_down_one_probe_goes_and_no_more() -> None:
    circuits = opened()
    assert circuits.ask("key", ORIGIN, 60.0) == Permission(True, probe=True)
    assert circuits.ask("key", ORIGIN, 60.0) == Permission(False, wait_seconds=PROBE_SECONDS_MAX)


def test_a_probe_that_is_taken_closes_it() -> None:
    circuits = opened()
    circuits.ask("key", ORIGIN, 60.0)
    circuits.tell("key", ORIGIN, Verdict.ACCEPTED, 61.0, probe=True)
    assert circuits.ask("key", ORIGIN, 61.0) == Permission(True)
    assert len(circuits) == 0


def test_a_probe_that_is_refused_doubles_the_cool_down_up_to_an_hour() -> None:
    circuits, now, waits = opened(), 0.0, []
    for _ in range(9):
        wait = circuits.ask("key", ORIGIN, now).wait_seconds
        waits.append(wait)
        now += wait
        assert circuits.ask("key", ORIGIN, now).probe
        circuits.tell("key", ORIGIN, Verdict.BAD_TOKEN, now, probe=True)
    assert waits == [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0, 3600.0]


@pytest.mark.parametrize("verdict", [Verdict.TRANSIENT, Verdict.THROTTLED, Verdict.GONE, None])
def test_a_probe_that_says_nothing_about_the_token_rests_the_same_time_again(verdict: Verdict | None) -> None:
    circuits = opened()
    circuits.ask("key", ORIGIN, 60.0)
    circuits.tell("key", ORIGIN, verdict, 61.0, probe=True)
    assert circuits.ask("key", ORIGIN, 61.0) == Permission(False, wait_seconds=COOL_DOWN_SECONDS)


def test_a_probe_that_never_came_back_is_followed_by_another() -> None:
    circuits = opened()
    circuits.ask("key", ORIGIN, 60.0)
    assert circuits.ask("key", ORIGIN, 60.0 + PROBE_SECONDS_MAX) == Permission(True, probe=True)


def test_refusals_of_what_was_under_way_do_not_lengthen_the_cool_down() -> None:
    circuits = opened()
    for _ in range(100):
        circuits.tell("key", ORIGIN, Verdict.BAD_TOKEN, 1.0)
    assert circuits.ask("key", ORIGIN, 1.0).wait_seconds == 59.0


def test_an_acceptance_of_what_was_under_way_closes_it() -> None:
    circuits = opened()
    circuits.tell("key", ORIGIN, Verdict.ACCEPTED, 1.0)
    assert circuits.ask("key", ORIGIN, 1.0) == Permission(True)


def test_it_remembers_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit_module, "CIRCUITS_MAX", 3)
    circuits = Circuits()
    for number in range(5):
        circuits.tell(number, ORIGIN, Verdict.BAD_TOKEN, 0.0)
    assert len(circuits) == 3
    assert circuits.ask(0, ORIGIN, 0.0).granted
    assert not circuits.ask(4, ORIGIN, 0.0).granted


@given(st.integers(0, 10_000))
def test_a_cool_down_is_never_longer_than_an_hour(refusals: int) -> None:
    assert COOL_DOWN_SECONDS <= cool_down_seconds(refusals) <= COOL_DOWN_SECONDS_MAX


@given(st.lists(st.tuples(st.sampled_from(sorted(Verdict)), st.floats(0, 200)), max_size=60))
def test_between_two_refusals_of_a_probe_at_most_one_message_goes(steps: list[tuple[Verdict, float]]) -> None:
    circuits, now = opened(), 0.0
    for verdict, seconds in steps:
        now += seconds
        state = circuits.get("key", ORIGIN).state
        permission = circuits.ask("key", ORIGIN, now)
        assert permission.probe == (permission.granted and state is not CircuitState.CLOSED)
        if permission.probe:
            assert not circuits.ask("key", ORIGIN, now).granted
        if permission.granted:
            circuits.tell("key", ORIGIN, verdict, now, probe=permission.probe)
            closed = circuits.get("key", ORIGIN).state is CircuitState.CLOSED
            assert closed == (
                verdict is Verdict.ACCEPTED or (not permission.probe and verdict is not Verdict.BAD_TOKEN)
            )


def test_circuits_are_taken_over_from_other_processes_as_they_are() -> None:
    circuits = Circuits()
    opened = Circuit(CircuitState.OPEN, 2, 500.0)
    circuits.put("key", "https://push.example.org", opened)
    assert circuits.get("key", "https://push.example.org") == opened
    assert circuits.not_closed() == {("key", "https://push.example.org"): opened}
    assert not circuits.ask("key", "https://push.example.org", 499.0).granted
    circuits.put("key", "https://push.example.org", Circuit())
    assert circuits.not_closed() == {}
    assert len(circuits) == 0
