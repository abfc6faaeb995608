"""The drivers by name. Each is imported when asked for: Firefox needs no Playwright, Chromium no ``websockets``."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from pushkeep.errors import InvalidInput
from pushkeep.testing.browser import Browser, BrowserMissing, LaunchOptions

NAMES = ("firefox", "chromium")


@contextlib.asynccontextmanager
async def launch(name: str, options: LaunchOptions | None = None) -> AsyncIterator[Browser]:
    """Start the browser called ``name``, hand it over, and close it whatever happens.

    Raises:
        InvalidInput: there is no driver of that name.
        BrowserMissing: the browser, or what its driver needs, is not installed.
        BrowserError: the browser does not start.
    """
    if name not in NAMES:
        raise InvalidInput(f"no driver for a browser called {name!r}; choose {' or '.join(NAMES)}", field="browser")
    try:
        if name == "firefox":
            from pushkeep.testing import firefox

            driver: contextlib.AbstractAsyncContextManager[Browser] = firefox.launch(options)
        else:
            from pushkeep.testing import chromium

            driver = chromium.launch(options)
    except ModuleNotFoundError as error:
        raise BrowserMissing(
            f"driving {name} needs the Python package {error.name}; install pushkeep[testing]"
        ) from error
    async with driver as browser:
        yield browser
