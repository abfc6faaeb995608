"""``pushkeep pushservice``: the local push service."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from dataclasses import dataclass
from enum import Enum
from json import dumps as dump_json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pushkeep.cli.common import AsJson, example, print_json, read_file, run, say
from pushkeep.errors import InvalidInput
from pushkeep.protocol.signing_key import SigningKey

if TYPE_CHECKING:
    from pushkeep.pushservice import PushService
    from pushkeep.pushservice.sink import Sink
    from pushkeep.pushservice.synthetic import SyntheticSubscribers

_LINES_AT_ONCE = 1_000  # of a file with subscriptions, 0.1 s: then Ctrl-C is heard
Port = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="https port of the push resources; 0: any free one.")
]
AutopushPort = Annotated[
    int,
    typer.Option("--autopush-port", min=0, max=65535, help="Port for Firefox's socket and Chromium's registration."),
]
McsPort = Annotated[int, typer.Option("--mcs-port", min=0, max=65535, help="Port of Chromium's message connection.")]
StateDir = Annotated[
    Path | None,
    typer.Option("--state-dir", metavar="DIR", help="Keep certificates here, so that browsers go on trusting them."),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse also what some vendor or RFC forbids or a good sender avoids.")
]
StrictExcept = Annotated[
    list[str] | None,
    typer.Option(
        "--strict-except",
        metavar="RULE",
        help="A rule of docs/strict.md that --strict leaves out, such as token_refreshed; may be repeated.",
        show_default=False,
    ),
]
QuirkNames = Annotated[
    list[str] | None,
    typer.Option(
        "--quirk",
        metavar="QUIRK",
        help="What real services do only at times: ntfy, wns-http1-only, wns-status=200 or fcm-settling-seconds=3; "
        "may be repeated.",
        show_default=False,
    ),
]
Faults = Annotated[
    list[str] | None,
    typer.Option(
        "--fault",
        metavar="FAULT",
        help="Something that goes wrong, such as 'apple status=429 retry-after=10 times=3'; may be repeated. "
        "docs/pushservice.md has all the words.",
        show_default=False,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed", help="Makes the chances of faults and the synthetic subscribers' keys the same in each run."
    ),
]
Synthetic = Annotated[
    int,
    typer.Option(
        "--synthetic",
        min=0,
        max=10_000_000,
        help="Make so many subscriptions without a browser; needs --subscriptions-out.",
    ),
]
Vendor = Annotated[str, typer.Option("--vendor", help="Whose they are: mozilla, fcm, apple, wns or unifiedpush.")]
Key = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="FILE",
        help="The sender's VAPID private key (PEM), to which they are bound; only mozilla and unifiedpush do without.",
    ),
]
SubscriptionsOut = Annotated[
    Path | None,
    typer.Option(
        "--subscriptions-out", metavar="FILE", help="Write them here, the browser's JSON of one on each line."
    ),
]
IsSink = Annotated[
    bool, typer.Option("--sink", help="Take everything with 201 and keep nothing, as fast as can be: for benchmarks.")
]
JsonEvents = Annotated[
    bool, typer.Option("--json-events", help="Print the addresses, then every event, a JSON object on each line.")
]
ShowPayloads = Annotated[
    bool, typer.Option("--show-payloads", help="With --json-events: what synthetic subscribers got, decrypted.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=example(
            "pushkeep pushservice --port 8443 --state-dir ~/.cache/pushkeep-pushservice",
            "pushkeep pushservice --json-events --fault 'fcm status=503 chance=0.2' --seed 1",
        )
    )(pushservice)


def pushservice(
    host: Annotated[str, typer.Option(help="Where to listen. It is a test tool: keep it on loopback.")] = "127.0.0.1",
    port: Port = 0,
    autopush_port: AutopushPort = 0,
    mcs_port: McsPort = 0,
    state_dir: StateDir = None,
    strict: Strict = False,
    strict_except: StrictExcept = None,
    quirk: QuirkNames = None,
    fault: Faults = None,
    seed: Seed = None,
    synthetic: Synthetic = 0,
    vendor: Vendor = "mozilla",
    key: Key = None,
    subscriptions_out: SubscriptionsOut = None,
    sink: IsSink = False,
    json: AsJson = False,
    json_events: JsonEvents = False,
    show_payloads: ShowPayloads = False,
) -> None:
    """Run a push service on this machine, for stock Firefox and Chromium and for your tests.

    It checks and answers as the vendors' do. Ends cleanly on Ctrl-C and SIGTERM.
    """
    from pushkeep.pushservice import PushService, Quirks

    if bool(synthetic) != (subscriptions_out is not None):
        raise InvalidInput("--synthetic and --subscriptions-out go together.", field="synthetic")
    if synthetic and key is None and vendor in ("fcm", "apple", "wns"):
        raise InvalidInput(f"--synthetic for {vendor} needs --key: nobody there subscribes without one.", field="key")
    if key is not None and not synthetic:
        raise InvalidInput("--key goes with --synthetic.", field="key")
    if show_payloads and not (json_events and synthetic):
        raise InvalidInput("--show-payloads goes with --json-events and --synthetic.", field="show_payloads")
    crowd = None
    if subscriptions_out is not None:
        public = SigningKey.read(read_file(key, field="key")).public_bytes if key is not None else None
        crowd = Crowd(synthetic, vendor, public, subscriptions_out)
    service = PushService(
        host=host,
        port=port,
        autopush_port=autopush_port,
        mcs_port=mcs_port,
        state_dir=state_dir,
        strict=strict,
        strict_except=strict_except or (),
        quirks=Quirks.parse(quirk or ()),
        faults=fault or (),
        seed=seed,
        sink=sink,
    )
    output = Output.EVENTS if json_events else Output.ADDRESSES if json else Output.TEXT
    run(_serve(service, output, crowd, show_payloads=show_payloads))


class Output(Enum):
    """What is printed."""

    TEXT = "for people"
    ADDRESSES = "one line of JSON"
    EVENTS = "a line of JSON for every event too"


@dataclass(frozen=True, slots=True)
class Crowd:
    """The subscriptions to make: how many, whose, bound to which public key, and where they are written."""

    count: int
    vendor: str
    public_key: bytes | None
    file: Path


async def _serve(service: PushService, output: Output, crowd: Crowd | None, *, show_payloads: bool) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopped.set)
    async with service:
        # Written before the addresses are, so that who waits for these finds the file.
        crowds = [await _subscribe(service, crowd, stopped)] if crowd is not None else []
        if stopped.is_set():
            return
        if output is Output.EVENTS:
            await _report(service, stopped, crowds, show_payloads=show_payloads)
            return
        if output is Output.TEXT:
            _show(service)
        else:
            print_json(addresses(service))
        await stopped.wait()
        if service.sink is not None and output is Output.TEXT:
            say(f"{service.sink.requests} requests were taken.")
        elif service.sink is not None:
            print_json(_sunk(service.sink))


async def _report(
    service: PushService, stopped: asyncio.Event, crowds: list[SyntheticSubscribers], *, show_payloads: bool
) -> None:
    """Print addresses and events until ``stopped``, or until nobody reads them any more."""
    from pushkeep.pushservice.json_events import LineWriter, write_events

    loop = asyncio.get_running_loop()

    def stop() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended before
            loop.call_soon_threadsafe(stopped.set)

    lines = LineWriter(sys.stdout.fileno(), stop)
    lines.write(dump_json(addresses(service), ensure_ascii=False))
    write_events(service, lines.write, crowds=crowds, show_payloads=show_payloads)
    await stopped.wait()
    if service.sink is not None:
        lines.write(dump_json(_sunk(service.sink)))
    lines.close()


def _sunk(sink: Sink) -> dict[str, object]:
    return {"event": "sink", "requests": sink.requests}


async def _subscribe(service: PushService, crowd: Crowd, stopped: asyncio.Event) -> SyntheticSubscribers:
    made = await service.subscribe_many(crowd.count, crowd.public_key, vendor=crowd.vendor)
    try:
        with crowd.file.open("w") as file:
            for number, subscription in enumerate(made):
                file.write(subscription.to_json() + "\n")
                if number % _LINES_AT_ONCE == 0:
                    await asyncio.sleep(0)
                    if stopped.is_set():
                        break
    except OSError as error:
        raise InvalidInput(
            f"subscriptions_out: cannot write {crowd.file}: {error.strerror}.", field="subscriptions_out"
        ) from None
    return made


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
