"""``pushkeep secrets``: the keys that everything stored is sealed and hashed with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from pushkeep.cli.bar import bar
from pushkeep.cli.common import AsJson, DataDir, complain, example, load, out, print_json, run, say
from pushkeep.errors import Conflict

if TYPE_CHECKING:
    from pushkeep.app.context import Services
    from pushkeep.domain.project import Project
    from pushkeep.ports.secrets import SecretKind, SecretsStatus

T = TypeVar("T")

app = typer.Typer(help="The keys that everything stored is sealed with.", no_args_is_help=True)

_Background = Annotated[
    bool, typer.Option("--background", help="Leave the rest to the server, which goes on with it within a minute.")
]


@app.command(epilog=example("pushkeep secrets status", "pushkeep secrets status --json"))
def status(data_dir: DataDir = None, json: AsJson = False) -> None:
    """Show which keys there are, how old they are, and how far a change of one has come. No key is shown."""
    from pushkeep.adapters.clock import SystemClock
    from pushkeep.cli.secrets_view import secrets_report, secrets_table

    source, found = run(_status(data_dir))
    if json:
        print_json(secrets_report(source, found))
        return
    out.print(secrets_table(source, found, now=SystemClock().now()))


@app.command(
    "rotate-master",
    epilog=example("pushkeep secrets rotate-master", "pushkeep secrets rotate-master --new-key-file /root/next.key"),
)
def rotate_master(
    new_key_file: Annotated[
        Path | None,
        typer.Option(
            "--new-key-file",
            metavar="FILE",
            help="The next key, where you keep the master key yourself; a fresh one is written to it if it is not "
            "there.",
        ),
    ] = None,
    finish: Annotated[
        bool, typer.Option("--finish", help="Let go of the old master key, now that the new one is in its place.")
    ] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Let go of the new one instead.")] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Change the master key, which takes a moment: it seals the other keys and nothing else.

    Where Pushkeep made the key itself, this does all of it. Where you keep it, the database opens with both keys until
    you have put the new one in its place and say so with --finish. Running servers go on throughout.
    """
    if sum((new_key_file is not None, finish, cancel)) > 1:
        raise typer.BadParameter("--new-key-file, --finish and --cancel are three different steps; give one of them.")
    if finish:
        _finish(data_dir, json=json)
    elif cancel:
        run(_with_project(data_dir, lambda services, _: services.store.cancel_master_key()))
        _tell(json, {"cancelled": True}, "The new master key opens nothing any more; the present one stays.")
    elif new_key_file is not None:
        _begin(data_dir, new_key_file, json=json)
    else:
        _exchange(data_dir, json=json)


def _finish(data_dir: Path | None, *, json: bool) -> None:
    count = run(_with_project(data_dir, lambda services, _: services.store.finish_master_key()))
    said = "The old master key opens nothing any more." if count else "There was no other master key; nothing changed."
    _tell(json, {"let_go": count}, said)


def _begin(data_dir: Path | None, new_key_file: Path, *, json: bool) -> None:
    async def work(services: Services, _: Project) -> str:
        from pushkeep.adapters.master_key import create_master_key

        new = await asyncio.to_thread(create_master_key, new_key_file, random_bytes=services.entropy.token_bytes)
        return await services.store.add_master_key(new, now=services.clock.now())

    new_id = run(_with_project(data_dir, work))
    if json:
        print_json({"new_id": new_id, "file": str(new_key_file)})
        return
    say(f"Master key {new_id} from {new_key_file} opens the database as well now.")
    say("Put it where your servers get their master key from, restart them, and then run:")
    say("  pushkeep secrets rotate-master --finish")


def _exchange(data_dir: Path | None, *, json: bool) -> None:
    settings = load(data_dir)
    from pushkeep.cli.opened import opened_project
    from pushkeep.compose.master_key import MasterExchanged, begin_exchange

    async def begin() -> MasterExchanged:
        async with opened_project(settings) as (services, _):
            return await begin_exchange(settings, services)

    done = run(begin())
    # Opened anew, with what is in the file now: only who has done that lets go of the old one.
    run(_with_project(data_dir, lambda services, _: services.store.finish_master_key()))
    if json:
        print_json({"old_id": done.old_id, "new_id": done.new_id, "kept": str(done.kept)})
        return
    if done.old_id == done.new_id:
        say(f"Master key {done.new_id} was in its place already; the one before opens nothing any more.")
        return
    say(f"The master key is {done.new_id} now; {done.old_id} opens nothing any more but backups made before.")
    say(f"It is kept in {done.kept}: delete it when you have deleted those backups.")


@app.command("rotate-data", epilog=example("pushkeep secrets rotate-data"))
def rotate_data(background: _Background = False, data_dir: DataDir = None, json: AsJson = False) -> None:
    """Seal everything with a fresh data key: new things at once, the rest while this command shows how far it is.

    It may be interrupted at any time; the server goes on with it, or `pushkeep secrets reseal` does.
    """
    from pushkeep.ports.secrets import SecretKind

    _rotate(SecretKind.DATA, data_dir, background=background, json=json)


@app.command(
    "rotate-lookup", epilog=example("pushkeep secrets rotate-lookup", "pushkeep secrets rotate-lookup --forget")
)
def rotate_lookup(
    forget: Annotated[
        bool,
        typer.Option(
            "--forget",
            help="No longer recognise those who have ended, which is what the old key is kept for; also later on.",
        ),
    ] = False,
    background: _Background = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Hash the endpoints of everybody living with a fresh lookup key. Either key finds them meanwhile.

    Of those who have ended only the old hash is left, so the old key stays until they are purged (setting
    `tombstone_days`), or --forget gives that up: whoever of them comes back is somebody new.
    """
    from pushkeep.ports.secrets import SecretKind

    _rotate(SecretKind.LOOKUP, data_dir, background=background, forget=forget, json=json)


@app.command(epilog=example("pushkeep secrets reseal"))
def reseal(data_dir: DataDir = None, json: AsJson = False) -> None:
    """Go on with what a change of a key has left to do; the server does so by itself."""
    result = run(_with_project(data_dir, lambda services, project: _reseal(services, project)))
    _tell_result(result, json=json)


def _rotate(kind: SecretKind, data_dir: Path | None, *, background: bool, json: bool, forget: bool = False) -> None:
    async def work(services: Services, project: Project) -> Mapping[str, object]:
        from pushkeep.app.desk import Shown
        from pushkeep.app.secrets import forget_tombstones, rotate_secret

        told: dict[str, object] = {}
        retiring = {key.kind for key in (await services.store.secrets_status()).retiring}
        if not (forget and kind in retiring):  # else what is asked for is to finish the change that is under way
            told["new_id"] = await rotate_secret(services, project, kind)
        if forget:
            with bar() as show:
                told["forgotten"] = await forget_tombstones(services, Shown(show))
        return told if background else {**told, **await _reseal(services, project)}

    _tell_result(run(_with_project(data_dir, work)), json=json)


async def _reseal(services: Services, project: Project) -> Mapping[str, object]:
    from pushkeep.app.duties import do_duty
    from pushkeep.app.secrets import Reseal
    from pushkeep.compose.workers import new_owner

    with bar() as show:
        done = await do_duty(services, project, Reseal(), owner=new_owner(services.entropy), early=True, show=show)
    if done is None:
        raise Conflict("Another process is sealing anew at the moment; see how far it is: pushkeep secrets status")
    return done


def _tell_result(result: Mapping[str, object], *, json: bool) -> None:
    if json:
        print_json(result)
        return
    if "new_id" in result:
        say(f"Key {result['new_id']} is used from now on.")
    if "forgotten" in result:
        say(f"Ended subscriptions that are no longer recognised: {result['forgotten']:,}.")
    if "looked" not in result:
        say("The server makes the rest anew; see how far it is with: pushkeep secrets status")
        return
    say(f"Sealed anew: {result['remade']:,} of {result['looked']:,} rows looked at, in {result['seconds']} s.")
    removed = result["removed"]
    assert isinstance(removed, list)
    for key_id in removed:
        say(f"Key {key_id} is gone: nothing is made with it any more.")
    if result["left"]:
        many = "1 row still keeps" if result["left"] == 1 else f"{result['left']:,} rows still keep"
        complain(f"{many} the old key; why, and what to do, says: pushkeep secrets status", "yellow")


def _tell(json: bool, report: Mapping[str, object], text: str) -> None:
    if json:
        print_json(report)
        return
    say(text)


async def _status(data_dir: Path | None) -> tuple[str, SecretsStatus]:
    settings = load(data_dir)
    from pushkeep.cli.opened import opened_to_read
    from pushkeep.compose.master_key import master_key_place

    async with opened_to_read(settings) as (store, _):
        return master_key_place(settings).source.value, await store.secrets_status()


async def _with_project(data_dir: Path | None, work: Callable[[Services, Project], Awaitable[T]]) -> T:
    settings = load(data_dir)
    from pushkeep.cli.opened import opened_project

    async with opened_project(settings) as (services, project):
        return await work(services, project)
