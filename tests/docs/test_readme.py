"""The README's examples are run as they stand: library, command line, server, curl, local push service.

The ten-line test of a sender is run with its guide, in test_testing_page.py.
"""

import json
import re
from pathlib import Path

import pytest

from pushkeep.compose import open_project
from pushkeep.config import load_settings
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.pushservice import LocalSubscriber, PushService
from tests.docs.running import examples_of, python, serving, shell
from tests.processes.helpers import new_visitor

README = Path(__file__).parents[2] / "README.md"
EXAMPLES = examples_of(README)


def test_every_example_is_marked_and_run() -> None:
    assert sorted(EXAMPLES) == [
        "api-key",
        "cli-file",
        "cli-list",
        "curl",
        "curl-outcomes",
        "library",
        "notify",
        "own-sender",
        "pushservice",
        "send-many",
        "serve",
    ]
    assert README.read_text().count("```python") == 4, "a Python example that no test runs"


@pytest.fixture
async def subscriber(service: PushService, tmp_path: Path) -> LocalSubscriber:
    key = SigningKey.generate()
    (tmp_path / "vapid.pem").write_text(key.to_pem())
    subscriber = await service.subscribe(key.public_bytes)
    (tmp_path / "subscription.json").write_text(subscriber.subscription.to_json())
    return subscriber


async def test_the_library(subscriber: LocalSubscriber, tmp_path: Path, environment: dict[str, str]) -> None:
    assert (await python(EXAMPLES["library"], tmp_path, environment)).split()[:2] == ["accepted", "201"]
    message = await subscriber.receive(10)
    assert (message.data, message.topic) == (b'{"title":"Hello"}', "inbox")


async def test_many_at_a_time(subscriber: LocalSubscriber, tmp_path: Path, environment: dict[str, str]) -> None:
    line = subscriber.subscription.to_json() + "\n"
    (tmp_path / "subscriptions.jsonl").write_text(line + "{\n" + line)
    printed = await python(EXAMPLES["send-many"], tmp_path, environment)
    assert sorted(printed.splitlines()) == ["1 accepted", "2 subscription is not valid JSON.", "3 accepted"]
    assert (await subscriber.receive(10)).data == b'{"title":"News"}'


async def test_the_command_line(subscriber: LocalSubscriber, tmp_path: Path, environment: dict[str, str]) -> None:
    status, out = await shell(EXAMPLES["cli-file"], tmp_path, environment)
    assert status == 0, out
    assert (await subscriber.receive(10)).data == b"Hello"


async def test_the_local_push_service(tmp_path: Path, environment: dict[str, str]) -> None:
    said = re.search(r"# (accepted .*)", EXAMPLES["pushservice"])
    assert said is not None
    assert (await python(EXAMPLES["pushservice"], tmp_path, environment)).strip() == said[1]


async def test_the_server_with_curl_and_what_happens_when_a_visitor_leaves(
    service: PushService, tmp_path: Path, environment: dict[str, str]
) -> None:
    async with serving(EXAMPLES["serve"], tmp_path, environment) as url:
        data_dir = tmp_path / ".local/share/pushkeep"
        settings = load_settings(
            overrides={"data_dir": data_dir, "origin_map": service.origin_map_entries()}, environ={}
        )
        async with open_project(settings) as (services, project):
            subscriber, short_id = await new_visitor(services, project, service)
        status, out = await shell(EXAMPLES["api-key"], tmp_path, environment)
        assert status == 0, out
        # -s: what curl draws while it works goes to the same place
        curl = EXAMPLES["curl"].replace("http://localhost:8200", url).replace("curl ", "curl -s ")
        status, out = await shell(curl, tmp_path, environment)
        assert status == 0, out
        accepted = json.loads(out)
        look = EXAMPLES["curl-outcomes"].replace("http://localhost:8200", url).replace("curl ", "curl -s ")
        shown_id = re.search(r"notifications/([0-9a-f-]+)/", look)
        assert shown_id is not None
        status, out = await shell(look.replace(shown_id[1], accepted["id"]), tmp_path, environment)
        assert status == 0, out
        assert [(item["short_id"], item["kind"]) for item in json.loads(out)["items"]] == [(short_id, "accepted")]
        assert b"Your parcel has arrived" in ((await subscriber.receive(10)).data or b"")
        status, out = await shell(EXAMPLES["notify"], tmp_path, environment)
        assert (status, out.splitlines()[-1]) == (0, "Accepted 1 of 1."), out
        assert b"We have moved" in ((await subscriber.receive(10)).data or b"")

        await subscriber.unsubscribe()
        status, out = await shell(EXAMPLES["cli-list"].replace("HMV192av", short_id), tmp_path, environment)
        assert status == 3, out
        shown = re.search(r"^Failed to send to HMV192av:.*?^Dropping.*?$", README.read_text(), re.DOTALL | re.MULTILINE)
        assert shown is not None
        assert out.endswith(shown[0].replace("HMV192av", short_id) + "\n"), out
