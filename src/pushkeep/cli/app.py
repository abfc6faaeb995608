"""The tree of commands."""

from __future__ import annotations

from typing import Annotated

import typer

from pushkeep import __version__
from pushkeep.cli import (
    api_keys,
    backup,
    consents,
    contacts,
    demo,
    doctor,
    export,
    identity,
    import_,
    key_rotation,
    notifications,
    notify,
    purposes,
    pushservice,
    restore,
    secrets,
    send,
    serve,
    status,
    subscriptions,
    sweep,
    worker,
)

app = typer.Typer(
    name="pushkeep",
    help="Self-hosted Web Push: keeps subscriptions alive and delivers to them.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pushkeep {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


demo.register(app)
serve.register(app)
worker.register(app)
status.register(app)
notify.register(app)
app.add_typer(notifications.app, name="notifications")
app.add_typer(contacts.app, name="contacts")
app.add_typer(purposes.app, name="purposes")
app.add_typer(consents.app, name="consents")
send.register(app)
app.add_typer(doctor.app, name="doctor")
app.add_typer(key_rotation.app, name="keys")
app.add_typer(secrets.app, name="secrets")
app.add_typer(api_keys.app, name="api-keys")
app.add_typer(identity.app, name="identity")
app.add_typer(subscriptions.app, name="subscriptions")
sweep.register(app)
app.add_typer(backup.app, name="backup")
restore.register(app)
export.register(app)
import_.register(app)
pushservice.register(app)
