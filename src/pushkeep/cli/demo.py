"""``pushkeep demo``: one command from nothing to a notification."""

from __future__ import annotations

import asyncio
import dataclasses
import json as json_module
import os
import shlex
import shutil
import socket
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pushkeep.cli.common import DataDir, complain, example, load, run, say
from pushkeep.errors import ConfigurationError, InvalidInput, PushkeepError

if TYPE_CHECKING:
    from pushkeep.compose import Serving
    from pushkeep.config import Settings
    from pushkeep.pushservice import PushService
    from pushkeep.web.demo_page import DemoPage

DEMO_CONTACT = "mailto:demo@example.com"
"""Only for trying it out on localhost; ``serve`` asks for a real one."""

OFFLINE_PORTS = (8201, 8202, 8203)
"""Where the local push service listens if nobody else does, so that a browser wired by hand stays wired."""

API_KEY_FILE_NAME = "api-key"

_SETTINGS_HEAD = "# Written by `pushkeep demo` at each start.\n"
"""By this line a settings file is known to be the demo's own."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("pushkeep demo", "pushkeep demo --offline --browser firefox"))(demo)


def demo(
    offline: Annotated[
        bool, typer.Option("--offline", help="Run the local push service too: no internet needed.")
    ] = False,
    browser: Annotated[
        str | None,
        typer.Option(
            metavar="firefox|chromium",
            help="Open this browser wired to the local push service; without a display it is driven through the round "
            "trip, and you see what it shows. Needs --offline.",
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Stop after the driven round trip. Needs --browser.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where the page is served; 0 takes a free port.")] = 8200,
    contact: Annotated[str | None, typer.Option(help="mailto: or https: contact for push services.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Serve a page that subscribes your browser and shows how to send to it.

    Data goes to a directory of its own (demo or demo-offline below the usual one).
    """
    if browser is not None and browser not in ("firefox", "chromium"):
        raise InvalidInput("--browser must be firefox or chromium.", field="browser")
    if browser is not None and not offline:
        raise InvalidInput(
            "--browser opens a browser wired to the local push service: add --offline. To use your own browser, open "
            "the page in it.",
            field="browser",
        )
    if once and browser is None:
        raise InvalidInput("--once ends after the driven round trip: name a --browser.", field="once")
    directory = data_dir or load(None).data_dir / ("demo-offline" if offline else "demo")
    run(_Demo(directory, port, contact, browser, once).run(offline))


class _Demo:
    """One run of the demo."""

    def __init__(self, directory: Path, port: int, contact: str | None, browser: str | None, once: bool) -> None:
        self._directory = directory.expanduser().resolve()
        self._port = port
        self._contact = contact
        self._browser = browser
        self._once = once

    async def run(self, offline: bool) -> None:
        """Serve until stopped."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"cannot make the directory {self._directory}: {error.strerror}; name another with --data-dir.",
                field="data_dir",
            ) from None
        async with AsyncExitStack() as stack:
            service = await stack.enter_async_context(_push_service(self._directory)) if offline else None
            _write_settings(self._directory, service.origin_map_entries() if service else [])
            await self._serve(self._settings(), service)

    def _settings(self) -> Settings:
        settings = load(self._directory, port=self._port, contact=self._contact, workers=0)  # one process is enough
        return settings if settings.contact else dataclasses.replace(settings, contact=DEMO_CONTACT)

    async def _serve(self, settings: Settings, service: PushService | None) -> None:
        from pushkeep.compose import serve
        from pushkeep.web.demo_page import declare_demo_purpose
        from pushkeep.web.logs import configure_logging

        configure_logging(settings.log_format, "warning")
        ready: asyncio.Future[Serving] = asyncio.get_running_loop().create_future()
        server = asyncio.create_task(
            serve(settings, demo=self._page(service is not None), on_ready=ready.set_result), name="demo server"
        )
        waited: set[asyncio.Future[object]] = {server, ready}  # type: ignore[arg-type]  # only waited for
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            await server  # it could not start, and says why
            return
        serving = ready.result()
        try:
            await declare_demo_purpose(serving.services, serving.project)
            await _ensure_api_key(serving, self._directory / API_KEY_FILE_NAME)
            self._announce(serving, service)
            if service is not None and self._browser is not None:
                await self._show(serving, service, server)
        finally:
            if self._once or sys.exc_info()[0] is not None:
                serving.stop()
            await server

    def _page(self, offline: bool) -> DemoPage:
        from pushkeep.web.demo_page import DemoPage

        return DemoPage(
            pushkeep_command=own_command(),
            api_key_file=str(self._directory / API_KEY_FILE_NAME),
            data_dir_flag=f"--data-dir {shlex.quote(str(self._directory))}",
            offline=offline,
        )

    def _announce(self, serving: Serving, service: PushService | None) -> None:
        url = serving.settings.public_url.url
        say(f"Open {url} and press Subscribe. Stop with Ctrl-C.", "bold")
        say(f"API key for curl and Python: {self._directory / API_KEY_FILE_NAME}")
        if service is None or self._browser is not None:
            return
        from pushkeep.cli.by_hand import by_hand

        say("")
        say("The local push service runs beside it. Wire a browser to it by hand (docs/by-hand.md), or let")
        say(f"`{own_command()} demo --offline --browser firefox` (or chromium) do it:")
        for line in by_hand(service, url).lines():
            say(line)

    async def _show(self, serving: Serving, service: PushService, server: asyncio.Task[None]) -> None:
        """Open the browser: for the visitor where there is a display, else driven."""
        from pushkeep.cli.rehearsal import rehearse, show_window

        assert self._browser is not None
        visible = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
        work = (
            show_window(self._browser, serving, service, server)
            if visible and not self._once
            else rehearse(self._browser, serving, service, self._directory / f"demo-{self._browser}.png")
        )
        browsing = asyncio.create_task(work, name="demo browser")
        await asyncio.wait({server, browsing}, return_when=asyncio.FIRST_COMPLETED)
        if not browsing.done():  # stopped while the browser was still busy
            browsing.cancel()
            with suppress(asyncio.CancelledError):
                await browsing
            return
        try:
            browsing.result()
        except PushkeepError as error:
            if self._once:
                raise
            complain(f"{error.message} The page is still served; stop with Ctrl-C.")


def _push_service(directory: Path) -> PushService:
    """The local push service on its usual ports, or on free ones where those are taken."""
    from pushkeep.pushservice import PushService

    ports = OFFLINE_PORTS if all(_is_free(port) for port in OFFLINE_PORTS) else (0, 0, 0)
    return PushService(port=ports[0], autopush_port=ports[1], mcs_port=ports[2], state_dir=directory / "pushservice")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _write_settings(directory: Path, origin_map: list[str]) -> None:
    """Leave the origin map where ``pushkeep send --data-dir`` finds it, but never in place of an operator's file."""
    # A JSON list of strings is a TOML array too.
    text = f"{_SETTINGS_HEAD}origin_map = {json_module.dumps(origin_map)}\n"
    path = directory / "pushkeep.toml"
    try:
        if path.exists() and not path.read_bytes().startswith(_SETTINGS_HEAD.encode()):
            raise ConfigurationError(
                f"{path} was not written by the demo and is not overwritten; give the demo a directory of its own "
                "with --data-dir.",
                field="data_dir",
            )
        path.write_text(text)
        path.chmod(0o600)
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}.", field="data_dir") from None


async def _ensure_api_key(serving: Serving, path: Path) -> None:
    """A working API key in a file of mode 0600: the one already there, or a new one."""
    from pushkeep.app.projects import authenticate, create_api_key

    with suppress(PushkeepError):
        await authenticate(serving.services, _read_api_key(path))
        return
    _write_api_key(path, await create_api_key(serving.services, serving.project, "demo page"))


def _read_api_key(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _write_api_key(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")


def own_command() -> str:
    """How to call this program from a shell: its name where that finds it, else its path."""
    program = Path(sys.argv[0]).resolve()
    found = shutil.which("pushkeep")
    if found is not None and Path(found).resolve() == program:
        return "pushkeep"
    if program.name == "pushkeep":
        return shlex.quote(str(program))
    return f"{shlex.quote(sys.executable)} -m pushkeep"
