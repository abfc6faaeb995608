"""The page on health has the code's own numbers, and names signs, commands, routes and settings that there are."""

from __future__ import annotations

import re
from pathlib import Path

from pushkeep.app.chores import AFTER_SEND_SECONDS_MIN, LOOK_SECONDS
from pushkeep.app.desk import LEASE_SECONDS
from pushkeep.app.sweep import MOVED_ROWS_MAX, SURVEY_ROWS_MAX
from pushkeep.config.table import SETTINGS, default_of
from pushkeep.domain.health import UNRENEWED_DAYS, UNSHOWN_DAYS, Sign, score_reference
from pushkeep.domain.inactivity import inactivity_reference
from pushkeep.domain.quarantine import PROBE_DISTANCES_DAYS
from pushkeep.domain.sweep import BREAKER_COUNT, BREAKER_SHARE
from pushkeep.web.openapi_operations import OPERATIONS

PAGE = (Path(__file__).parents[2] / "docs" / "health.md").read_text()


def test_the_tables_are_those_of_the_code() -> None:
    assert score_reference() in PAGE
    assert inactivity_reference() in PAGE
    assert [sign for sign in Sign if f"| `{sign.value}` | " not in PAGE] == []


def test_the_numbers_are_those_of_the_code() -> None:
    first, second, third = PROBE_DISTANCES_DAYS
    for words in (
        f"after {first} day, then {second}, then {third}",
        f"more than {BREAKER_SHARE:.0%} of".replace("%", " %"),
        f"more than\n{BREAKER_COUNT}, it does nothing",
        f"has not come for {UNRENEWED_DAYS} days",
        f"has shown none for {UNSHOWN_DAYS} days",
        f"pages of {SURVEY_ROWS_MAX:,}",
    ):
        assert words in PAGE, words
    assert (MOVED_ROWS_MAX, LOOK_SECONDS, AFTER_SEND_SECONDS_MIN, LEASE_SECONDS) == (100, 30.0, 300.0, 120.0)
    assert default_of("sweep_schedule") == "23 4 * * 1"


def test_settings_and_routes_of_the_page_exist() -> None:
    named = set(re.findall(r"`((?:sweep|tombstone|expire)_\w+)`", PAGE)) - {"sweep_held_back"}
    assert named == {"sweep_schedule", "tombstone_days", "expire_unseen_days"}
    assert named <= set(SETTINGS)
    routes = {(operation.method, re.sub(r"\{\w+\}", "ID", operation.path)) for operation in OPERATIONS}
    for method, path in re.findall(r"`(GET|POST) (/v1/\S+)`", PAGE):
        assert (method, path) in routes
