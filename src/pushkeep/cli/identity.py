"""``pushkeep identity``: the signed word of the site's backend that a browser belongs to a contact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pushkeep.cli.common import AsJson, DataDir, example, load, print_json, run, say
from pushkeep.protocol.encoding import b64url_encode

app = typer.Typer(help="Bind browsers to contacts.", no_args_is_help=True, rich_markup_mode="rich")


@app.command(epilog=example("pushkeep identity secret"))
def secret(data_dir: DataDir = None, json: AsJson = False) -> None:
    """Print the secret with which your backend signs identity tokens (base64url). Keep it like a password."""
    text = b64url_encode(run(_secret(data_dir))[0])
    if json:
        print_json({"identity_secret": text})
    else:
        say(text)


@app.command(epilog=example("pushkeep identity sign user-17"))
def sign(
    external_id: Annotated[str, typer.Argument(help="The contact, by your site's own id.")],
    seconds: Annotated[int, typer.Option(min=1, max=7 * 86_400, help="How long the token is valid.")] = 3600,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Make an identity token, for trying it out. In a site the backend makes one for each page."""
    from pushkeep.domain.identity import sign_identity

    key, now = run(_secret(data_dir))
    token = sign_identity(key, external_id=external_id, expires_at=int(now) + seconds, issued_at=now)
    if json:
        print_json({"identity": token, "expires_at": int(now) + seconds})
    else:
        say(token)


async def _secret(data_dir: Path | None) -> tuple[bytes, float]:
    """The project's identity secret, and the time."""
    settings = load(data_dir)
    from pushkeep.app.projects import identity_secret
    from pushkeep.cli.opened import opened_project

    async with opened_project(settings) as (services, project):
        return await identity_secret(services, project), services.clock.now()
