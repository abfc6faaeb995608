"""The page on moving in: each product's table is made as that product makes it, written out by the page's query, and
imported by its commands; the subscribers then hear from us."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import sqlite3
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pushkeep.adapters.formats.fields import Wishes
from pushkeep.adapters.formats.files import open_foreign
from pushkeep.adapters.formats.octets import Octets
from pushkeep.compose import open_project
from pushkeep.config import load_settings
from pushkeep.domain.compiled import compile_payload
from pushkeep.domain.moving import IMPORT_PAGE_RECORDS, LINE_BYTES_MAX, Format, Numbered
from pushkeep.domain.notification import Content
from pushkeep.domain.project import Project
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.pushservice import LocalSubscriber, PushService
from tests.docs.running import ended, examples_of, shell
from tests.formats.samples import AUTH, P256DH, only, url
from tests.peers.node_driver import node

PAGE = Path(__file__).parents[2] / "docs/moving.md"
TEXT = " ".join(PAGE.read_text().split())
EXAMPLES = examples_of(PAGE)
RECEIVE_SECONDS = 20

SCHEMAS = {
    "laravel": """
        CREATE TABLE push_subscriptions (
            id INTEGER PRIMARY KEY, subscribable_type varchar(255) NOT NULL, subscribable_id bigint NOT NULL,
            endpoint varchar(500) NOT NULL UNIQUE, public_key varchar(255), auth_token varchar(255),
            content_encoding varchar(255), created_at timestamp, updated_at timestamp);
        INSERT INTO push_subscriptions VALUES
            (1, 'App\\Models\\User', 17, 'ENDPOINT', 'P256DH', 'AUTH', NULL, '2024-05-01 10:00:00', NULL);
        """,
    "django-push-notifications": """
        CREATE TABLE push_notifications_webpushdevice (
            id INTEGER PRIMARY KEY, name varchar(255), active bool NOT NULL, date_created datetime,
            application_id varchar(64), registration_id text NOT NULL, p256dh varchar(88) NOT NULL,
            auth varchar(24) NOT NULL, browser varchar(10) NOT NULL, user_id integer);
        INSERT INTO push_notifications_webpushdevice VALUES
            (1, '', 1, '2024-05-01 10:00:00.000000', NULL, 'ENDPOINT', 'P256DH', 'AUTH', 'CHROME', 17),
            (2, '', 0, '2024-05-01 10:00:00.000000', NULL, 'ENDPOINT/2', 'P256DH', 'AUTH', 'CHROME', 17);
        """,
    "django-webpush": """
        CREATE TABLE webpush_group (id INTEGER PRIMARY KEY, name varchar(255) NOT NULL UNIQUE);
        CREATE TABLE webpush_subscriptioninfo (
            id INTEGER PRIMARY KEY, browser varchar(100) NOT NULL, user_agent varchar(500) NOT NULL,
            endpoint varchar(500) NOT NULL, auth varchar(100) NOT NULL, p256dh varchar(100) NOT NULL);
        CREATE TABLE webpush_pushinformation (
            id INTEGER PRIMARY KEY, group_id integer, subscription_id integer NOT NULL, user_id integer);
        INSERT INTO webpush_group VALUES (1, 'Big News'), (2, 'sale');
        INSERT INTO webpush_subscriptioninfo VALUES (4, 'firefox', '', 'ENDPOINT', 'AUTH', 'P256DH');
        INSERT INTO webpush_pushinformation VALUES (1, 1, 4, 17), (2, 2, 4, NULL), (3, NULL, 4, 17);
        """,
}


def filled(text: str) -> str:
    return text.replace("ENDPOINT", url()).replace("P256DH", P256DH).replace("AUTH", AUTH)


def queried(schema: str, query: str, file: Path) -> None:
    """A product's table, written out as its database's own tools do."""
    with sqlite3.connect(":memory:") as database:
        database.executescript(filled(schema))
        found = database.execute(query)
        with file.open("w", newline="") as out:
            table = csv.writer(out)
            table.writerow(column[0] for column in found.description)
            table.writerows(found)
    database.close()


def test_every_example_is_run() -> None:
    imports = {"dry-run", "import", "skip-bad", "browser-json", "consent"}
    lines = {"web-push", "pywebpush", "web-push-php"}
    assert imports | lines | {"old-worker", "old-page"} | set(SCHEMAS) <= set(EXAMPLES)


def test_the_page_has_the_numbers_and_formats_of_the_code() -> None:
    for number in (f"{IMPORT_PAGE_RECORDS} records at a time", f"at most {LINE_BYTES_MAX:,} characters"):
        assert number in TEXT, number
    for name in (
        "Laravel",
        "web-push-php",
        "web-push (Node)",
        "pywebpush",
        "django-push-notifications",
        "django-webpush",
    ):
        assert re.search(rf"## From [^#]*{re.escape(name)}", TEXT), name
    assert len(Format) == 7


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_table_is_written_out_by_the_query_of_the_page(tmp_path: Path, name: str) -> None:
    file = tmp_path / "table.csv"
    queried(SCHEMAS[name], EXAMPLES[name], file)
    octets = Octets(file)
    source = open_foreign(octets, None, Wishes())
    found = [one for one in source.read() if not isinstance(one, Numbered) or one.record is not None]
    octets.close()
    assert source.format.value == name
    assert source.unused == ()
    assert only(found).owner == "17"
    assert only(found).tags == (("big-news", "sale") if name == "django-webpush" else ())
    assert only(found).subscription.endpoint.url == url()


@pytest.mark.parametrize("name", ["web-push", "pywebpush", "web-push-php"])
def test_a_line_of_json_is_read_as_shown(tmp_path: Path, name: str) -> None:
    file = tmp_path / "subscriptions.jsonl"
    file.write_text(filled(EXAMPLES[name]))
    octets = Octets(file)
    source = open_foreign(octets, None, Wishes())
    assert only(list(source.read())).subscription.endpoint.url == url()
    octets.close()
    assert source.format.value == name


async def site(service: PushService, home: Path) -> tuple[SigningKey, list[LocalSubscriber], Project]:
    """A Laravel site with its subscribers, and a server that has just been started once."""
    key = SigningKey.generate()
    subscribers = [await service.subscribe(key.public_bytes, vendor=vendor) for vendor in ("mozilla", "fcm")]
    (home / ".env").write_text(f"VAPID_PUBLIC_KEY={key.public_b64}\nVAPID_PRIVATE_KEY={key.to_raw()}\n")
    (home / "vapid.json").write_text(json.dumps({"publicKey": key.public_b64, "privateKey": key.to_raw()}))
    write_table(home / "push_subscriptions.csv", subscribers)
    settings = load_settings(
        overrides={"data_dir": home / ".local/share/pushkeep", "contact": "mailto:push@example.org"}, environ={}
    )
    async with open_project(settings) as (_, project):
        return key, subscribers, project


def write_table(file: Path, subscribers: Sequence[LocalSubscriber]) -> None:
    schema, _, _ = SCHEMAS["laravel"].partition("INSERT")
    rows = []
    for owner, subscriber in enumerate(subscribers, start=17):
        said = json.loads(subscriber.subscription.to_json())
        keys = said["keys"]
        rows.append(
            f"({owner}, 'User', {owner}, '{said['endpoint']}', '{keys['p256dh']}', '{keys['auth']}', NULL, NULL, NULL)"
        )
    queried(f"{schema} INSERT INTO push_subscriptions VALUES {', '.join(rows)};", EXAMPLES["laravel"], file)


WORKER = """
const listeners = {}, did = [];
globalThis.self = {
  addEventListener: (name, listener) => { listeners[name] = listener; },
  registration: { showNotification: async (title, options) => did.push([title, options]) },
  clients: { openWindow: async (url) => did.push(url) },
};
PAGE
const [payload] = JSON.parse(process.argv[1]);
listeners.push({ data: { json: () => JSON.parse(payload) }, waitUntil() {} });
const shown = { close: () => did.push("closed"), data: did[0][1].data };
listeners.notificationclick({ notification: shown, waitUntil() {} });
console.log(JSON.stringify(did));
"""
VISIT = """
const ended = [];
const subscription = { unsubscribe: async () => ended.push("unsubscribed") };
const registration = { pushManager: { getSubscription: async () => subscription } };
Object.defineProperty(globalThis, "navigator", { configurable: true, value: {
  serviceWorker: { getRegistration: async (scope) => (scope === "/" ? registration : undefined) } } });
PAGE
const [state] = JSON.parse(process.argv[1]);
endOldSubscription({ status: () => ({ state }) }).then(() => console.log(JSON.stringify(ended)));
"""


async def in_node(script: str, example: str, given: str) -> Any:
    """What a script of the page does in a browser that is played."""
    process = await asyncio.create_subprocess_exec(
        node(), "-e", script.replace("PAGE", EXAMPLES[example]), json.dumps([given]), stdout=asyncio.subprocess.PIPE
    )
    status, out = await ended(process)
    assert status == 0, out
    return json.loads(out)


async def test_the_old_worker_shows_what_we_send_and_opens_what_is_clicked() -> None:
    content = Content.of(title="Hello", body="World", url="/news")
    compiled = compile_payload(content, notification_id=str(uuid.UUID(int=7)), site_url="https://shop.example.com")
    (title, options), closed, url = await in_node(WORKER, "old-worker", compiled.payload.decode())
    assert (title, options["body"], closed, url) == ("Hello", "World", "closed", "https://shop.example.com/news")


@pytest.mark.parametrize(("state", "did"), [("subscribed", ["unsubscribed"]), ("unsubscribed", []), ("lost", [])])
async def test_the_page_ends_the_old_subscription_once_there_is_a_new_one(state: str, did: list[str]) -> None:
    assert await in_node(VISIT, "old-page", state) == did


async def test_a_site_moves_in_with_its_subscribers(
    service: PushService, tmp_path: Path, environment: dict[str, str]
) -> None:
    async def run(text: str) -> str:
        status, out = await shell(f"set -e\n{text}", tmp_path, environment)
        assert status == 0, out
        return out

    key, subscribers, _ = await site(service, tmp_path)
    out = await run(EXAMPLES["dry-run"])
    assert f"2 new\nSigning key {key.key_id} would be active" in out
    assert "Nothing has changed" in out
    doing, sending = EXAMPLES["import"].strip().splitlines()
    assert "2 contacts made" in await run(doing)
    items = json.loads(await run("pushkeep subscriptions list --json"))["items"]
    await run(sending.replace("HMV192av", items[0]["short_id"]))
    assert (await subscribers[0].receive(RECEIVE_SECONDS)).data
    assert "is not done again; nothing has changed" in await run(EXAMPLES["skip-bad"])

    late = await service.subscribe(key.public_bytes)
    said = {"user_id": 19, "subscription": json.loads(late.subscription.to_json())}
    (tmp_path / "subscriptions.jsonl").write_text(json.dumps(said) + "\n")
    assert "  1 new\n" in await run(EXAMPLES["browser-json"])

    write_table(tmp_path / "push_subscriptions.csv", [await service.subscribe(key.public_bytes)])
    out = await run('pushkeep purposes set news --description "News of our shop"\n' + EXAMPLES["consent"])
    assert "1 consent records made" in out
