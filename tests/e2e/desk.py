"""A visitor's desk: one stock browser, wired to the local push service, with a desktop for its notifications."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from pushkeep.pushservice import PushService
from pushkeep.testing import browsers
from pushkeep.testing.browser import Browser, LaunchOptions
from pushkeep.testing.notifications import NotificationDaemon, notification_daemon


@dataclass(frozen=True, slots=True)
class Desk:
    browser: Browser
    notifications: NotificationDaemon
    service: PushService


@contextlib.asynccontextmanager
async def desk_for(name: str, service: PushService, *, profile: Path | None = None) -> AsyncIterator[Desk]:
    async with notification_daemon() as notifications:
        options = LaunchOptions(push_service=service, profile=profile, dbus_address=notifications.address)
        async with browsers.launch(name, options) as browser:
            yield Desk(browser, notifications, service)
