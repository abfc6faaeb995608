"""``pushkeep doctor``: what keeps messages from arriving, and what an answer means."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from pushkeep.cli.common import (
    AsJson,
    DataDir,
    Exit,
    MapOrigin,
    example,
    load,
    missing_package,
    out,
    print_json,
    run,
    stop,
)
from pushkeep.cli.explain import explain
from pushkeep.domain.doctor.findings import Finding, Level, ok, problem, warning, worst
from pushkeep.domain.doctor.services import DEFAULT_SERVICES, FORBIDDEN_ADDRESSES
from pushkeep.domain.origin_map import OriginMap
from pushkeep.errors import ConfigurationError, InvalidInput, PushkeepError

if TYPE_CHECKING:
    from pushkeep.app.doctor import Site
    from pushkeep.config import Settings
    from pushkeep.domain.project import Project
    from pushkeep.ports import Store

app = typer.Typer(rich_markup_mode="rich")
app.command(
    "explain",
    epilog=example(
        """pushkeep doctor explain --status 403 --body '{"reason":"BadJwtToken"}'""",
        "pushkeep doctor explain --service apple   # works on Chrome, silent on iPhone, and no answer at hand",
    ),
)(explain)

WORKER_DEFAULT = "/pushkeep/worker.js"
SCOPE_DEFAULT = "/pushkeep/a/"
"""Where the SDK has them; see docs/sdk.md."""

SHOWN_CHARACTERS_MAX = 1000
"""The longest sentence of our own has 300; a policy in a header may have any length."""

_MARKS = {Level.OK: ("✓", "green"), Level.WARNING: ("!", "yellow"), Level.PROBLEM: ("✗", "red")}
_EXAMPLE = example(
    "pushkeep doctor",
    "pushkeep doctor --key vapid.pem --contact mailto:you@your-domain.org",
    "pushkeep doctor --site https://shop.example.com",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options ask for."""

    contact: str | None
    key: Path | None
    public: str | None
    site: Site | None
    services: list[str] | None
    offline: bool
    backups: list[Path]


@app.callback(invoke_without_command=True, epilog=_EXAMPLE)
def doctor(
    context: typer.Context,
    contact: Annotated[
        str | None, typer.Option("--contact", help="Check this contact instead of the server's.", show_default=False)
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="Check this signing key's file.", show_default=False)
    ] = None,
    public: Annotated[
        str | None,
        typer.Option("--public", metavar="KEY", help="The public key your page uses; must be --key's."),
    ] = None,
    site: Annotated[
        str | None,
        typer.Option(
            "--site", metavar="URL", help="Check a site, directly and through no proxy: worker, headers, manifest."
        ),
    ] = None,
    worker: Annotated[str, typer.Option("--worker", metavar="PATH", help="The site's worker script.")] = WORKER_DEFAULT,
    scope: Annotated[str, typer.Option("--scope", metavar="PATH", help="The worker's scope.")] = SCOPE_DEFAULT,
    backups: Annotated[
        list[Path] | None,
        typer.Option(
            "--backups",
            exists=True,
            file_okay=False,
            metavar="DIR",
            help="Look for open backups here too, may be repeated. [default: the data directory]",
            show_default=False,
        ),
    ] = None,
    service: Annotated[
        list[str] | None,
        typer.Option(
            "--service",
            metavar="ORIGIN",
            help="Push service to try, may be repeated. [default: Google, Mozilla, Apple, Microsoft]",
            show_default=False,
        ),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Leave out everything that needs the network.")] = False,
    map_origin: MapOrigin = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Look for what keeps messages from arriving: contact, keys, clock, network, and with --site a site.

    Nothing is changed and nothing is sent to a subscriber. `pushkeep doctor explain` explains a push service's answer.

    Exit status: 0 all is well or there are only warnings, 1 there is a problem, 2 usage.
    """
    if context.invoked_subcommand is not None:
        return
    from pushkeep.app.doctor import Site

    found = run(
        _examine(
            Wanted(contact, key, public, Site(site, worker, scope) if site else None, service, offline, backups or []),
            map_origin,
            data_dir,
        )
    )
    level = worst(found)
    if json:
        print_json({"level": level.value, "findings": [finding.to_dict() for finding in found]})
    else:
        _print(found)
    stop(Exit.FAILED if level is Level.PROBLEM else Exit.DONE)


async def _examine(wanted: Wanted, map_origin: list[str] | None, data_dir: Path | None) -> list[Finding]:
    if wanted.public is not None and wanted.key is None:
        raise InvalidInput("--public needs --key: it is compared with that key pair.", field="public")
    if wanted.site is not None and wanted.offline:
        raise InvalidInput("--site needs the network; leave out --offline.", field="site")
    from pushkeep.adapters.clock import SystemClock
    from pushkeep.adapters.http2 import CurlTransport
    from pushkeep.adapters.surroundings import SystemSurroundings
    from pushkeep.app.doctor import examine_guard, examine_proxy, examine_services, examine_site

    found: list[Finding] = []
    settings: Settings | None = None
    try:
        settings = load(data_dir, origin_map=map_origin or None)
    except ConfigurationError as error:
        found.append(
            problem("settings", "A setting is wrong", error.message, "Put it right: no server starts with it.")
        )
    found += await _examine_ourselves(wanted, settings)
    origin_map = settings.origin_map if settings else OriginMap.parse(map_origin or ())
    proxy = settings.push_proxy if settings else None
    pinned = {host: [address] for host, address in FORBIDDEN_ADDRESSES.items()}
    async with CurlTransport(proxy=proxy, pinned_addresses=pinned) as transport:
        found += await examine_guard(transport)
    found += examine_proxy(proxy, os.environ)
    if not wanted.offline:
        surroundings = SystemSurroundings()
        async with CurlTransport(origin_map=origin_map, proxy=proxy) as transport:
            found += await examine_services(
                wanted.services or DEFAULT_SERVICES,
                transport=transport,
                surroundings=surroundings,
                clock=SystemClock(),
                origin_map=origin_map,
            )
        if wanted.site is not None:
            found += await examine_site(wanted.site, surroundings)
    return found


async def _examine_ourselves(wanted: Wanted, settings: Settings | None) -> list[Finding]:
    from pushkeep.adapters.clock import SystemClock
    from pushkeep.adapters.erasure_file import ErasureFile
    from pushkeep.adapters.surroundings import SystemSurroundings
    from pushkeep.app.doctor import Identity, examine_identity, examine_stored
    from pushkeep.app.doctor_secrets import examine_ages, examine_erasures, examine_folders

    surroundings = SystemSurroundings()
    async with AsyncExitStack() as stack:
        opened, found = await _open(stack, settings)
        identity = Identity(
            wanted.contact or (settings.contact if settings else None) or (opened[1].contact if opened else None),
            str(wanted.key) if wanted.key else None,
            wanted.public,
            _secret_files(settings) if settings else {},
        )
        key, findings = await examine_identity(identity, surroundings)
        found += findings
        found += await examine_folders(_folders(wanted, settings), surroundings)
        if opened is not None and settings is not None:
            now = SystemClock().now()
            found += await examine_stored(*opened, key, now=now)
            found += await examine_ages(*opened, now=now)
            found += await examine_erasures(opened[0], ErasureFile(settings.erasure_list))
        return found


def _secret_files(settings: Settings) -> dict[str, str]:
    """Files with secrets, by what they hold."""
    from pushkeep.app.doctor import DATABASE

    return {
        "master key": str(settings.master_key_file or settings.data_dir / "master.key"),
        "list of who was erased": str(settings.erasure_list),
        DATABASE: str(settings.database),
    }


def _folders(wanted: Wanted, settings: Settings | None) -> dict[str, str]:
    """Directories with secrets, and what each is for; of two names for one place the first counts."""
    own = (
        [(settings.data_dir, "data directory"), (settings.database.parent, "database's directory")] if settings else []
    )
    folders: dict[str, str] = {}
    for path, what in [*own, *((path, "directory of backups") for path in wanted.backups)]:
        folders.setdefault(str(path.resolve()), what)
    return folders


async def _open(stack: AsyncExitStack, settings: Settings | None) -> tuple[tuple[Store, Project] | None, list[Finding]]:
    """What the server has stored, if there is a server's database here."""
    if settings is None:
        return None, []
    if not settings.database.exists():
        return None, [ok("database", "Database", f"none in {settings.data_dir}; stored subscriptions are left out")]
    try:
        from pushkeep.adapters.store.migrate import MigrationPending
        from pushkeep.compose import open_project_to_read
    except ModuleNotFoundError as error:
        advice = missing_package(error)
        if advice is None:
            raise
        return None, [warning("database", "The database is left out", "a package of the server is missing", advice)]
    try:
        opened = await stack.enter_async_context(open_project_to_read(settings))
    except MigrationPending as error:
        remedy = "Make a backup and start the server, which brings it up to date; then run this again."
        return None, [warning("database", "The database is left out", error.message, remedy)]
    except PushkeepError as error:
        remedy = "Put that right: the server does not start with it, either."
        return None, [problem("database", "The database cannot be opened", error.message, remedy)]
    return opened, [ok("database", "Database", f"{settings.database} opens")]


def _print(found: list[Finding]) -> None:
    for finding in found:
        mark, style = _MARKS[finding.level]
        out.print(f"[{style}]{mark}[/{style}] [bold]{_shown(finding.title)}[/bold]")
        out.print(f"  {_shown(finding.seen)}")
        if finding.remedy:
            out.print(f"  [{style}]→ {_shown(finding.remedy)}[/{style}]")
    counts = {level: sum(finding.level is level for finding in found) for level in Level}
    out.print(
        f"{counts[Level.PROBLEM]} {_plural('problem', counts[Level.PROBLEM])}, "
        f"{counts[Level.WARNING]} {_plural('warning', counts[Level.WARNING])}, {counts[Level.OK]} ok."
    )


def _shown(text: str) -> str:
    """Words of a site, such as its headers, for a terminal: no markup, no control sequence, no end of its own."""
    plain = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return escape(plain if len(plain) <= SHOWN_CHARACTERS_MAX else f"{plain[:SHOWN_CHARACTERS_MAX]}…")


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
