"""Ctrl-C in a blocking client: heard wherever it lands, never an outcome, and the client can be used again."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pycurl
import pytest

from pushkeep import Message, SyncPushClient
from pushkeep.adapters.http2_dial import Gate
from pushkeep.adapters.http2_handle import Handle
from pushkeep.adapters.http2_pool import Pool
from pushkeep.adapters.http2_reply import Reply
from tests.transport.requests import request
from tests.transport.servers import Authority, Serving, answer2, http2

from .test_send_many import whom
from .test_sync import client_for, hang


@dataclass
class Interrupt:
    """Ctrl-C at the next call of a method."""

    monkeypatch: pytest.MonkeyPatch
    armed: bool = False
    came: list[str] = field(default_factory=list)

    def at(self, owner: type, name: str) -> None:
        method = getattr(owner, name)

        def interrupted(*arguments: object) -> object:
            if self.armed:
                self.armed = False
                self.came.append(name)
                signal.raise_signal(signal.SIGINT)
            return method(*arguments)

        self.monkeypatch.setattr(owner, name, interrupted)


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Interrupt:
    return Interrupt(monkeypatch)


def send(client: SyncPushClient) -> None:
    assert client.send(whom(), "x").accepted


def send_many(client: SyncPushClient) -> None:
    assert [result.accepted for result in client.send_many([Message(whom())] * 5)] == [True] * 5


@pytest.mark.parametrize("way", [send, send_many])
@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Gate, "open_socket"),
        (Gate, "on_socket"),
        (Pool, "_on_socket"),
        (Reply, "on_header"),
        (Reply, "on_body"),
        (Handle, "answer"),
    ],
)
def test_an_interrupt_in_any_callback_is_heard(
    authority: Authority,
    interrupt: Interrupt,
    way: Callable[[SyncPushClient], None],
    warm: bool,
    owner: type,
    name: str,
) -> None:
    interrupt.at(owner, name)
    with (
        Serving(lambda: http2(answer2(201, b"said"), authority.server_context(alpn=("h2",)))) as server,
        client_for(server.entry(authority.file)) as client,
    ):
        if warm:
            way(client)
        interrupt.armed = True
        if warm and owner is Gate:  # the connection is there, so no socket is opened
            way(client)
            return
        with pytest.raises(KeyboardInterrupt):
            way(client)
        assert interrupt.came == [name]
        way(client)
    assert not [thread for thread in threading.enumerate() if thread.name == "pushkeep-closing"]


def test_an_interrupt_while_an_exchange_is_given_up_is_heard(authority: Authority, interrupt: Interrupt) -> None:
    interrupt.at(Pool, "_on_socket")
    with Serving(lambda: http2(hang, authority.server_context(alpn=("h2",)))) as server:
        client = client_for(server.entry(authority.file))
        with client._transports.borrowed() as transport:
            exchange = transport.start(request(), lambda _: None)
            while not server.requests:
                transport.run_once(None)
            interrupt.armed = True
            with pytest.raises(KeyboardInterrupt):
                exchange.cancel()
            assert interrupt.came == ["_on_socket"]
            exchange.cancel()
        client.close()


def test_libcurls_wish_to_be_woken_runs_no_code_that_could_be_interrupted(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pycurl would report such an interrupt as an internal error of add_handle."""
    given: dict[int, object] = {}

    class Multi(pycurl.CurlMulti):  # type: ignore[misc]
        def setopt(self, option: int, value: object) -> None:
            given[option] = value
            super().setopt(option, value)

    monkeypatch.setattr(pycurl, "CurlMulti", Multi)
    with (
        Serving(lambda: http2(answer2(), authority.server_context(alpn=("h2",)))) as server,
        client_for(server.entry(authority.file)) as client,
    ):
        send(client)
    assert type(given[pycurl.M_TIMERFUNCTION]).__name__ == "builtin_function_or_method"
