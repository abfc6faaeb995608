"""Where a driven browser keeps its files: its profile, a home of its own, and what it writes for one run only."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from pushkeep.testing.browser import LaunchOptions
from pushkeep.testing.process import child_environment


class ProfileDirectory:
    """The directories of one browser.

    The profile outlives a restart, and the browser itself if the caller named a place for it. A temporary one is
    made at the first start and removed by :meth:`remove`.
    """

    def __init__(self, browser: str, options: LaunchOptions) -> None:
        self._prefix = f"pushkeep-{browser}-"
        self._options = options
        self._directory = options.profile
        self._scratch: Path | None = None

    @property
    def made(self) -> bool:
        """Whether there is a directory: :meth:`prepare` was called, or the caller named one."""
        return self._directory is not None

    @property
    def profile(self) -> Path:
        """The browser's own profile directory."""
        return self._root() / "profile"

    @property
    def home(self) -> Path:
        """Its home directory, so that nothing of the user's is read or written."""
        return self._root() / "home"

    def prepare(self) -> dict[str, str]:
        """Make what is missing for a start and return the environment to start the browser in."""
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix=self._prefix))
        self.profile.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(exist_ok=True)
        # Not below the profile: Chromium puts a socket there, whose path may have 107 characters.
        self._scratch = Path(tempfile.mkdtemp(prefix=self._prefix))
        return child_environment(
            self.home,
            visible=self._options.visible,
            dbus_address=self._options.dbus_address,
            scratch=self._scratch,
        )

    def end_run(self) -> None:
        """Remove what was for one run only; what a dying process still holds is left. May be called twice."""
        _remove(self._scratch)
        self._scratch = None

    def remove(self) -> None:
        """Remove a temporary profile; one the caller named is kept."""
        if self._options.profile is None:
            _remove(self._directory)
            self._directory = None

    def _root(self) -> Path:
        if self._directory is None:
            raise RuntimeError("prepare() comes first")
        return self._directory


def _remove(directory: Path | None) -> None:
    if directory is not None:
        shutil.rmtree(directory, ignore_errors=True)
