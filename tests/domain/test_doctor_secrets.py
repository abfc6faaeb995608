import pytest

from pushkeep.domain.doctor.findings import Finding, Level
from pushkeep.domain.doctor.secrets import (
    KEY_DAYS_MAX,
    UNFINISHED_DAYS_MAX,
    AgedKey,
    ErasedStanding,
    Folder,
    LyingFile,
    age_findings,
    change_finding,
    erasure_findings,
    folder_findings,
)

DAY = 86_400.0
NOW = 2_000_000_000.0


def levels(found: list[Finding]) -> list[tuple[str, Level]]:
    return [(finding.check, finding.level) for finding in found]


@pytest.mark.parametrize(
    ("mode", "level"),
    [(0o700, Level.OK), (0o755, Level.OK), (0o770, Level.WARNING), (0o777, Level.PROBLEM), (0o1777, Level.PROBLEM)],
)
def test_who_may_put_files_beside_the_database(mode: int, level: Level) -> None:
    (finding,) = folder_findings(Folder("/srv/push", mode, "ext4"), "data directory")
    assert (finding.check, finding.level) == ("shared_folder", level)
    assert finding.remedy in ("", "Run: chmod go-w /srv/push")


def test_a_directory_that_is_not_there_is_left_out() -> None:
    assert not list(folder_findings(Folder("/nowhere", None), "data directory"))


@pytest.mark.parametrize(
    ("path", "file_system", "named"),
    [
        ("/mnt/share/push", "nfs4", "(nfs4)"),
        ("/home/me/Dropbox/push", "ext4", "(Dropbox)"),
        ("/Users/me/Library/Mobile Documents/push", None, "(Mobile Documents)"),
        ("/home/me/public_html/push", "ext4", "(public_html)"),
    ],
)
def test_places_from_which_others_get_the_database(path: str, file_system: str | None, named: str) -> None:
    _, finding = folder_findings(Folder(path, 0o700, file_system), "data directory")
    assert (finding.check, finding.level) == ("shared_folder", Level.PROBLEM)
    assert named in finding.title
    assert path in finding.seen


def test_a_folder_that_is_only_called_alike_is_fine() -> None:
    assert levels(list(folder_findings(Folder("/srv/not-a-Dropbox/x", 0o700), "data directory"))) == [
        ("shared_folder", Level.OK)
    ]


def test_files_that_others_can_read() -> None:
    files = (
        LyingFile("/srv/b/1.db", "a database", 0o600),
        LyingFile("/srv/b/2.db", "a database", 0o640),
        LyingFile("/srv/b/3.jsonl", "an export", 0o644),
        LyingFile("/srv/b/4.pem", "a private key", 0o602),
    )
    found = list(folder_findings(Folder("/srv/b", 0o700, files=files), "directory of backups"))[1:]
    assert levels(found) == [
        ("secret_files", Level.WARNING),
        ("secret_files", Level.PROBLEM),
        ("secret_files", Level.PROBLEM),
    ]
    assert found[1].title == "Everybody on this machine can get at an export"
    assert [finding.remedy for finding in found] == [
        f"Run: chmod 600 /srv/b/{name}" for name in ("2.db", "3.jsonl", "4.pem")
    ]


def test_a_directory_with_too_many_files_says_so() -> None:
    *_, last = folder_findings(Folder("/srv/b", 0o700, cut=True), "data directory")
    assert (last.check, last.level, "--backups" in last.remedy) == ("secret_files", Level.WARNING, True)


def test_an_old_key_is_to_be_changed() -> None:
    young = AgedKey("data key 01020304", NOW - KEY_DAYS_MAX * DAY, KEY_DAYS_MAX, "pushkeep secrets rotate-data")
    old = AgedKey("master key 05060708", NOW - (KEY_DAYS_MAX + 1) * DAY, KEY_DAYS_MAX, "pushkeep secrets rotate-master")
    found = list(age_findings([young, old], now=NOW))
    assert levels(found) == [("key_age", Level.OK), ("key_age", Level.WARNING)]
    assert "731 days" in found[1].seen
    assert found[1].remedy.endswith("pushkeep secrets rotate-master")


@pytest.mark.parametrize(("days", "told"), [(UNFINISHED_DAYS_MAX, False), (UNFINISHED_DAYS_MAX + 1, True)])
def test_a_change_that_stands_still_is_told_and_one_under_way_is_not(days: int, told: bool) -> None:
    key = AgedKey("data key 01", 0.0, 730, "rotate", NOW - days * DAY, "pushkeep secrets reseal")
    found = list(age_findings([key], now=NOW))
    assert [finding.remedy for finding in found] == (["Run: pushkeep secrets reseal"] if told else [])


def test_a_master_key_that_is_being_changed() -> None:
    finding = change_finding("01020304", "05060708")
    assert (finding.level, "--finish" in finding.remedy) == (Level.WARNING, True)


@pytest.mark.parametrize(
    ("standing", "level", "title"),
    [
        (ErasedStanding("e.jsonl", 0, 0), Level.OK, "List of who was erased"),
        (ErasedStanding("e.jsonl", 7, 7), Level.OK, "List of who was erased"),
        (ErasedStanding("e.jsonl", 9, 7), Level.OK, "List of who was erased"),
        (ErasedStanding("e.jsonl", 0, 7), Level.PROBLEM, "The list of who was erased is missing"),
        (ErasedStanding("e.jsonl", 6, 7), Level.PROBLEM, "The list of who was erased is short"),
        (ErasedStanding("e.jsonl", 7, 7, missing=2), Level.PROBLEM, "The list of who was erased has holes"),
        (ErasedStanding("e.jsonl", 7, 7, damaged=1), Level.PROBLEM, "The list of who was erased has holes"),
    ],
)
def test_the_list_of_who_was_erased(standing: ErasedStanding, level: Level, title: str) -> None:
    (finding,) = erasure_findings(standing)
    assert (finding.check, finding.level, finding.title) == ("erasure_list", level, title)
