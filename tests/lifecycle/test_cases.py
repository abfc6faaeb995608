"""Single cases of what the histories cover by chance, and the proof that what they watch for would be found."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pushkeep.domain.project import KeyState
from pushkeep.domain.subscription import State
from tests.lifecycle.browsers import FILES, Browsers
from tests.lifecycle.world import Visitor, World

HOUR_SECONDS = 3_600.0
DAY_SECONDS = 86_400.0
SEEDS = range(4)
"""The order in which two tabs get their answers is chance."""


@contextlib.contextmanager
def one_visitor(browsers: Browsers, template: Path, tmp_path: Path, kind: str, seed: int = 1) -> Iterator[World]:
    """An installation with one visitor, who has subscribed in tab ``one``."""
    shutil.copyfile(template, tmp_path / "pushkeep.db")
    world = World.begin(browsers, tmp_path, seed=seed, kinds=(kind,))
    try:
        visitor = visitor_of(world)
        world.open(visitor, "one")
        assert world.call(visitor, "one", "subscribe").outcome == "done"
        visitor.wanted = True
        yield world
    finally:
        world.end()


def visitor_of(world: World) -> Visitor:
    (visitor,) = world.visitors.values()
    return visitor


def scopes(world: World) -> list[str]:
    """Where the visitor's browser has a subscription."""
    found = world.browsers.look(visitor_of(world).name)["subscriptions"]
    return sorted(one["scope"].rstrip("/")[-1] for one in found)


def living_states(world: World) -> list[State]:
    return [row.state for row in world.server.rows() if row.living]


@pytest.mark.parametrize(("kind", "held", "moved"), [("firefox", ["a", "b"], True), ("chromium", ["a"], False)])
def test_a_worker_alone_moves_where_it_reaches_the_other_scope(
    browsers: Browsers, template: Path, tmp_path: Path, kind: str, held: list[str], moved: bool
) -> None:
    """No page is open, and the second scope was never registered: Firefox's worker begins it, Chromium's leaves that to
    the next page. The world watches that nobody is lost meanwhile."""
    with one_visitor(browsers, template, tmp_path, kind) as world:
        visitor = visitor_of(world)
        world.rotate(leaked=False)
        world.close(visitor, "one")
        world.refresh(visitor, old=True, next=True)
        assert (scopes(world), visitor.reached) == (held, True)
        (row,) = [row for row in world.server.rows() if row.living]
        (active,) = [key for key in world.server.signing_keys() if key.state is KeyState.ACTIVE]
        assert (row.signing_key_id == active.id) is moved
        world.open(visitor, "one")
        assert scopes(world) == ["a", "b"]
        world.finish()


def test_a_worker_that_cannot_begin_the_other_scope_keeps_what_it_has(
    browsers: Browsers, template: Path, tmp_path: Path
) -> None:
    with one_visitor(browsers, template, tmp_path, "firefox") as world:
        visitor = visitor_of(world)
        world.rotate(leaked=False)
        world.close(visitor, "one")
        world.browsers.command("barren", profile=visitor.name, barren=True)
        world.refresh(visitor, old=True, next=True)
        assert scopes(world) == ["a"]
        assert visitor.reached
        world.browsers.command("barren", profile=visitor.name, barren=False)
        world.finish()


@pytest.mark.parametrize("kind", ["firefox", "chromium"])
def test_whoever_has_left_says_so_again_to_a_server_from_a_backup(
    browsers: Browsers, template: Path, tmp_path: Path, kind: str
) -> None:
    """The push service was away as well, so it goes on taking messages for nobody and nothing else would end it."""
    with one_visitor(browsers, template, tmp_path, kind) as world:
        visitor = visitor_of(world)
        world.server.copy_to(tmp_path / "backup.db")
        visitor.wanted, visitor.push = False, "down"
        assert world.call(visitor, "one", "unsubscribe").outcome == "done"
        visitor.push = "up"
        world.set_back(tmp_path / "backup.db")
        assert living_states(world) == [State.ACTIVE]
        world.close(visitor, "one")
        world.open(visitor, "one")
        assert living_states(world) == [State.ACTIVE], "not more than once a day"
        world.advance(DAY_SECONDS)
        asked = len(world.lines)
        world.close(visitor, "one")
        world.open(visitor, "one")
        assert [row.state for row in world.server.rows()] == [State.UNSUBSCRIBED]
        assert len(world.lines) == asked + 1
        world.advance(30 * DAY_SECONDS)
        asked = len(world.lines)
        world.close(visitor, "one")
        world.open(visitor, "one")
        assert len(world.lines) == asked, "not for ever"
        world.finish()


def taken_back_and_restored(browsers: Browsers, template: Path, directory: Path) -> None:
    """A visitor agrees, a backup is made, they take it back, and the backup is restored."""
    directory.mkdir()
    with one_visitor(browsers, template, directory, "chromium") as world:
        visitor = visitor_of(world)
        assert world.say(visitor, "one", given=True).outcome == "done"
        world.server.copy_to(directory / "backup.db")
        assert world.say(visitor, "one", given=False).outcome == "done"
        world.set_back(directory / "backup.db")
        (row,) = world.server.rows()
        assert world.server.agreed(row)
        world.finish()


def test_what_was_taken_back_stays_so_with_a_server_from_a_backup(
    browsers: Browsers, template: Path, tmp_path: Path
) -> None:
    taken_back_and_restored(browsers, template, tmp_path / "as it is")


def test_a_browser_that_does_not_say_it_again_is_found_out(template: Path, tmp_path: Path) -> None:
    code = "return forgotten ? { ...word, told: false } : [];"
    with (
        planted(tmp_path, "keeper.js", code, "return [];") as browsers,
        pytest.raises(AssertionError, match="known is True"),
    ):
        taken_back_and_restored(browsers, template, tmp_path / "planted")


@pytest.mark.parametrize("kind", ["firefox", "chromium"])
def test_what_is_said_while_the_server_is_away_is_told_by_whoever_reaches_it_first(
    browsers: Browsers, template: Path, tmp_path: Path, kind: str
) -> None:
    """Page or worker: Chromium has Background Sync, so no page is needed."""
    with one_visitor(browsers, template, tmp_path, kind) as world:
        visitor = visitor_of(world)
        visitor.server = "down"
        assert world.say(visitor, "one", given=True).outcome == "done"
        world.close(visitor, "one")
        visitor.server = "up"
        world.advance(HOUR_SECONDS)
        world.browsers.command("synchronise", profile=visitor.name)
        world.settle()
        (row,) = world.server.rows()
        assert world.server.agreed(row) is (True if kind == "chromium" else None)
        world.finish()
        (row,) = world.server.rows()
        assert world.server.agreed(row)


def two_tabs_at_once(browsers: Browsers, template: Path, directory: Path, seed: int) -> None:
    """A browser that has lost its subscription starts with two tabs of the site; each sees to it."""
    directory.mkdir()
    with one_visitor(browsers, template, directory, "chromium", seed) as world:
        visitor = visitor_of(world)
        world.close(visitor, "one")
        visitor.push = "down"
        for permission in ("denied", "granted"):
            world.permit(visitor, permission)
        world.crash(visitor)
        visitor.push = "up"
        world.advance(HOUR_SECONDS)
        assert scopes(world) == []
        for tab in ("one", "two"):
            world.begin_open(visitor, tab)
        world.settle()
        assert len(living_states(world)) == 1
        assert visitor.reached
        world.finish()


def test_two_tabs_at_once_make_one_subscription(browsers: Browsers, template: Path, tmp_path: Path) -> None:
    for seed in SEEDS:
        two_tabs_at_once(browsers, template, tmp_path / str(seed), seed)


def test_without_the_lock_two_tabs_at_once_are_found_out(template: Path, tmp_path: Path) -> None:
    """What is watched here bites: the very same with a lock that locks nothing."""
    with planted(tmp_path, "core.js", "if (!navigator.locks) return work();", "return work();") as browsers:
        assert any(fails(browsers, template, tmp_path / str(seed), seed) for seed in SEEDS)


@contextlib.contextmanager
def planted(directory: Path, name: str, code: str, fault: str) -> Iterator[Browsers]:
    """Browsers whose SDK has a fault in a file."""
    files = directory / "files"
    shutil.copytree(FILES, files)
    text = (files / name).read_text()
    assert text.count(code) == 1
    (files / name).write_text(text.replace(code, fault))
    browsers = Browsers.start(files)
    try:
        yield browsers
    finally:
        browsers.stop()


def fails(browsers: Browsers, template: Path, directory: Path, seed: int) -> bool:
    try:
        two_tabs_at_once(browsers, template, directory, seed)
    except AssertionError:
        return True
    return False
