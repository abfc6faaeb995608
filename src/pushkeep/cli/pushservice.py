"""``pushkeep pushservice``: the local push service."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pushkeep.cli.common import AsJson, example, print_json, run, say

if TYPE_CHECKING:
    from pushkeep.pushservice import PushService


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("pushkeep pushservice --port 8443 --state-dir ~/.cache/pushkeep-pushservice"))(
        pushservice
    )


def pushservice(
    host: Annotated[str, typer.Option(help="Where to listen. It is a test tool: keep it on loopback.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="https port of the push resources; 0 takes a free one.")
    ] = 0,
    autopush_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port for Firefox's socket and Chromium's registration.")
    ] = 0,
    mcs_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of Chromium's message connection.")] = 0,
    state_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep certificates here, so that browsers go on trusting them.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Run a push service on this machine, for stock Firefox and Chromium and for your tests.

    It checks and answers as Mozilla's and Google's do. Ends cleanly on Ctrl-C and SIGTERM.
    """
    from pushkeep.pushservice import PushService

    service = PushService(host=host, port=port, autopush_port=autopush_port, mcs_port=mcs_port, state_dir=state_dir)
    run(_serve(service, json))


async def _serve(service: PushService, json: bool) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopped.set)
    async with service:
        if json:
            print_json(addresses(service))
        else:
            _show(service)
        await stopped.wait()


def addresses(service: PushService) -> dict[str, object]:
    """Where the service listens, for programs."""
    return {
        "url": service.url,
        "autopush_url": service.autopush_url,
        "checkin_url": service.checkin_url,
        "registration_url": service.registration_url,
        "mcs_url": service.mcs_url,
        "ca_file": str(service.ca_file),
        "admin_url": service.admin_url,
        "admin_token": service.admin_token,
        "origin_map": service.origin_map_entries(),
    }


def _show(service: PushService) -> None:
    from pushkeep.cli.by_hand import by_hand

    say(f"The local push service runs at {service.url} (certificate authority: {service.ca_file}).", "bold")
    say("")
    for line in by_hand(service, "http://localhost:8200").lines():
        say(line)
    say("")
    say("Senders reach it through the origin map:")
    for entry in service.origin_map_entries():
        say(f"  --map-origin {entry}")
    say("")
    say(f"Admin: {service.admin_url} with the header Authorization: Bearer {service.admin_token}")
    say("Stop with Ctrl-C.")
