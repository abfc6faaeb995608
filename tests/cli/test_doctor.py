"""``pushkeep doctor`` and ``pushkeep doctor explain`` as users have them; the only push service is the local one."""

import asyncio
import contextlib
import json
import sqlite3
import subprocess
from pathlib import Path

import pytest

from pushkeep.domain.doctor.services import DEFAULT_SERVICES
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.pushservice import PushService
from tests.cli.conftest import CONTACT, Cli, Ran, Stored
from tests.cli.test_commands import running


def findings(ran: Ran) -> dict[str, str]:
    """The worst level of each check."""
    order = ["ok", "warning", "problem"]
    found: dict[str, str] = {}
    for item in json.loads(ran.out)["findings"]:
        found[item["check"]] = max(found.get(item["check"], "ok"), item["level"], key=order.index)
        assert (item["remedy"] is None) == (item["level"] == "ok")
    return found


def mapped(service: PushService, *origins: str) -> list[str]:
    """Options that lead these origins to the local push service."""
    (entry, *_) = service.origin_map_entries()
    ca = entry.partition(",ca=")[2].partition(",")[0]
    return [part for origin in origins for part in ("--map-origin", f"{origin}={service.url},ca={ca}")]


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    made = SigningKey.generate()
    (tmp_path / "vapid.pem").write_text(made.to_pem())
    (tmp_path / "vapid.pem").chmod(0o600)
    return made


async def test_all_is_well(cli: Cli, key: SigningKey) -> None:
    ran = await cli(
        "doctor", "--offline", "--key", "vapid.pem", "--public", key.public_b64, "--contact", "mailto:a@b.dev"
    )
    assert (ran.status, ran.err) == (0, "")
    assert "✓ Contact" in ran.out
    assert "0 problems, 0 warnings" in ran.out


async def test_the_way_to_push_services(cli: Cli, service: PushService) -> None:
    origins = [service.url, *(origin for origin in DEFAULT_SERVICES if "mozilla" not in origin)]
    named = [part for origin in origins for part in ("--service", origin)]
    ran = await cli("doctor", *named, *mapped(service, *origins), "--contact", "mailto:a@b.dev", "--json")
    assert ran.status == 0, ran.text
    found = findings(ran)
    assert (found["push_service"], found["clock"], found["address_check"]) == ("ok", "ok", "ok")


async def test_all_four_vendors_are_tried_by_default_and_their_certificates_checked(
    cli: Cli, service: PushService
) -> None:
    ran = await cli("doctor", *mapped(service, *DEFAULT_SERVICES), "--contact", "mailto:a@b.dev", "--json")
    tried = [item for item in json.loads(ran.out)["findings"] if item["check"] == "push_service"]
    assert len(tried) == 4
    # The local push service has no certificate for Mozilla's own host, so that nothing can pass for the real one.
    assert [item["level"] for item in tried] == ["ok", "problem", "ok", "ok"]
    assert "TLS" in tried[1]["seen"]


async def test_a_push_service_that_is_not_mapped_is_not_reached_on_loopback(cli: Cli, service: PushService) -> None:
    ran = await cli("doctor", "--service", service.url, "--contact", "mailto:a@b.dev", "--json")
    assert ran.status == 1
    found = findings(ran)
    assert (found["names"], found["push_service"]) == ("problem", "problem")


async def test_the_origin_map_may_come_from_the_environment(cli: Cli, service: PushService) -> None:
    entries = " ".join(service.origin_map_entries())
    ran = await cli("doctor", "--service", service.url, "--contact", "mailto:a@b.dev", PUSHKEEP_ORIGIN_MAP=entries)
    assert ran.status == 0, ran.text


async def test_warnings_alone_are_no_failure(cli: Cli) -> None:
    ran = await cli("doctor", "--offline", "--contact", "mailto:me@example.com")
    assert (ran.status, "1 warning," in ran.out) == (0, True), ran.text


async def test_a_contact_that_makes_iphones_silent(cli: Cli) -> None:
    ran = await cli("doctor", "--offline", "--contact", "mailto:me@localhost")
    assert (ran.status, "silent on iPhone" in ran.out) == (1, True), ran.text


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, timeout=60)


async def test_a_key_open_to_others_in_git_and_of_another_page(cli: Cli, key: SigningKey, tmp_path: Path) -> None:
    (tmp_path / "vapid.pem").chmod(0o644)
    git("init", "--quiet", str(tmp_path))
    other = SigningKey.generate().public_b64
    ran = await cli(
        "doctor", "--offline", "--key", "vapid.pem", "--public", other, "--contact", "mailto:a@b.dev", "--json"
    )
    assert ran.status == 1
    found = findings(ran)
    assert (found["key_file"], found["key_in_git"], found["public_key"]) == ("problem", "warning", "problem")
    assert "PRIVATE" not in ran.text
    assert key.to_raw() not in ran.text


async def test_stored_subscriptions_and_the_masters_file(cli: Cli, stored: Stored, tmp_path: Path) -> None:
    (tmp_path / "other.pem").write_text(SigningKey.generate().to_pem())
    (tmp_path / "other.pem").chmod(0o600)
    ran = await cli("doctor", *stored.at, "--offline", "--key", "other.pem")
    assert ran.status == 0, ran.text
    assert "1 living subscription is bound to it" in ran.out
    assert "none of this server's" in ran.out
    assert f"nobody can be reached at {CONTACT.rpartition('@')[2]}" in ran.out, "the server's own contact"
    (stored.data_dir / "master.key").chmod(0o644)
    ran = await cli("doctor", *stored.at, "--offline", "--json")
    assert ran.status == 1
    found = findings(ran)
    assert (found["key_file"], found["database"]) == ("problem", "problem")


async def test_a_wrong_setting_is_a_finding_and_stops_nothing(cli: Cli) -> None:
    ran = await cli("doctor", "--offline", "--json", PUSHKEEP_CONTACT="mailto:me@localhost")
    found = findings(ran)
    assert (ran.status, found["settings"], found["address_check"]) == (1, "problem", "ok")


async def test_nothing_is_created_by_looking(cli: Cli, tmp_path: Path) -> None:
    await cli("doctor", "--offline", "--data-dir", tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--public", "x"),
        ("--site", "http://localhost:1", "--offline"),
        ("--service", "fcm.googleapis.com"),
        ("--map-origin", "nonsense", "--offline"),
    ],
)
async def test_options_that_make_no_sense_are_one_sentence(cli: Cli, options: tuple[str, ...]) -> None:
    ran = await cli("doctor", *options)
    assert ran.status in (1, 2), ran.text
    if ran.status == 2:
        assert len(ran.err.strip().splitlines()) == 1


async def test_a_site_that_pushkeep_serves(
    cli: Cli, environment: dict[str, str], service: PushService, tmp_path: Path
) -> None:
    async with running(environment, "demo", "--port", "0", "--data-dir", tmp_path / "d") as (_, line):
        url = line.split()[1]
        given = ("--service", service.url, *mapped(service, service.url), "--contact", "mailto:a@b.dev")
        ran = await cli("doctor", "--site", url, *given, "--json")
        assert ran.status == 0, ran.text
        found = findings(ran)
        assert {
            found[check] for check in ("site_page", "site_csp", "site_worker", "site_scope", "site_worker_cache")
        } == {"ok"}
        ran = await cli("doctor", "--site", url, "--worker", "/none.js", *given, "--json")
        assert (ran.status, findings(ran)["site_worker"]) == (1, "problem")


async def test_explain_silent_on_iphone(cli: Cli) -> None:
    ran = await cli("doctor", "explain", "--status", "403", "--body", '{"reason":"BadJwtToken"}', "--service", "apple")
    assert (ran.status, ran.err) == (0, "")
    assert "Apple: bad_token" in ran.out
    assert "works on Chrome, silent on iPhone" in ran.out
    assert "1. the contact (sub)" in ran.out
    assert "mailto:you@your-domain.org" in ran.out
    assert "open the circuit" in ran.out


async def test_explain_silent_on_iphone_without_an_answer(cli: Cli) -> None:
    assert "explain --service apple" in (await cli("doctor", "explain", "--help")).out
    ran = await cli("doctor", "explain", "--service", "apple")
    assert (ran.status, ran.err) == (0, "")
    for words in ("Apple: bad_token", "silent on iPhone", "Apple: key_mismatch", "Apple: accepted", "Home Screen"):
        assert words in ran.out
    assert "Google" in (await cli("doctor", "explain", "--service", "fcm")).out


async def test_explain_without_a_service_says_what_each_would_mean(cli: Cli) -> None:
    ran = await cli("doctor", "explain", "--status", "404")
    assert "Google (FCM): suspect" in ran.out
    assert "Apple: gone" in ran.out
    assert "What Pushkeep does about gone" in ran.out
    said = json.loads((await cli("doctor", "explain", "--status", "404", "--json")).out)
    assert {item["service"]: item["verdict"] for item in said} == {
        "fcm": "suspect",
        "mozilla": "gone",
        "apple": "gone",
        "wns": "gone",
        "unifiedpush": "suspect",
        "unknown": "suspect",
    }


@pytest.mark.parametrize(
    ("service", "verdict"),
    [
        ("wns", "bad_request"),
        ("WNS", "bad_request"),
        ("wns2-ln2p.notify.windows.com", "bad_request"),
        ("https://wns2-ln2p.notify.windows.com/w/?token=secret%2f", "bad_request"),
        ("wns2-ln2p.notify.windows.com/w/?token=secret%2f", "bad_request"),
        ("push.example.net", "bad_request"),
    ],
)
async def test_explain_by_name_host_and_endpoint(cli: Cli, service: str, verdict: str) -> None:
    ran = await cli(
        "doctor",
        "explain",
        "--status",
        "400",
        "--header",
        "X-WNS-Error-Description: Ttl value conflicts with X-WNS-Cache-Policy.",
        "--service",
        service,
        "--json",
    )
    (said,) = json.loads(ran.out)
    assert said["verdict"] == verdict
    assert ("conflict" in said["meaning"]) == ("push.example" not in service)
    assert "secret" not in ran.text


async def test_explain_reads_a_body_from_file_and_stdin(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b'{"errno":104}\xff')
    for given in ("@body", "-"):
        ran = await cli("doctor", "explain", "--status", "413", "--body", given, "--service", "mozilla", stdin=b"x")
        assert "Firefox for Android" in ran.out


async def test_explain_no_answer_at_all(cli: Cli) -> None:
    ran = await cli("doctor", "explain", "--failure", "tls", "--service", "fcm")
    assert (ran.status, "ca-certificates" in ran.out) == (0, True), ran.text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--status"),
        (("--status", "403", "--failure", "tls"), "--status"),
        (("--failure", "earthquake"), "refused_address"),
        (("--status", "403", "--header", "nonsense"), "Name: value"),
        (("--status", "403", "--service", "google"), "fcm"),
        (("--status", "403", "--service", "https://"), "service"),
        (("--status", "403", "--body", "@none"), "none"),
        (("--status", "42"), "--status"),
    ],
)
async def test_explain_refuses_nonsense(cli: Cli, options: tuple[str, ...], said: str) -> None:
    ran = await cli("doctor", "explain", *options)
    assert (ran.status, said in ran.err) == (2, True), ran.text


async def test_the_database_is_only_read(cli: Cli, stored: Stored) -> None:
    database = stored.data_dir / "pushkeep.db"

    def kept() -> tuple[bytes, set[str]]:
        return database.read_bytes(), {path.name for path in stored.data_dir.iterdir()}

    before = kept()
    ran = await cli("doctor", *stored.at, "--offline", "--json")
    assert (findings(ran)["database"], findings(ran)["bound_keys"]) == ("ok", "ok"), ran.text
    assert kept() == before


@pytest.mark.parametrize(
    ("schema", "level", "said"),
    [
        (None, "warning", "schema none"),
        ("0001", "warning", "has schema 0001, and this version"),
        ("9999", "problem", "does not know"),
    ],
)
async def test_a_database_of_another_version_is_left_as_it_is(
    cli: Cli, stored: Stored, schema: str | None, level: str, said: str
) -> None:
    database = stored.data_dir / "pushkeep.db"
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM alembic_version")
        if schema is not None:
            connection.execute("INSERT INTO alembic_version VALUES (?)", (schema,))
    ran = await cli("doctor", *stored.at, "--offline", "--json")
    assert (findings(ran)["database"], said in ran.out) == (level, True), ran.text
    with contextlib.closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == ([(schema,)] if schema else [])


async def test_a_site_does_not_speak_to_the_terminal(cli: Cli, service: PushService) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 301 Moved\r\nLocation: /\x1b]0;title\x07" + b"x" * 5000 + b"\r\nContent-Length: 0\r\n\r\n"
        )
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        given = ("--service", service.url, *mapped(service, service.url), "--contact", "mailto:a@b.dev")
        ran = await cli("doctor", "--site", url, *given)
    assert (ran.status, "leads to /" in ran.out, "\x1b]" in ran.out) == (1, True, False), ran.text
    assert "x" * 2000 not in ran.out


async def test_what_is_given_is_not_taken_for_markup(cli: Cli) -> None:
    ran = await cli("doctor", "--offline", "--contact", "mailto:a@b.dev", "--key", "[red]none[/red]")
    assert "[red]none[/red]: No such file" in ran.out


async def test_what_others_can_get_at_is_told_with_what_to_run(cli: Cli, stored: Stored, tmp_path: Path) -> None:
    """The database has its own rights put right at every start; copies and the place are the operator's."""
    backups = tmp_path / "backups"
    backups.mkdir(mode=0o700)
    (backups / "monday").write_bytes((stored.data_dir / "pushkeep.db").read_bytes())
    (backups / "monday").chmod(0o644)
    stored.data_dir.chmod(0o777)
    ran = await cli("doctor", "--offline", "--contact", "mailto:a@b.dev", *stored.at, "--backups", backups, "--json")
    assert ran.status == 1
    found = findings(ran)
    assert (found["shared_folder"], found["secret_files"]) == ("problem", "problem")
    remedies = [item["remedy"] for item in json.loads(ran.out)["findings"] if item["level"] == "problem"]
    assert sorted(remedies) == [f"Run: chmod 600 {backups / 'monday'}", f"Run: chmod go-w {stored.data_dir}"]
    stored.data_dir.chmod(0o700)
    (backups / "monday").chmod(0o600)
    ran = await cli("doctor", "--offline", "--contact", "mailto:a@b.dev", *stored.at, "--backups", backups, "--json")
    found = findings(ran)
    assert (ran.status, found["shared_folder"], found["erasure_list"]) == (0, "ok", "ok")
    assert "secret_files" not in found


async def test_keys_that_are_old_and_people_that_would_come_back(cli: Cli, stored: Stored) -> None:
    with contextlib.closing(sqlite3.connect(stored.data_dir / "pushkeep.db")) as connection, connection:
        connection.execute("UPDATE key_wraps SET wrapped_at = 1000")
        connection.execute("UPDATE sealing_keys SET created_at = 1000")
        connection.execute("UPDATE signing_keys SET created_at = 1000, activated_at = 1000")
        connection.execute("UPDATE installation SET erasures_applied = 3")
    ran = await cli("doctor", "--offline", "--contact", "mailto:a@b.dev", *stored.at, "--json")
    assert ran.status == 1
    told = {item["title"].rpartition(" is")[0].rpartition(" key ")[0]: item for item in json.loads(ran.out)["findings"]}
    for kind in ("master", "data", "lookup", "signing"):
        assert told[f"The {kind}"]["level"] == "warning"
    assert "pushkeep keys rotate" in told["The signing"]["remedy"]
    assert findings(ran)["erasure_list"] == "problem"
