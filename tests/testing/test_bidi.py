"""The BiDi client: answers find their command, and a browser that fails or goes away is an error, not a hang."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from websockets.asyncio.server import ServerConnection, serve

from pushkeep.testing.bidi import BidiConnection, as_list, as_object, as_text
from pushkeep.testing.browser import BrowserError


@contextlib.asynccontextmanager
async def connected(handler: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[BidiConnection]:
    async with serve(handler, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = await BidiConnection.connect(f"ws://127.0.0.1:{port}/session")
        try:
            yield connection
        finally:
            await connection.close()
            await connection.close()


async def test_answers_find_their_command_in_any_order() -> None:
    async def backwards(socket: ServerConnection) -> None:
        commands = [json.loads(await socket.recv()) for _ in range(3)]
        await socket.send(json.dumps({"type": "event", "method": "log.entryAdded", "params": {}}))
        for command in reversed(commands):
            result = {"echo": command["params"]["n"]}
            await socket.send(json.dumps({"type": "success", "id": command["id"], "result": result}))
        await socket.wait_closed()

    async with connected(backwards) as bidi:
        answers = await asyncio.gather(*(bidi.command("test", {"n": n}) for n in range(3)))
    assert [answer["echo"] for answer in answers] == [0, 1, 2]


async def test_the_browsers_error_is_told() -> None:
    async def refusing(socket: ServerConnection) -> None:
        command = json.loads(await socket.recv())
        await socket.send(
            json.dumps({"type": "error", "id": command["id"], "error": "no such frame", "message": "gone"})
        )
        await socket.wait_closed()

    async with connected(refusing) as bidi:
        with pytest.raises(BrowserError, match=r"browsingContext.close: no such frame: gone"):
            await bidi.command("browsingContext.close", {})


async def test_a_browser_that_says_nothing_is_given_up() -> None:
    async with connected(lambda socket: socket.wait_closed()) as bidi:
        with pytest.raises(BrowserError, match=r"was not answered within 0.05 s"):
            await bidi.command("session.status", {}, timeout_seconds=0.05)


async def test_a_browser_that_goes_away_fails_what_waits_and_what_comes_after() -> None:
    async def leaving(socket: ServerConnection) -> None:
        await socket.recv()

    async with connected(leaving) as bidi:
        with pytest.raises(BrowserError, match="closed its BiDi connection"):
            await bidi.command("session.status", {})
        with pytest.raises(BrowserError, match="closed its BiDi connection"):
            await bidi.command("session.status", {})


async def test_nobody_at_the_port_is_an_error() -> None:
    with pytest.raises(BrowserError, match="BiDi port does not answer"):
        await BidiConnection.connect("ws://127.0.0.1:9/session")


def test_an_answer_of_another_shape_is_named() -> None:
    for check in (as_object, as_list, as_text):
        with pytest.raises(BrowserError, match=r"getTree: .* was expected, not int"):
            check(7, "getTree")
