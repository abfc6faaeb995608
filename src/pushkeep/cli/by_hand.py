"""How to wire a browser to the local push service by hand: the same preferences and switches that the drivers use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pushkeep.pushservice import PushService


@dataclass(frozen=True, slots=True)
class ByHand:
    """What to type for each browser.

    Attributes:
        firefox_command: starts Firefox with a new profile.
        firefox_preferences: to be set in ``about:config`` of that profile, before subscribing.
        chromium_command: starts Chromium with a new profile, wired by switches alone.
    """

    firefox_command: str
    firefox_preferences: tuple[tuple[str, str], ...]
    chromium_command: str

    def lines(self) -> Iterable[str]:
        """Steps for people."""
        yield "Firefox: start it with a profile of its own,"
        yield f"  {self.firefox_command}"
        yield "open about:config in it, and set"
        for name, value in self.firefox_preferences:
            yield f"  {name} = {value}"
        yield ""
        yield "Chromium: start it with a profile of its own and these switches,"
        yield f"  {self.chromium_command}"


def by_hand(service: PushService, page: str) -> ByHand:
    """The steps for a running service; ``page`` is opened first."""
    switches = " \\\n    ".join(
        (
            "--user-data-dir=/tmp/pushkeep-chromium",
            f"--gcm-checkin-url={service.checkin_url}",
            f"--gcm-registration-url={service.registration_url}",
            f"--gcm-mcs-endpoint={service.mcs_url}",
            # Trusts this one key. Without it subscribing works and no message ever comes.
            f"--ignore-certificate-errors-spki-list={service.spki_sha256}",
            page,
        )
    )
    return ByHand(
        f"mkdir -p /tmp/pushkeep-firefox && firefox --no-remote --profile /tmp/pushkeep-firefox {page}",
        (
            ("dom.push.serverURL", service.autopush_url),
            ("dom.push.testing.allowInsecureServerURL", "true"),
            ("dom.push.connection.enabled", "true"),
        ),
        f"chromium {switches}",
    )
