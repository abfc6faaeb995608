"""Every other command, and what all of them share."""

import asyncio
import json
import signal
import socket
import sqlite3
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import typer

from pushkeep.app.subscribe import remove_subscription
from pushkeep.cli import app
from pushkeep.client import PushClient
from pushkeep.compose import open_project
from pushkeep.config import load_settings
from pushkeep.domain.identity import Identity, verify_identity
from pushkeep.protocol.encoding import b64_decode
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.subscription import Subscription
from pushkeep.pushservice import PushService
from tests.cli.conftest import COMMAND_SECONDS_MAX, CONTACT, PUSHKEEP, Cli, Stored
from tests.cli.inside import run_inside
from tests.processes.helpers import new_visitor


def commands(command: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    children = getattr(command, "commands", {})
    below = [found for name, child in children.items() for found in commands(child, (*path, name))]
    # A group that does something by itself is a command, too.
    own = [path] if not children or (path and getattr(command, "invoke_without_command", False)) else []
    return own + below


ALL = commands(typer.main.get_command(app))


def test_the_commands_are_the_documented_ones() -> None:
    assert sorted(" ".join(path) for path in ALL) == [
        "api-keys create",
        "api-keys list",
        "api-keys revoke",
        "backup make",
        "backup verify",
        "consents export",
        "consents head",
        "consents list",
        "consents say",
        "consents seal",
        "consents verify",
        "contacts erase",
        "contacts export",
        "contacts show",
        "contacts tag",
        "demo",
        "doctor",
        "doctor explain",
        "export",
        "identity secret",
        "identity sign",
        "import",
        "keys convert",
        "keys generate",
        "keys leaked",
        "keys list",
        "keys prepare",
        "keys retire",
        "keys rotate",
        "keys show",
        "keys status",
        "notifications cancel",
        "notifications list",
        "notifications outcomes",
        "notifications pause",
        "notifications resume",
        "notifications retry-failed",
        "notifications show",
        "notify",
        "purposes list",
        "purposes set",
        "purposes word",
        "purposes wordings",
        "pushservice",
        "restore",
        "secrets reseal",
        "secrets rotate-data",
        "secrets rotate-lookup",
        "secrets rotate-master",
        "secrets status",
        "send",
        "serve",
        "status",
        "subscriptions erase",
        "subscriptions likely-dead",
        "subscriptions list",
        "subscriptions release",
        "subscriptions remove",
        "subscriptions show",
        "sweep",
        "worker",
    ]


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_help_with_an_example(
    environment: dict[str, str], tmp_path: Path, path: tuple[str, ...]
) -> None:
    ran = run_inside(environment, tmp_path, *path, "--help")
    assert ran.status == 0
    assert "Example" in ran.out
    assert f"pushkeep {' '.join(path)}" in ran.out


async def test_no_arguments_show_help_and_version_shows_the_version(cli: Cli) -> None:
    assert "Commands" in (await cli()).text
    assert (await cli("--version")).out.startswith("pushkeep 0.")
    unknown = await cli("sned")
    assert (unknown.status, "No such command" in unknown.err) == (2, True)


async def test_a_new_key_is_private_and_never_overwrites(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "vapid.pem"
    made = json.loads((await cli("keys", "generate", "--out", path, "--json")).out)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = SigningKey.from_pem(path.read_text())
    assert made["application_server_key"] == key.public_b64
    shown = await cli("keys", "show", path)
    assert key.public_b64 in shown.out
    assert "PRIVATE" not in shown.text
    again = await cli("keys", "generate", "--out", path)
    assert (again.status, "not overwritten" in again.err) == (2, True)
    assert SigningKey.from_pem(path.read_text()).public_b64 == key.public_b64


async def test_a_wrong_key_file_is_one_sentence(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("hello")
    ran = await cli("keys", "show", tmp_path / "x.pem")
    assert ran.status == 2
    assert ran.err.startswith("key is none of PEM, DER, JWK and base64url;")
    assert (await cli("keys", "generate", "--out", tmp_path / "no" / "such" / "x.pem")).status == 2


async def test_a_key_is_shown_and_converted_in_every_form(cli: Cli, tmp_path: Path) -> None:
    key = SigningKey.generate()
    source = tmp_path / "key.pem"
    source.write_text(key.to_pem())
    forms = {"pem": "PKCS#8 PEM", "der": "PKCS#8 DER", "jwk": "JWK", "raw": "raw scalar"}
    for to, form in forms.items():
        target = tmp_path / f"key.{to}-copy"
        assert (await cli("keys", "convert", source, "--to", to, "--out", target)).status == 0
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        shown = json.loads((await cli("keys", "show", target, "--public", key.public_b64, "--json")).out)
        assert shown == {"key_id": key.key_id, "application_server_key": key.public_b64, "format": form}
        source = target
    again = await cli("keys", "convert", "-", "--to", "pem", "--out", source, stdin=key.to_raw().encode())
    assert (again.status, "not overwritten" in again.err) == (2, True)
    shown_nowhere = await cli("keys", "convert", source, "--to", "pem", "--out", "-")
    assert (shown_nowhere.status, "must be a file" in shown_nowhere.err) == (2, True)
    pasted = await cli("keys", "show", "-", stdin=f'"{key.to_raw()}"\n'.encode())
    assert pasted.out.startswith("Form: raw scalar\n")
    other = await cli("keys", "show", source, "--public", SigningKey.generate().public_b64)
    assert (other.status, "do not belong together" in other.err) == (2, True)
    assert key.to_raw() not in pasted.text + again.text + other.text


async def test_the_servers_own_key_is_shown(cli: Cli, stored: Stored) -> None:
    public = json.loads((await cli("keys", "show", *stored.at, "--json")).out)["application_server_key"]
    assert len(public) == 87
    project_key = json.loads((await cli("keys", "show", *stored.at, "--json")).out)["project_key"]
    assert f"Pushkeep.init() in your pages: {project_key}" in (await cli("keys", "show", *stored.at)).out
    assert (await cli("keys", "show", *stored.at, "--public", public)).status == 0
    other = await cli("keys", "show", *stored.at, "--public", SigningKey.generate().public_b64)
    assert (other.status, other.err.strip()) == (2, "public is not the server's public key.")


async def test_subscriptions_are_listed_and_removed(cli: Cli, stored: Stored) -> None:
    assert stored.short_id in (await cli("subscriptions", "list", *stored.at)).out
    removed = await cli("subscriptions", "remove", *stored.at, stored.short_id)
    assert removed.out == f"Removed {stored.short_id}.\n"
    (row,) = json.loads((await cli("subscriptions", "list", *stored.at, "--json")).out)["items"]
    assert row["state"] == "unsubscribed"
    assert "No subscriptions" in (await cli("subscriptions", "list", *stored.at, "--state", "active")).out
    assert (await cli("subscriptions", "remove", *stored.at, "HMV192av")).status == 2
    assert "state must be one of" in (await cli("subscriptions", "list", *stored.at, "--state", "lost")).err


async def test_a_listing_shows_what_others_wrote_as_it_is_and_goes_on_where_it_was_asked(
    cli: Cli, stored: Stored, service: PushService
) -> None:
    async with open_project(load_settings(overrides={"data_dir": stored.data_dir}, environ={})) as (services, project):
        _, second = await new_visitor(services, project, service)
        await remove_subscription(services, project, stored.short_id, "[/no markup]")
        await remove_subscription(services, project, second, "[/no markup]")
    listed = await cli("subscriptions", "list", *stored.at, "--state", "unsubscribed", "--limit", "1")
    assert (listed.status, "[/no" in listed.out, "unsubscribed" in listed.out) == (0, True, True), listed.text
    assert "More: pushkeep subscriptions list --state unsubscribed --limit 1 --after " in listed.out
    assert listed.out.strip().endswith(f"--data-dir {stored.data_dir}")


async def test_no_listing_shows_an_endpoint(cli: Cli, stored: Stored) -> None:
    listed = await cli("subscriptions", "list", *stored.at)
    assert stored.subscriber.subscription.endpoint.target not in listed.text
    assert (
        stored.subscriber.subscription.endpoint.target
        not in (await cli("subscriptions", "list", *stored.at, "--json")).text
    )


async def test_an_api_key_is_printed_once_or_written_privately(cli: Cli, stored: Stored, tmp_path: Path) -> None:
    assert (await cli("api-keys", "create", "backend", *stored.at)).out.startswith("sk_")
    ran = await cli("api-keys", "create", "backend", *stored.at, "--out", tmp_path / "key")
    assert "sk_" not in ran.text
    assert (tmp_path / "key").read_text().startswith("sk_")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


async def test_an_api_key_that_cannot_be_written_down_is_not_made(cli: Cli, stored: Stored, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("something else")
    for place in ("taken", "missing/key"):
        ran = await cli("api-keys", "create", "lost", *stored.at, "--out", tmp_path / place)
        assert ran.status == 2, ran.text
    ran = await cli("api-keys", "create", "x" * 121, *stored.at, "--out", tmp_path / "unmade")
    assert (ran.status, (tmp_path / "unmade").exists()) == (2, False), ran.text
    with closing(sqlite3.connect(stored.data_dir / "pushkeep.db")) as database:
        assert database.execute("SELECT count(*) FROM api_keys WHERE label = 'lost'").fetchone() == (0,)
    assert (tmp_path / "taken").read_text() == "something else"


@asynccontextmanager
async def running(
    environment: dict[str, str], *arguments: str | Path
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A command that runs until it is stopped, with its first line; stopped with SIGTERM, it must end with 0."""
    process = await asyncio.create_subprocess_exec(
        PUSHKEEP, *map(str, arguments), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(COMMAND_SECONDS_MAX):
            line = (await process.stdout.readline()).decode()
        yield process, line
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(COMMAND_SECONDS_MAX):
            _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        assert b"Traceback" not in errors
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def fetch(url: str, *options: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "curl", "-s", "-m", "20", "-w", "\n%{http_code}", *options, url, stdout=subprocess.PIPE
    )
    out, _ = await process.communicate()
    body, _, status = out.decode().rpartition("\n")
    return int(status), body


async def test_serve_answers_and_ends_cleanly(environment: dict[str, str], tmp_path: Path) -> None:
    async with running(environment, "serve", "--port", "0", "--contact", CONTACT, "--data-dir", tmp_path / "s") as (
        _,
        line,
    ):
        url = line.rsplit(" ", 1)[-1].strip()
        assert (await fetch(f"{url}/healthz"))[0] == 200
        assert (await fetch(f"{url}/"))[0] == 404, "the demo page belongs to the demo"


async def test_serve_without_a_contact_says_what_to_set(cli: Cli, tmp_path: Path) -> None:
    ran = await cli("serve", "--port", "0", "--data-dir", tmp_path / "s")
    assert (ran.status, "PUSHKEEP_CONTACT" in ran.err) == (2, True), ran.text


@pytest.mark.parametrize("command", [("serve", "--contact", CONTACT), ("demo",)])
async def test_a_taken_port_is_one_sentence(cli: Cli, tmp_path: Path, command: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = await cli(*command, "--port", str(port), "--data-dir", tmp_path / "s")
    assert ran.status == 2, ran.text
    assert str(port) in ran.err
    assert len(ran.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("serve", "--public-url", "http://push.example.com"), "https"),
        (("serve", "--contact", "me"), "contact"),
        (("serve", "--host", "no such host"), "host"),
        (("demo", "--browser", "firefox"), "--offline"),
        (("demo", "--offline", "--browser", "lynx"), "firefox or chromium"),
        (("demo", "--once"), "--browser"),
        (("pushservice", "--host", "no such host"), "host"),
    ],
)
async def test_a_wrong_option_is_2(cli: Cli, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    ran = await cli(*arguments, XDG_DATA_HOME=str(tmp_path / "x"))
    assert ran.status == 2, ran.text
    assert said in ran.err


async def test_an_unknown_setting_is_named(cli: Cli) -> None:
    ran = await cli("serve", PUSHKEEP_CONTAKT="x")
    assert (ran.status, "PUSHKEEP_CONTACT" in ran.err) == (2, True), ran.text


async def test_the_demo_does_not_overwrite_the_settings_of_a_server(cli: Cli, tmp_path: Path) -> None:
    settings = tmp_path / "pushkeep.toml"
    settings.write_text('contact = "mailto:ops@your-domain.org"\n')
    ran = await cli("demo", "--port", "0", "--data-dir", tmp_path)
    assert (ran.status, "not overwritten" in ran.err) == (2, True), ran.text
    assert settings.read_text() == 'contact = "mailto:ops@your-domain.org"\n'


async def test_a_directory_the_demo_cannot_make_is_one_sentence(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in ("file", "file/below"):
        ran = await cli("demo", "--port", "0", "--data-dir", tmp_path / place)
        assert (ran.status, "--data-dir" in ran.err) == (2, True), ran.text


async def test_arguments_that_are_not_utf8_are_one_sentence(cli: Cli, stored: Stored) -> None:
    ran = await cli("api-keys", "create", "\udcff", *stored.at)
    assert (ran.status, "label" in ran.err) == (2, True), ran.text


async def test_demo_serves_its_page_and_leaves_a_key(environment: dict[str, str], tmp_path: Path) -> None:
    async with running(environment, "demo", "--port", "0", "--data-dir", tmp_path / "d") as (_, line):
        url = line.split()[1]
        status, page = await fetch(url)
        assert status == 200
        key = (tmp_path / "d" / "api-key").read_text().strip()
        assert key.startswith("sk_")
        assert key not in page
        assert "pk_" in page
        assert str(tmp_path / "d") in page
    async with running(environment, "demo", "--port", "0", "--data-dir", tmp_path / "d"):
        pass
    assert (tmp_path / "d" / "api-key").read_text().strip() == key, "a second start keeps a key that works"


async def test_demo_offline_says_how_to_wire_a_browser(environment: dict[str, str], tmp_path: Path) -> None:
    async with running(environment, "demo", "--offline", "--port", "0", "--data-dir", tmp_path / "d") as (process, _):
        assert process.stdout is not None
        seen = ""
        async with asyncio.timeout(COMMAND_SECONDS_MAX):
            while "--ignore-certificate-errors-spki-list=" not in seen:
                seen += (await process.stdout.readline()).decode()
        assert "dom.push.serverURL = ws://127.0.0.1:" in seen
        assert "--gcm-mcs-endpoint=https://localhost:" in seen
        assert "vendor=mozilla" in (tmp_path / "d" / "pushkeep.toml").read_text()


async def test_pushservice_prints_addresses_that_work(environment: dict[str, str], tmp_path: Path) -> None:
    async with running(environment, "pushservice", "--json", "--state-dir", tmp_path / "state") as (_, line):
        printed = json.loads(line)
        key = SigningKey.generate()
        authorization = f"Authorization: Bearer {printed['admin_token']}"
        admin = f"{printed['admin_url']}subscriptions"
        _, listed = await fetch(admin, "--cacert", printed["ca_file"], "-H", authorization)
        assert json.loads(listed)["subscriptions"] == []
        stranger = Subscription.from_dict(
            {"endpoint": f"{printed['url']}/wpush/v2/none", "keys": {"p256dh": key.public_b64, "auth": "A" * 22}}
        )
        async with PushClient(key=key, contact=CONTACT, origin_map=printed["origin_map"]) as client:
            assert (await client.send(stranger, "x")).verdict == "gone"


async def test_an_identity_token_holds(cli: Cli, stored: Stored) -> None:
    secret = b64_decode((await cli("identity", "secret", *stored.at)).out.strip(), field="secret")
    made = json.loads((await cli("identity", "sign", "user-17", *stored.at, "--json")).out)
    identity = verify_identity(secret, made["identity"], now=made["expires_at"] - 10)
    assert identity == Identity("user-17", made["expires_at"] - 3600)
    assert (await cli("identity", "sign", "", *stored.at)).status == 2


async def test_an_api_key_is_listed_and_revoked_by_its_id_or_whole(cli: Cli, stored: Stored) -> None:
    made = [(await cli("api-keys", "create", name, *stored.at)).out.strip() for name in ("shop", "till")]
    listed = json.loads((await cli("api-keys", "list", *stored.at, "--json")).out)
    assert [key["label"] for key in listed] == ["shop", "till"]
    assert [f"sk_{key['id']}" for key in listed] == [key[:15] for key in made]
    first, second = (key["id"] for key in listed)
    gone = await cli("api-keys", "revoke", first, *stored.at)
    assert (gone.status, gone.out) == (0, f"API key {first} opens nothing any more.\n")
    again = await cli("api-keys", "revoke", made[0], *stored.at)
    assert (again.status, "api-keys list" in again.err, made[0] in again.text) == (2, True, False)
    whole = await cli("api-keys", "revoke", made[1], *stored.at, "--json")
    assert json.loads(whole.out) == {"revoked": second}
    assert "There is none yet" in (await cli("api-keys", "list", *stored.at)).out
