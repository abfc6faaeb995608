"""A small WebDriver BiDi client: commands with answers, over one WebSocket.

Source: W3C WebDriver BiDi, https://w3c.github.io/webdriver-bidi/. Only the part Pushkeep's Firefox driver
needs; events are not subscribed to.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from typing import Self, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from pushkeep.testing.browser import ACTION_SECONDS_MAX, BrowserError, Json

# A screenshot of a long page is the largest message: some MB of base64.
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
CONNECT_SECONDS_MAX = 20.0


class BidiConnection:
    """One BiDi session's socket. Commands may run concurrently; answers are matched by id."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Json]]] = {}
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, url: str) -> Self:
        """Connect to ``ws://…/session``; raises BrowserError when nobody answers."""
        try:
            socket = await connect(
                url,
                max_size=MESSAGE_BYTES_MAX,
                open_timeout=CONNECT_SECONDS_MAX,
                ping_interval=None,  # a browser busy with a script answers no ping and is not dead
                compression=None,
                proxy=None,
            )
        except (OSError, TimeoutError, InvalidHandshake) as error:
            raise BrowserError(f"the browser's BiDi port does not answer: {error}") from error
        return cls(socket)

    async def _read(self) -> None:
        try:
            async for frame in self._socket:
                message = cast("dict[str, Json]", json.loads(frame))
                number = message.get("id")
                waiting = self._waiting.pop(number, None) if isinstance(number, int) else None
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
        except ConnectionClosed:
            pass
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(BrowserError("the browser closed its BiDi connection"))
            self._waiting.clear()

    async def command(
        self, method: str, params: dict[str, Json], *, timeout_seconds: float = ACTION_SECONDS_MAX
    ) -> dict[str, Json]:
        """Run one command and return its ``result`` object.

        Raises:
            BrowserError: the browser answered with an error, went away, or took longer than ``timeout_seconds``.
        """
        number = next(self._ids)
        answer: asyncio.Future[dict[str, Json]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            if self._reader.done():
                raise BrowserError(f"{method}: the browser has closed its BiDi connection")
            async with asyncio.timeout(timeout_seconds):
                await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
                message = await answer
        except TimeoutError as error:
            raise BrowserError(f"{method} was not answered within {timeout_seconds:g} s") from error
        except ConnectionClosed as error:
            raise BrowserError(f"{method}: the browser has closed its BiDi connection") from error
        finally:
            self._waiting.pop(number, None)
        if message.get("type") == "error":
            raise BrowserError(f"{method}: {message.get('error')}: {str(message.get('message'))[:500]}")
        return as_object(message.get("result"), method)

    async def close(self) -> None:
        """Close the socket; closing twice is allowed."""
        await self._socket.close()
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader


def as_object(value: Json, where: str) -> dict[str, Json]:
    """``value`` if it is a JSON object; raises BrowserError naming ``where`` otherwise."""
    if not isinstance(value, dict):
        raise BrowserError(f"{where}: an object was expected, not {type(value).__name__}")
    return value


def as_list(value: Json, where: str) -> list[Json]:
    """``value`` if it is a JSON array; raises BrowserError naming ``where`` otherwise."""
    if not isinstance(value, list):
        raise BrowserError(f"{where}: an array was expected, not {type(value).__name__}")
    return value


def as_text(value: Json, where: str) -> str:
    """``value`` if it is a string; raises BrowserError naming ``where`` otherwise."""
    if not isinstance(value, str):
        raise BrowserError(f"{where}: a text was expected, not {type(value).__name__}")
    return value
