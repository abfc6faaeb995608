"""``pushkeep keys prepare``, ``rotate``, ``list``, ``status``, ``leaked``, ``retire``: the server's own keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from pushkeep.cli.common import AsJson, DataDir, err, example, load, out, print_report, run, say
from pushkeep.cli.keys import app, read_key_file
from pushkeep.errors import Conflict
from pushkeep.protocol.signing_key import SigningKey

if TYPE_CHECKING:
    from pushkeep.app.context import Services
    from pushkeep.app.key_progress import KeyProgress
    from pushkeep.app.rotate import Retired, Rotated
    from pushkeep.domain.project import Project
    from pushkeep.domain.signing_keys import KeyRecord

__all__ = ["app"]

T = TypeVar("T")

_Key = Annotated[str, typer.Argument(metavar="KEY", help="The key's id, or its public half.")]
_AN_ID_MAY_BEGIN_WITH_A_DASH = {"ignore_unknown_options": True}


@app.command(epilog=example("pushkeep keys prepare", "pushkeep keys prepare --key vapid.pem"))
def prepare(
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="A private key in any form, - for input; a fresh one if left out."),
    ] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Make the key ready that the next rotation brings into use, so that its public half is known beforehand.

    A key of another server that is brought along here reaches the subscribers who were made with it.
    """
    given = None if key is None else SigningKey.read(read_key_file(key))

    async def work(services: Services, project: Project) -> KeyRecord:
        from pushkeep.app.rotate import prepare_key

        return await prepare_key(services, project, given)

    made = run(_with_project(data_dir, work))
    if json:
        from pushkeep.web.key_schemas import key_report

        print_report(key_report(made))
        return
    say(f"Signing key {made.key_id} is next; it signs nothing until you run: pushkeep keys rotate")
    say(f"Application server key (public): {made.public_b64}")


@app.command(epilog=example("pushkeep keys rotate", "pushkeep keys rotate --leaked"))
def rotate(
    leaked: Annotated[
        bool,
        typer.Option("--leaked", help="The active key is in other hands: every message tells its browsers to renew."),
    ] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Bring the next key into use, or a fresh one; browsers move to it at their next visit.

    The old key signs on for the subscriptions that were made with it: nobody is lost. No restart is needed.
    """

    async def work(services: Services, project: Project) -> Rotated:
        from pushkeep.app.rotate import rotate_keys

        return await rotate_keys(services, project, leaked=leaked)

    done = run(_with_project(data_dir, work))
    if json:
        from pushkeep.web.key_schemas import rotation_report

        print_report(rotation_report(done))
        return
    say(f"Signing key {done.active.key_id} is active: new subscriptions are made with it.")
    say(f"Signing key {done.retiring.key_id} is retiring: it signs on until its subscribers have moved.")
    if leaked:
        say("Each message to one of those now tells its browser to renew at once; send one to all of them soon.")
    say("See how far they are with: pushkeep keys status")


@app.command("list", epilog=example("pushkeep keys list"))
def list_(data_dir: DataDir = None, json: AsJson = False) -> None:
    """List the server's signing keys, oldest first, with the living subscriptions that are bound to each."""
    found = run(_progress(data_dir))
    if json:
        _print_list(found)
        return
    from pushkeep.cli.key_view import keys_table

    out.print(keys_table(found))


@app.command(epilog=example("pushkeep keys status"))
def status(data_dir: DataDir = None, json: AsJson = False) -> None:
    """Show how far rotations have come: who has moved, day by day, who is left, and when they will have moved."""
    found = run(_progress(data_dir))
    if json:
        _print_list(found)
        return
    from pushkeep.adapters.clock import SystemClock
    from pushkeep.cli.key_view import status_view

    out.print(status_view(found, now=SystemClock().now()))


@app.command(epilog=example("pushkeep keys leaked Y1hQZ0b2Qdef"), context_settings=_AN_ID_MAY_BEGIN_WITH_A_DASH)
def leaked(key: _Key, data_dir: DataDir = None, json: AsJson = False) -> None:
    """Note that a key which is not the active one is in other hands; the active one is rotated with --leaked.

    A next key is thrown away. Messages to subscribers of a retiring one tell their browsers to renew at once.
    """

    async def work(services: Services, project: Project) -> KeyRecord:
        from pushkeep.app.rotate import mark_leaked

        return await mark_leaked(services, project, key)

    marked = run(_with_project(data_dir, work))
    if json:
        from pushkeep.web.key_schemas import key_report

        print_report(key_report(marked))
        return
    say(f"Signing key {marked.key_id} is {marked.state.value} and known to have leaked.")


@app.command(
    epilog=example("pushkeep keys retire Y1hQZ0b2Qdef", "pushkeep keys retire Y1hQZ0b2Qdef --force"),
    context_settings=_AN_ID_MAY_BEGIN_WITH_A_DASH,
)
def retire(
    key: _Key,
    force: Annotated[
        bool, typer.Option("--force", help="Give up the living subscriptions that are still bound to it.")
    ] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Put a key out of use for good and erase its private half; refused while living subscribers would be lost.

    Those given up with --force get nothing until their browsers visit the site, which renews them. If it is
    interrupted, run it again.
    """

    async def work(services: Services, project: Project) -> Retired:
        from rich.progress import Progress

        from pushkeep.app.rotate import find_key, retire_key

        wanted = await find_key(services, project, key)
        usage = (await services.store.key_usage(project, now=services.clock.now())).get(wanted.id)
        with Progress(console=err, transient=True, disable=json or not err.is_terminal) as bar:
            task = bar.add_task("Giving up", total=usage.bound if usage else 0, visible=bool(usage and usage.bound))
            try:
                return await retire_key(
                    services, project, key, force=force, told=lambda count: bar.update(task, completed=count)
                )
            except Conflict as refused:
                raise _advised(refused, key) from None

    done = run(_with_project(data_dir, work))
    if json:
        from pushkeep.web.key_schemas import retirement_report

        print_report(retirement_report(done))
        return
    say(f"Signing key {done.key.key_id} is retired; its private half is erased.")
    if done.given_up:
        said = "subscription needs" if done.given_up == 1 else "subscriptions need"
        say(f"{done.given_up} {said} renewal: nothing is sent there until the browser visits the site.")


def _advised(refused: Conflict, key: str) -> Conflict:
    if refused.reason != "living":
        return refused
    advice = f" See how far they are with: pushkeep keys status. To give them up: pushkeep keys retire {key} --force"
    return Conflict(refused.message + advice, field=refused.field, details=refused.details, reason=refused.reason)


def _print_list(found: tuple[KeyProgress, ...]) -> None:
    from pushkeep.web.key_schemas import key_list

    print_report(key_list(found))


async def _progress(data_dir: Path | None) -> tuple[KeyProgress, ...]:
    settings = load(data_dir)
    from pushkeep.adapters.clock import SystemClock
    from pushkeep.app.key_progress import key_progress
    from pushkeep.cli.opened import opened_to_read

    async with opened_to_read(settings) as (store, project):
        return await key_progress(store, project, now=SystemClock().now())


async def _with_project(data_dir: Path | None, work: Callable[[Services, Project], Awaitable[T]]) -> T:
    settings = load(data_dir)
    from pushkeep.cli.opened import opened_project

    async with opened_project(settings) as (services, project):
        return await work(services, project)
