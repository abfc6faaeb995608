"""Routes that are answered before the router: no others, also below a mount point, bounded in size and time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from pushkeep.web.asgi import Message, Receive, Scope, Send
from pushkeep.web.direct import Answer, Direct

KEY = "pk_" + "A" * 24


class Caller:
    """Calls an ASGI application with one request and keeps its answer."""

    def __init__(self, *, body_seconds_max: float = 30.0) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.passed_on: list[str] = []
        self.direct = Direct(self._inner, body_seconds_max=body_seconds_max)
        self.direct.handlers = {"receipts": self._handle}

    async def _inner(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.passed_on.append(scope.get("path", scope["type"]))

    async def _handle(self, key: str, body: bytes, headers: Mapping[bytes, bytes]) -> Answer:
        self.heard.append((key, body))
        return 200, ((b"x-kind", b"test"),), b"got it"

    async def call(self, path: str, *parts: bytes, **scope: Any) -> tuple[int | None, dict[bytes, bytes], bytes]:
        """Status, headers and body of the answer; the request's body comes in ``parts``, and then nothing more."""
        waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        if waiting and scope.pop("complete", True):
            waiting[-1]["more_body"] = False
        sent: list[Message] = []

        async def receive() -> Message:
            if not waiting:
                await asyncio.Event().wait()
            return waiting.pop(0)

        async def send(message: Message) -> None:
            sent.append(message)

        await self.direct({"type": "http", "method": "POST", "path": path, "headers": [], **scope}, receive, send)
        if not sent:
            return None, {}, b""
        return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


@pytest.mark.parametrize("path", ["/v1/client/{}/receipts", "/v1/client/{}/receipts/"])
async def test_its_own_routes(path: str) -> None:
    caller = Caller()
    status, headers, body = await caller.call(path.format(KEY), b"a", b"b")
    assert (status, headers, body) == (200, {b"x-kind": b"test", b"content-length": b"6"}, b"got it")
    assert caller.heard == [(KEY, b"ab")]


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/client/{KEY}/subscriptions",
        f"/v1/client/{KEY}/receipts/x",
        f"/v1/client/{KEY}/x/receipts",
        f"/v1/client/{KEY}//receipts",
        "/v1/client//receipts",
        f"/v1/client/{'A' * 65}/receipts",
        f"/x/v1/client/{KEY}/receipts",
        "/v1/notifications",
        "/",
    ],
)
async def test_all_others_are_the_applications(path: str) -> None:
    caller = Caller()
    assert (await caller.call(path, b""))[0] is None
    assert caller.passed_on == [path]


async def test_below_a_mount_point() -> None:
    caller = Caller()
    path = f"/push/v1/client/{KEY}/receipts"
    assert (await caller.call(path, b"x", root_path="/push"))[0] == 200
    assert (await caller.call(path, b"x"))[0] is None


async def test_a_preflight_and_everything_that_is_no_request_go_on() -> None:
    caller = Caller()
    assert (await caller.call(f"/v1/client/{KEY}/receipts", method="OPTIONS"))[0] is None
    assert (await caller.call("", type="websocket"))[0] is None
    assert len(caller.passed_on) == 2


async def test_before_there_are_handlers_the_application_answers() -> None:
    caller = Caller()
    caller.direct.handlers = {}
    assert (await caller.call(f"/v1/client/{KEY}/receipts", b""))[0] is None


async def test_a_body_that_does_not_come_is_not_waited_for_for_ever() -> None:
    caller = Caller(body_seconds_max=0.01)
    status, headers, _ = await caller.call(f"/v1/client/{KEY}/receipts", b"half", complete=False)
    assert (status, headers[b"connection"]) == (408, b"close")
    assert caller.heard == []


@pytest.mark.parametrize("length", [b"1025", b"99999", b"-1", b"x", b"0x10"])
async def test_a_length_that_is_too_much_or_none_is_refused_unread(length: bytes) -> None:
    caller = Caller()
    answer = await caller.call(f"/v1/client/{KEY}/receipts", headers=[(b"content-length", length)])
    assert answer[0] == 413
    assert caller.heard == []
