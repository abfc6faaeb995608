"""The library's page and the one for those who come from pywebpush: every example is run as it stands."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pushkeep import SigningKey, Verdict
from pushkeep.pushservice import LocalSubscriber, PushService
from tests.docs.running import ended

DOCS = Path(__file__).parents[2] / "docs"
MARKED = re.compile(r"<!-- tested: ([a-z-]+) -->\n```python\n(.*?)```", re.DOTALL)
LIBRARY = dict(MARKED.findall((DOCS / "library.md").read_text()))
MIGRATION = dict(MARKED.findall((DOCS / "from-pywebpush.md").read_text()))
RECEIVE_SECONDS_MAX = 10


@dataclass
class Place:
    """A directory with what the examples read, and subscribers of a local push service."""

    service: PushService
    directory: Path
    key: SigningKey
    subscriber: LocalSubscriber
    others: list[LocalSubscriber]

    async def run(self, program: str) -> str:
        """What the program prints."""
        (self.directory / "example.py").write_text(program)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "example.py",
            cwd=self.directory,
            env={
                "HOME": str(self.directory),
                "PATH": "/usr/bin:/bin",
                "LC_ALL": "C.UTF-8",
                "PUSHKEEP_ORIGIN_MAP": " ".join(self.service.origin_map_entries()),
                # How other clients are told whom to trust.
                "SSL_CERT_FILE": str(self.service.ca_file),
                "REQUESTS_CA_BUNDLE": str(self.service.ca_file),
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        status, out = await ended(process)
        assert status == 0, out
        return out


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with PushService(state_dir=tmp_path / "pushservice") as service:
        key = SigningKey.generate()
        first, *others = [await service.subscribe(key.public_bytes) for _ in range(4)]
        directory = tmp_path / "example"
        directory.mkdir()
        (directory / "vapid.pem").write_text(key.to_pem())
        (directory / "subscription.json").write_text(first.subscription.to_json())
        (directory / "subscriptions.jsonl").write_text(
            "".join(subscriber.subscription.to_json() + "\n" for subscriber in others)
        )
        yield Place(service, directory, key, first, others)


async def received(subscriber: LocalSubscriber) -> bytes | None:
    return (await subscriber.receive(RECEIVE_SECONDS_MAX)).data


def test_every_example_is_marked_and_run() -> None:
    for page, examples in (("library.md", LIBRARY), ("from-pywebpush.md", MIGRATION)):
        assert (DOCS / page).read_text().count("```python") == len(examples)
    assert sorted(LIBRARY) == sorted(["one", "keys", "many", "sync", "retry", "httpx", "requests", "aiohttp", "limits"])
    assert sorted(MIGRATION) == sorted(
        ["theirs-one", "ours-one", "theirs-gone", "ours-gone", "theirs-many", "ours-many", "keys"]
    )


async def test_one_message(place: Place) -> None:
    assert await place.run(LIBRARY["one"]) == "accepted 201\n"
    assert await received(place.subscriber) == b'{"title":"Hello"}'
    await place.subscriber.unsubscribe()
    assert await place.run(LIBRARY["one"]) == "delete this subscription\n"


async def test_keys(place: Place) -> None:
    assert await place.run(LIBRARY["keys"]) == place.key.public_b64 + "\n"
    assert await place.run(MIGRATION["keys"]) == place.key.public_b64 + "\n"


async def test_many_messages(place: Place) -> None:
    await place.others[1].unsubscribe()
    with (place.directory / "subscriptions.jsonl").open("a") as file:
        file.write("{\n")
    printed = await place.run(LIBRARY["many"])
    assert sorted(printed.splitlines()) == [
        "2 has left",
        "4 cannot be sent to: subscription is not valid JSON.",
    ]
    assert await received(place.others[0]) == await received(place.others[2]) == b'{"title":"News"}'


async def test_without_async(place: Place) -> None:
    printed = (await place.run(LIBRARY["sync"])).splitlines()
    assert printed[:2] == ["accepted", "accepted"]
    assert sorted(printed[2:]) == ["0 True", "1 True", "2 True"]
    assert [await received(place.subscriber) for _ in range(2)] == [b"Hello", b"Hello again"]


async def test_trying_again(place: Place) -> None:
    place.service.faults.add("mozilla status=503 retry-after=0 times=2")
    assert await place.run(LIBRARY["retry"]) == "accepted 3\n"
    assert await received(place.subscriber) == b"Hello"


@pytest.mark.parametrize("client", ["httpx", "requests", "aiohttp"])
async def test_ones_own_http_client(place: Place, client: str) -> None:
    assert await place.run(LIBRARY[client]) == "accepted\n"
    assert await received(place.subscriber) == b'{"title":"Hello"}'


async def test_limits_and_proxies(place: Place) -> None:
    assert await place.run(LIBRARY["limits"]) == ""


@pytest.mark.parametrize("whose", ["theirs", "ours"])
async def test_both_send_the_same(place: Place, whose: str) -> None:
    assert await place.run(MIGRATION[f"{whose}-one"]) == "201\n"
    message = await place.subscriber.receive(RECEIVE_SECONDS_MAX)
    assert (message.data, message.ttl, message.urgency, message.topic) == (b"Hello", 60, "high", "inbox")


@pytest.mark.parametrize("whose", ["theirs", "ours"])
async def test_both_see_that_a_visitor_has_left(place: Place, whose: str) -> None:
    await place.subscriber.unsubscribe()
    assert await place.run(MIGRATION[f"{whose}-gone"]) == "delete it\n"


@pytest.mark.parametrize("whose", ["theirs", "ours"])
async def test_both_send_many(place: Place, whose: str) -> None:
    await place.others[1].unsubscribe()
    printed = await place.run(MIGRATION[f"{whose}-many"])
    assert sorted(printed.splitlines()) == ["0 sent", "1 failed", "2 sent"]
    assert await received(place.others[0]) == await received(place.others[2]) == b"News"


def test_the_tables_name_every_verdict_and_argument_there_is() -> None:
    page = (DOCS / "from-pywebpush.md").read_text()
    for verdict in Verdict:
        if verdict not in (Verdict.ACCEPTED,):
            assert verdict.name in page
    library = (DOCS / "library.md").read_text()
    for name in json.loads('["accepted", "status", "headers", "explanation", "retry_after", "attempts", "remedy"]'):
        assert f"`{name}`" in library
