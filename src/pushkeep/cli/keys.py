"""``pushkeep keys``: VAPID key pairs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer

from pushkeep.cli.common import AsJson, DataDir, example, load, print_json, read_file, run, say
from pushkeep.errors import InvalidInput
from pushkeep.protocol.signing_key import SigningKey

app = typer.Typer(help="Make and show signing keys (VAPID).", no_args_is_help=True, rich_markup_mode="rich")


@app.command(epilog=example("pushkeep keys generate --out vapid.pem"))
def generate(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the private key (PEM).")],
    json: AsJson = False,
) -> None:
    """Make a key pair: the private key goes to a file that only you can read, the public key is printed.

    An existing file is never overwritten: a lost private key loses every subscriber made with it.
    """
    key = SigningKey.generate()
    with private_file(out) as file:
        file.write(key.to_pem())
    if json:
        print_json({"key_id": key.key_id, "application_server_key": key.public_b64, "file": str(out)})
        return
    say(f"Private key written to {out}. Keep it: subscriptions made with it can be reached with no other.")
    say(f"Application server key (public): {key.public_b64}")


@contextmanager
def private_file(path: Path) -> Iterator[TextIO]:
    """A new file of mode 0600 for a secret; it is gone again if the secret could not be made or written.

    Raises:
        InvalidInput: the file exists, or cannot be made or written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InvalidInput(f"{path} exists and is not overwritten; name another file.", field="out") from None
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror}.", field="out") from None
    try:
        with os.fdopen(descriptor, "w") as file:
            yield file
    except OSError as error:
        path.unlink(missing_ok=True)
        raise InvalidInput(f"cannot write {path}: {error.strerror}.", field="out") from None
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@app.command(epilog=example("pushkeep keys show vapid.pem", "pushkeep keys show"))
def show(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A PEM file; the server's key if left out.")
    ] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Show the public key of a PEM file, or the one new visitors of this server subscribe with."""
    key = SigningKey.from_pem(read_file(file, field="key")) if file else run(_stored_key(data_dir))
    if json:
        print_json({"key_id": key.key_id, "application_server_key": key.public_b64})
        return
    say(f"Key id: {key.key_id}")
    say(f"Application server key (public): {key.public_b64}")


async def _stored_key(data_dir: Path | None) -> SigningKey:
    settings = load(data_dir)
    from pushkeep.app.projects import current_signing_key
    from pushkeep.cli.opened import opened_project

    async with opened_project(settings) as (services, project):
        return await current_signing_key(services, project)
