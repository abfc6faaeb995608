"""One loop, one process, one end: what happens to a client beyond them."""

from __future__ import annotations

import asyncio
import gc
import os

import pytest

from pushkeep import Message, PushClient, SigningKey, Verdict
from pushkeep.adapters.http2_engine import Engine
from tests.transport.servers import Authority, Server, Serving, answer, answer2, http1, http2

from .conftest import CONTACT
from .test_send_many import whom


def test_another_event_loop_is_told_so() -> None:
    client = PushClient(key=SigningKey.generate(), contact=CONTACT, origin_map=[])

    async def use() -> Verdict:
        return (await client.send(whom(), "x")).verdict

    async def use_many() -> None:
        _ = [result async for result in client.send_many([Message(whom())])]

    asyncio.run(client.send({**whom().to_dict(), "endpoint": "https://127.0.0.1:9/x"}))
    for again in (use, use_many):
        with pytest.raises(RuntimeError, match="make one for each loop"):
            asyncio.run(again())
    asyncio.run(client.aclose())


async def test_a_child_process_is_told_so_and_does_the_parent_no_harm(authority: Authority) -> None:
    async with (
        http2(answer2(), authority.server_context(alpn=("h2",))) as server,
        PushClient(key=SigningKey.generate(), contact=CONTACT, origin_map=[server.entry(authority.file)]) as client,
    ):
        assert (await client.send(whom(), "before")).accepted
        child = os.fork()
        if child == 0:
            status = 1
            try:
                asyncio.run(client.send(whom(), "in the child"))
            except RuntimeError as error:
                status = 0 if "after the fork" in str(error) else 2
            finally:
                client._transport._engine.close()  # what the end of a child's interpreter would do
                gc.collect()
                os._exit(status)
        _, ended = await asyncio.to_thread(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(ended) == 0
        assert (await client.send(whom(), "after")).accepted
        assert [seen.connection for seen in server.requests] == [1, 1]


async def test_closing_lets_a_send_in_flight_finish(authority: Authority) -> None:
    arrived, release = asyncio.Event(), asyncio.Event()

    async def wait(seen: object, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await release.wait()
        await answer()(seen, writer)  # type: ignore[arg-type]

    async with http1(wait, authority.server_context()) as server:
        client = PushClient(key=SigningKey.generate(), contact=CONTACT, origin_map=[server.entry(authority.file)])
        sending = asyncio.create_task(client.send(whom(), "x"))
        await arrived.wait()
        closing = asyncio.create_task(client.aclose())
        await asyncio.sleep(0)  # lets the closing begin
        with pytest.raises(RuntimeError, match="closed"):
            await client.send(whom(), "x")
        release.set()
        assert (await sending).accepted
        await closing
    assert len(server.requests) == 1


def test_a_client_that_nobody_closed_is_collected_without_a_word(authority: Authority) -> None:
    """What is raised while it is collected would fail this test; see ``filterwarnings`` in pyproject.toml."""

    def engines() -> int:
        gc.collect()
        return sum(isinstance(item, Engine) for item in gc.get_objects())

    async def use(server: Server) -> None:
        client = PushClient(key=SigningKey.generate(), contact=CONTACT, origin_map=[server.entry(authority.file)])
        assert (await client.send(whom(), "x")).accepted

    before = engines()
    with Serving(lambda: http2(answer2(), authority.server_context(alpn=("h2",)))) as server:
        asyncio.run(use(server))
        assert engines() == before
