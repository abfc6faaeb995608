import pytest

from pushkeep.domain.doctor.findings import Finding, Level, ok, problem, warning, worst


def test_the_worst_level_counts() -> None:
    fine, doubtful, bad = ok("a", "A", "seen"), warning("b", "B", "seen", "do"), problem("c", "C", "seen", "do")
    assert worst([]) is Level.OK
    assert worst([fine]) is Level.OK
    assert worst([fine, doubtful]) is Level.WARNING
    assert worst([bad, doubtful, fine]) is Level.PROBLEM


def test_whatever_is_not_ok_has_a_remedy_and_nothing_else_has() -> None:
    with pytest.raises(ValueError, match="remedy"):
        Finding("a", Level.WARNING, "A", "seen")
    with pytest.raises(ValueError, match="remedy"):
        Finding("a", Level.OK, "A", "seen", "do")


def test_a_finding_is_a_json_object() -> None:
    assert ok("a", "A", "seen").to_dict() == {
        "check": "a",
        "level": "ok",
        "title": "A",
        "seen": "seen",
        "remedy": None,
    }
