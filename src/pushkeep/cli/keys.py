"""``pushkeep keys``: VAPID key pairs."""

from __future__ import annotations

import sys
from enum import StrEnum
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from pushkeep.cli.common import AsJson, DataDir, example, load, print_json, read_file, run, say
from pushkeep.cli.private_file import private_file
from pushkeep.errors import InvalidInput
from pushkeep.protocol.key_formats import KEY_BYTES_MAX, read_private_key, read_public_key
from pushkeep.protocol.signing_key import SigningKey

app = typer.Typer(help="Make, show and convert signing keys (VAPID).", no_args_is_help=True, rich_markup_mode="rich")


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


@app.command(epilog=example("pushkeep keys show vapid.pem", "pushkeep keys show", "pushkeep keys show - < pasted.txt"))
def show(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="A private key in any form, - for input; the server's key if left out."),
    ] = None,
    public: Annotated[
        str | None, typer.Option("--public", metavar="KEY", help="Also check that this public key belongs to it.")
    ] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Show the public key and the form of a private key, or the one new visitors of this server subscribe with.

    Of the server it also shows the project key that its pages give to the SDK.

    Read are PEM (PKCS#8, SEC 1 with or without its parameters), DER, JWK, and the raw base64url of other tools.
    """
    found = read_private_key(read_key_file(file), public=public) if file else None
    key, project_key = (SigningKey(found.private), None) if found else run(_stored_key(data_dir))
    if found is None and public is not None and read_public_key(public) != key.public_bytes:
        raise InvalidInput("public is not the server's public key.", field="public")
    if json:
        shown = {"key_id": key.key_id, "application_server_key": key.public_b64}
        print_json(shown | ({"format": found.format.value} if found else {"project_key": project_key}))
        return
    if found:
        say(f"Form: {found.format.value}")
    say(f"Key id: {key.key_id}")
    say(f"Application server key (public): {key.public_b64}")
    if project_key:
        say(f"Project key, for Pushkeep.init() in your pages: {project_key}")


class Form(StrEnum):
    """What a key can be converted to."""

    PEM = "pem"
    DER = "der"
    JWK = "jwk"
    RAW = "raw"


@app.command(epilog=example("pushkeep keys convert old.json --to pem --out vapid.pem"))
def convert(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A private key in any form, - for input.")],
    to: Annotated[Form, typer.Option("--to", help="PKCS#8 PEM or DER, JWK, or base64url of the 32 octets.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write it.")],
) -> None:
    """Write a private key in another form, to a file that only you can read and that does not exist yet."""
    key = SigningKey.read(read_key_file(file))
    with private_file(out) as target:
        target.buffer.write(_written(key, to))
    say(f"Private key {key.key_id} written to {out} as {to.value}.")


def _written(key: SigningKey, to: Form) -> bytes:
    match to:
        case Form.PEM:
            return key.to_pem().encode()
        case Form.DER:
            return key.to_der()
        case Form.JWK:
            return dumps(key.to_jwk(), indent=2).encode() + b"\n"
        case Form.RAW:
            return key.to_raw().encode() + b"\n"


def read_key_file(file: Path) -> bytes:
    """The octets of a file that is to hold a key, ``-`` for standard input.

    Raises:
        InvalidInput: it cannot be read.
    """
    if str(file) == "-":
        return sys.stdin.buffer.read(KEY_BYTES_MAX + 1)
    return read_file(file, field="key")


async def _stored_key(data_dir: Path | None) -> tuple[SigningKey, str]:
    settings = load(data_dir)
    from pushkeep.app.projects import current_signing_key
    from pushkeep.cli.opened import opened_project

    async with opened_project(settings) as (services, project):
        return await current_signing_key(services, project), project.publishable_key
