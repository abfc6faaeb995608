"""Progress as server-sent events and requests that wait, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from pushkeep.app.projects import create_api_key, current_signing_key
from pushkeep.compose import Serving
from pushkeep.domain.moment import write_moment
from pushkeep.web.streams import STREAMS_MAX, Streams
from tests.web.conftest import WAIT_SECONDS, Site, settings_for
from tests.web.subscriptions import subscription_json
from tests.web.test_real_server import served


@dataclass
class Waiting:
    """A server on a socket, and a notification whose time does not come while the test runs."""

    serving: Serving
    client: httpx.AsyncClient
    path: str

    async def watched(self) -> AsyncGenerator[tuple[str, Any], None]:
        """The stream's events: name and data, as they arrive."""
        async with self.client.stream("GET", f"{self.path}/progress") as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["cache-control"] == "no-store"
            name = ""
            async for line in answer.aiter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    yield name, json.loads(line.removeprefix("data: "))


@asynccontextmanager
async def waiting(tmp_path: Path) -> AsyncIterator[Waiting]:
    async with served(settings_for(tmp_path, port=0)) as serving:
        services, project = serving.services, serving.project
        headers = {"Authorization": f"Bearer {await create_api_key(services, project, 'tests')}"}
        base = f"http://127.0.0.1:{serving.settings.port}"
        async with httpx.AsyncClient(
            base_url=base, headers=headers, timeout=WAIT_SECONDS, trust_env=False, limits=httpx.Limits()
        ) as client:
            key = await current_signing_key(services, project)
            body: dict[str, object] = {
                "subscription": subscription_json(),
                "application_server_key": key.public_b64,
            }
            await client.post("/v1/subscriptions", json=body)
            tomorrow = write_moment(services.clock.now() + 86_400)
            body = {"to": {"all": True}, "content": {"title": "Hello"}, "send_at": tomorrow}
            accepted = await client.post("/v1/notifications", json=body)
            yield Waiting(serving, client, f"/v1/notifications/{accepted.json()['id']}")


async def test_events_tell_what_changes_until_it_has_ended(tmp_path: Path) -> None:
    async with waiting(tmp_path) as there:
        seen = []
        async for name, found in there.watched():
            seen.append((name, found["status"]))
            if found["status"] == "scheduled":
                await there.client.post(f"{there.path}/cancel")
        assert seen == [("progress", "scheduled"), ("progress", "cancelled")]
        assert found == (await there.client.get(there.path)).json()


async def test_who_waits_is_answered_when_it_has_ended(tmp_path: Path) -> None:
    async with waiting(tmp_path) as there:
        for path in (there.path, f"{there.path}/outcomes"):
            asked = asyncio.create_task(there.client.get(path, params={"wait": "30"}))
            await asyncio.sleep(0)
            await there.client.post(f"{there.path}/cancel")
            assert (await asked).status_code == 200


async def test_a_stop_ends_streams_and_waits_at_once(tmp_path: Path) -> None:
    async with waiting(tmp_path) as there:
        asked = asyncio.create_task(there.client.get(there.path, params={"wait": "30"}))
        events = there.watched()
        assert (await anext(events))[1]["status"] == "scheduled"
        there.serving.stop()
        assert [event async for event in events] == []
        answer = await asked
        assert (answer.status_code, answer.json()["status"]) == (200, "scheduled")


async def test_who_has_gone_waits_no_longer(site: Site) -> None:
    tomorrow = write_moment(site.services.clock.now() + 86_400)
    path = f"/v1/notifications/{(await site.notify(to={'all': True}, payload='', send_at=tomorrow)).json()['id']}"
    authorization = (b"authorization", site.auth["Authorization"].encode())
    scope: dict[str, object] = {"type": "http", "method": "GET", "scheme": "http", "root_path": "", "client": None}
    scope |= {"path": path, "raw_path": path.encode(), "query_string": b"wait=30", "headers": [authorization]}
    received: Iterator[dict[str, object]] = iter(
        [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]
    )
    sent: list[object] = []

    async def receive() -> dict[str, object]:
        return next(received)

    async def send(message: object) -> None:
        sent.append(message)

    await asyncio.wait_for(site.app(scope, receive, send), WAIT_SECONDS / 4)
    assert sent


async def test_only_the_headers_of_a_stream_are_no_stream(tmp_path: Path) -> None:
    async with waiting(tmp_path) as there:
        answer = await there.client.head(f"{there.path}/progress")
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"].startswith("text/event-stream")


async def test_streams_are_counted_and_let_go(site: Site) -> None:
    sent = (await site.notify(to={"all": True}, payload="nobody is there")).json()["id"]
    path = f"/v1/notifications/{sent}/progress"
    application = site.app._application
    application.streams = streams = Streams(streams_max=1)
    for _ in range(2):
        answer = await site.client.get(path, headers=site.auth)
        assert (answer.status_code, answer.text.count("event: progress")) == (200, 1)
    with streams.taken():
        refused = await site.client.get(path, headers=site.auth)
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert int(refused.headers["retry-after"]) > 0


async def test_streams_that_begin_together_are_all_counted(tmp_path: Path) -> None:
    async with waiting(tmp_path) as there:
        everybody = asyncio.Barrier(2 * STREAMS_MAX)

        async def begun() -> int:
            async with there.client.stream("GET", f"{there.path}/progress") as answer:
                lines = answer.aiter_lines()
                first = await anext(lines)
                assert first == "event: progress" or json.loads(first)["code"] == "unavailable"
                await everybody.wait()
                return answer.status_code

        answers = await asyncio.gather(*(begun() for _ in range(2 * STREAMS_MAX)))
        assert sorted(answers) == [200] * STREAMS_MAX + [503] * STREAMS_MAX
        again = there.watched()  # who has gone has let go of the place
        assert (await anext(again))[1]["status"] == "scheduled"
        await again.aclose()
