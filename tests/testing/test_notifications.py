"""The private desktop: what a program shows is recorded, what a person does comes back to the program."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from pushkeep.errors import Unavailable
from pushkeep.testing import notifications
from pushkeep.testing.notifications import NotificationDaemon, notification_daemon

NAME = "org.freedesktop.Notifications"


class Program:
    """Something on the bus that shows notifications, as a browser does."""

    def __init__(self, bus: MessageBus) -> None:
        self.bus = bus
        self.signals: asyncio.Queue[tuple[str, list[object]]] = asyncio.Queue()
        bus.add_message_handler(self._note)

    def _note(self, message: Message) -> None:
        if message.message_type is MessageType.SIGNAL and message.interface == NAME:
            self.signals.put_nowait((message.member, message.body))

    async def call(self, member: str, signature: str = "", body: list[object] | None = None) -> list[object]:
        reply = await self.bus.call(
            Message(
                destination=NAME,
                path="/org/freedesktop/Notifications",
                interface=NAME,
                member=member,
                signature=signature,
                body=body or [],
            )
        )
        assert reply is not None
        assert reply.message_type is MessageType.METHOD_RETURN, reply.body
        return reply.body

    async def notify(
        self, title: str, body: str = "", *, app: str = "Program", replaces: int = 0, actions: tuple[str, ...] = ()
    ) -> int:
        hints = {"urgency": Variant("y", 1), "image-data": Variant("ay", b"123")}
        arguments = [app, replaces, "", title, body, list(actions), hints, -1]
        return (await self.call("Notify", "susssasa{sv}i", arguments))[0]  # type: ignore[return-value]

    async def signal(self) -> tuple[str, list[object]]:
        async with asyncio.timeout(20):
            return await self.signals.get()


@pytest.fixture
async def daemon() -> AsyncIterator[NotificationDaemon]:
    async with notification_daemon() as running:
        yield running


@pytest.fixture
async def program(daemon: NotificationDaemon) -> AsyncIterator[Program]:
    bus = await MessageBus(bus_address=daemon.address).connect()
    yield Program(bus)
    bus.disconnect()


async def test_it_can_what_browsers_ask_for(program: Program) -> None:
    (capabilities,) = await program.call("GetCapabilities")
    assert {"actions", "body"} <= set(capabilities)  # type: ignore[call-overload]
    assert len(await program.call("GetServerInformation")) == 4


async def test_a_notification_is_recorded_as_shown(daemon: NotificationDaemon, program: Program) -> None:
    number = await program.notify("Title", "Body", actions=("default", "Open", "0", "Later"))
    shown = await daemon.next()
    assert (shown.id, shown.app_name, shown.title, shown.body) == (number, "Program", "Title", "Body")
    assert dict(shown.actions) == {"default": "Open", "0": "Later"}
    assert dict(shown.hints) == {"urgency": 1}
    assert daemon.open == (shown,)


async def test_each_is_returned_once_in_order(daemon: NotificationDaemon, program: Program) -> None:
    for title in ("one", "two", "three", "four"):
        await program.notify(title)
    assert (await daemon.next()).title == "one"
    assert (await daemon.wait_for(lambda each: each.title == "three")).title == "three"
    daemon.skip()
    with pytest.raises(Unavailable, match="no such notification within"):
        await daemon.next(0.05)
    assert [each.title for each in daemon.shown] == ["one", "two", "three", "four"]


async def test_waiting_in_vain_names_what_was_shown_instead(daemon: NotificationDaemon, program: Program) -> None:
    await program.notify("other")
    with pytest.raises(Unavailable, match=r"shown meanwhile: \['other'\]"):
        await daemon.wait_for(lambda each: each.title == "wanted", timeout_seconds=0.2)


async def test_a_replacement_keeps_its_number(daemon: NotificationDaemon, program: Program) -> None:
    first = await program.notify("one")
    second = await program.notify("one again", replaces=first)
    assert second == first
    assert [each.title for each in daemon.open] == ["one again"]


async def test_a_click_comes_back_to_who_showed_it(daemon: NotificationDaemon, program: Program) -> None:
    number = await program.notify("t", actions=("default", "", "0", "Later"))
    shown = await daemon.next()
    await daemon.click(shown)
    assert await program.signal() == ("ActionInvoked", [number, "default"])
    await daemon.click(shown, "0")
    assert await program.signal() == ("ActionInvoked", [number, "0"])
    with pytest.raises(Unavailable, match="offers no action 'nope'; it offers default, 0"):
        await daemon.click(shown, "nope")


async def test_dismissing_closes_it_for_good(daemon: NotificationDaemon, program: Program) -> None:
    number = await program.notify("t", actions=("default", ""))
    shown = await daemon.next()
    await daemon.dismiss(shown)
    assert await program.signal() == ("NotificationClosed", [number, notifications.DISMISSED])
    assert daemon.open == ()
    with pytest.raises(Unavailable, match="no longer on the screen"):
        await daemon.click(shown)
    with pytest.raises(Unavailable, match="no longer on the screen"):
        await daemon.dismiss(shown)


async def test_the_program_may_close_it_itself(daemon: NotificationDaemon, program: Program) -> None:
    number = await program.notify("t")
    shown = await daemon.next()
    with pytest.raises(Unavailable, match="still shown"):
        await daemon.wait_closed(shown, timeout_seconds=0.05)
    await program.call("CloseNotification", "u", [number])
    assert await program.signal() == ("NotificationClosed", [number, notifications.CLOSED_BY_CALL])
    await daemon.wait_closed(shown)


async def test_chromiums_origin_is_no_part_of_the_text(daemon: NotificationDaemon, program: Program) -> None:
    await program.notify("t", "t1.localhost:8200\n\nBody\n\nmore", app="Chromium")
    assert (await daemon.next()).text == "Body\n\nmore"
    await program.notify("t", "First line here\n\nsecond", app="Chromium")
    assert (await daemon.next()).text == "First line here\n\nsecond"
    await program.notify("t", "one\n\ntwo", app="Firefox")
    assert (await daemon.next()).text == "one\n\ntwo"


async def test_the_bus_is_private_and_goes_with_the_daemon() -> None:
    async with notification_daemon() as first, notification_daemon() as second:
        assert first.address != second.address
    with pytest.raises(Exception, match=r"No such file|refused"):
        await MessageBus(bus_address=first.address).connect()
