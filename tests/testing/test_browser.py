"""What the drivers share: launch options, waiting, and a clear word when a browser is not there."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from pushkeep.errors import InvalidInput
from pushkeep.testing import browsers, chromium, firefox
from pushkeep.testing.browser import BrowserError, LaunchOptions, find_executable, poll


class Addresses:
    autopush_url = "ws://127.0.0.1:1/"
    checkin_url = "http://127.0.0.1:1/checkin"
    registration_url = "http://127.0.0.1:1/register"
    mcs_url = "https://localhost:2"
    ca_file = Path("/nonexistent/ca.pem")


async def test_an_unknown_browser_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'netscape'; choose firefox or chromium"):
        async with browsers.launch("netscape"):
            pass


@pytest.mark.parametrize("name", browsers.NAMES)
async def test_a_browser_that_is_not_there_is_named_with_its_package(name: str) -> None:
    with pytest.raises(BrowserError, match="no browser at /nonexistent; install the package"):
        async with browsers.launch(name, LaunchOptions(executable=Path("/nonexistent"))):
            pass
    with pytest.raises(BrowserError, match="install the Debian package chromium"):
        find_executable(None, ("no-such-browser",), package="chromium")


async def test_a_program_that_is_no_browser_is_reported_with_its_words(tmp_path: Path) -> None:
    program = tmp_path / "browser"
    program.write_text("#!/bin/sh\necho I am a shell script\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(BrowserError, match=r"Firefox did not start: .*I am a shell script"):
        async with firefox.launch(LaunchOptions(executable=program)):
            pass
    with pytest.raises(BrowserError, match="Chromium did not start"):
        async with chromium.launch(LaunchOptions(executable=program)):
            pass


async def test_the_lock_of_a_run_long_ago_does_not_end_who_has_its_number_now(tmp_path: Path) -> None:
    program = tmp_path / "browser"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    (tmp_path / "kept" / "profile").mkdir(parents=True)
    stranger = await asyncio.create_subprocess_exec("sleep", "300", start_new_session=True)
    try:
        (tmp_path / "kept" / "profile" / "SingletonLock").symlink_to(f"this-machine-{stranger.pid}")
        with pytest.raises(BrowserError, match="Chromium did not start"):
            async with chromium.launch(LaunchOptions(executable=program, profile=tmp_path / "kept")):
                pass
        assert Path(f"/proc/{stranger.pid}/stat").read_text().split()[2] == "S"
    finally:
        with contextlib.suppress(ProcessLookupError):
            stranger.kill()
        await stranger.wait()


async def test_a_profile_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="is not a directory"):
        async with firefox.launch(LaunchOptions(profile=tmp_path / "file")):
            pass


async def test_an_action_before_the_start_says_so() -> None:
    with pytest.raises(BrowserError, match="not running"):
        await firefox.Firefox(LaunchOptions()).tabs()
    with pytest.raises(BrowserError, match="not running"):
        await chromium.Chromium(LaunchOptions()).tabs()


def test_both_browsers_are_told_where_the_push_service_is() -> None:
    options = LaunchOptions(push_service=Addresses())
    prefs = firefox.preferences(options)
    assert prefs["dom.push.serverURL"] == Addresses.autopush_url
    assert prefs["dom.push.connection.enabled"] is True
    assert {
        f"--gcm-checkin-url={Addresses.checkin_url}",
        f"--gcm-registration-url={Addresses.registration_url}",
        f"--gcm-mcs-endpoint={Addresses.mcs_url}",
    } <= set(chromium.switches(options))


def test_no_browser_looks_anything_up_outside() -> None:
    assert firefox.preferences(LaunchOptions())["network.dns.disabled"] is True
    assert any("MAP * ~NOTFOUND" in switch for switch in chromium.switches(LaunchOptions()))


def test_preferences_are_written_as_firefox_reads_them(tmp_path: Path) -> None:
    firefox.write_preferences(tmp_path, {"a.b": True, "c": 3, "d": 'quo"te'})
    assert (tmp_path / "user.js").read_text().splitlines() == [
        'user_pref("a.b", true);',
        'user_pref("c", 3);',
        'user_pref("d", "quo\\"te");',
    ]


async def test_polling_goes_on_through_failures_and_tells_the_last_one() -> None:
    seen = iter([0, BrowserError("not yet"), 7])

    async def attempt() -> int:
        value = next(seen)
        if isinstance(value, BrowserError):
            raise value
        return value

    assert await poll(attempt, timeout_seconds=20, waiting_for="seven") == 7

    async def never() -> int:
        raise BrowserError("still loading")

    with pytest.raises(BrowserError, match="in vain for the page; last seen: still loading"):
        await poll(never, timeout_seconds=0.1, waiting_for="the page")
