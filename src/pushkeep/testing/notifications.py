"""A desktop of its own for a browser: a private D-Bus session bus with a notification daemon on it.

Stock browsers hand their notifications to ``org.freedesktop.Notifications``. This daemon records what they show
and can do what a person does: click, choose an action, dismiss. A click sent this way is a real one: the browser
fires ``notificationclick`` and lets the handler open a window.

Source: Desktop Notifications Specification 1.2, https://specifications.freedesktop.org/notification-spec/.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dbus_fast import BusType, Message, MessageType, RequestNameReply, Variant
from dbus_fast.aio import MessageBus

from pushkeep.errors import Unavailable
from pushkeep.testing.process import ChildProcess

_NAME = "org.freedesktop.Notifications"
_PATH = "/org/freedesktop/Notifications"
_CAPABILITIES = ["actions", "body", "persistence"]

# Reasons of NotificationClosed, from the specification.
DISMISSED = 2
CLOSED_BY_CALL = 3

START_SECONDS_MAX = 20.0
# Enough for any test; a page that shows notifications in a loop must not fill the memory.
RECORDED_MAX = 10_000

# A bus with nothing else on it: no service files, so no stranger is ever started through it.
_BUS_CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


@dataclass(frozen=True, slots=True)
class Notification:
    """One call of ``Notify``.

    Attributes:
        id: the number the daemon gave it; a replacement keeps the number of what it replaces.
        app_name: what the sender calls itself.
        title: the summary line.
        body: the body exactly as sent. Chromium puts the origin and an empty line before the page's own text.
        actions: label by action id, in order; the click on the notification itself is ``default``.
        hints: plain hint values by name (urgency, category, …); picture data is left out.
        replaces_id: the number given by the caller, 0 for a new one.
    """

    id: int
    app_name: str
    title: str
    body: str
    actions: Mapping[str, str] = field(default_factory=dict)
    hints: Mapping[str, object] = field(default_factory=dict)
    replaces_id: int = 0

    @property
    def text(self) -> str:
        """The body without the origin Chromium puts in front of it."""
        first, separator, rest = self.body.partition("\n\n")
        origin_like = "\n" not in first and ("://" in first or " " not in first)
        return rest if separator and origin_like and "chrom" in self.app_name.lower() else self.body


class NotificationDaemon:
    """Records notifications and answers them. Start it with :func:`notification_daemon`."""

    def __init__(self, address: str, bus: MessageBus) -> None:
        self.address = address
        self.shown: list[Notification] = []
        self._bus = bus
        self._numbers = itertools.count(1)
        self._open: dict[int, tuple[Notification, str]] = {}
        self._taken = 0
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        bus.add_message_handler(self._handle)

    @property
    def open(self) -> tuple[Notification, ...]:
        """What is on the screen now, oldest first."""
        return tuple(notification for notification, _ in self._open.values())

    async def next(self, timeout_seconds: float = 30.0) -> Notification:
        """The next notification not returned before.

        Raises:
            Unavailable: none came within ``timeout_seconds``.
        """
        return await self.wait_for(lambda _: True, timeout_seconds=timeout_seconds)

    async def wait_for(self, accept: Callable[[Notification], bool], *, timeout_seconds: float = 30.0) -> Notification:
        """The next notification ``accept`` likes; those before it are passed over.

        Raises:
            Unavailable: none came within ``timeout_seconds``; names what was seen instead.
        """
        seen: list[str] = []

        def take() -> Notification | None:
            while self._taken < len(self.shown):
                candidate = self.shown[self._taken]
                self._taken += 1
                if accept(candidate):
                    return candidate
                seen.append(candidate.title)
            return None

        found: Notification | None = None

        def ready() -> bool:
            nonlocal found
            found = take()
            return found is not None

        try:
            async with asyncio.timeout(timeout_seconds), self._news:
                await self._news.wait_for(ready)
        except TimeoutError:
            others = f"; shown meanwhile: {seen!r}" if seen else ""
            raise Unavailable(f"no such notification within {timeout_seconds:g} s{others}") from None
        if found is None:  # pragma: no cover - wait_for() returns only when ready() was true
            raise Unavailable("no notification")
        return found

    async def wait_closed(self, notification: Notification, *, timeout_seconds: float = 30.0) -> None:
        """Wait until it is off the screen; raises Unavailable after ``timeout_seconds``."""
        try:
            async with asyncio.timeout(timeout_seconds), self._news:
                await self._news.wait_for(lambda: notification.id not in self._open)
        except TimeoutError:
            raise Unavailable(f"the notification is still shown after {timeout_seconds:g} s") from None

    def skip(self) -> None:
        """Forget what was shown so far: :meth:`next` returns only what comes from now on."""
        self._taken = len(self.shown)

    async def click(self, notification: Notification, action: str = "default") -> None:
        """Choose an action as a person would; ``default`` is a click on the notification itself.

        Raises:
            Unavailable: it is no longer on the screen, or offers no such action.
        """
        _, sender = self._entry(notification)
        if action not in notification.actions:
            offered = ", ".join(notification.actions) or "none"
            raise Unavailable(f"the notification offers no action {action!r}; it offers {offered}")
        await self._emit(sender, "ActionInvoked", "us", [notification.id, action])

    async def dismiss(self, notification: Notification) -> None:
        """Close it as a person would; raises Unavailable when it is no longer on the screen."""
        _, sender = self._entry(notification)
        await self._closed(notification.id, sender, DISMISSED)

    def _entry(self, notification: Notification) -> tuple[Notification, str]:
        entry = self._open.get(notification.id)
        if entry is None:
            raise Unavailable("the notification is no longer on the screen")
        return entry

    async def close(self) -> None:
        """Leave the bus."""
        for task in self._tasks:
            task.cancel()
        self._bus.disconnect()

    def _handle(self, call: Message) -> Message | None:
        if call.message_type is not MessageType.METHOD_CALL or call.interface != _NAME:
            return None
        if call.member == "GetCapabilities":
            return Message.new_method_return(call, "as", [_CAPABILITIES])
        if call.member == "GetServerInformation":
            return Message.new_method_return(call, "ssss", ["pushkeep", "Pushkeep", "1", "1.2"])
        if call.member == "CloseNotification" and call.signature == "u":
            number = int(call.body[0])
            if number in self._open:
                self._later(self._closed(number, call.sender or "", CLOSED_BY_CALL))
            return Message.new_method_return(call)
        if call.member == "Notify" and call.signature == "susssasa{sv}i":
            return Message.new_method_return(call, "u", [self._notify(call)])
        return None

    def _notify(self, call: Message) -> int:
        app_name, replaces_id, _icon, title, body, actions, hints, _expire = call.body
        number = int(replaces_id) or next(self._numbers)
        notification = Notification(
            id=number,
            app_name=str(app_name),
            title=str(title),
            body=str(body),
            actions=dict(zip(actions[0::2], actions[1::2], strict=False)),
            hints={
                name: hint.value
                for name, hint in hints.items()
                if isinstance(hint, Variant) and isinstance(hint.value, bool | int | float | str)
            },
            replaces_id=int(replaces_id),
        )
        if len(self.shown) < RECORDED_MAX:
            self.shown.append(notification)
        self._open[number] = (notification, call.sender or "")
        self._later(self._tell())
        return number

    async def _closed(self, number: int, sender: str, reason: int) -> None:
        self._open.pop(number, None)
        await self._emit(sender, "NotificationClosed", "uu", [number, reason])
        await self._tell()

    async def _emit(self, destination: str, member: str, signature: str, body: list[object]) -> None:
        signal = Message(
            destination=destination,
            path=_PATH,
            interface=_NAME,
            member=member,
            message_type=MessageType.SIGNAL,
            signature=signature,
            body=body,
        )
        await self._bus.send(signal)

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    def _later(self, work: object) -> None:
        if asyncio.iscoroutine(work):
            task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


@contextlib.asynccontextmanager
async def notification_daemon() -> AsyncIterator[NotificationDaemon]:
    """Start a private bus with the daemon on it; give ``.address`` to a browser as its session bus.

    Raises:
        Unavailable: ``dbus-daemon`` is missing (Debian package dbus) or did not come up.
    """
    with tempfile.TemporaryDirectory(prefix="pushkeep-bus-") as directory:
        socket = Path(directory) / "bus"
        configuration = Path(directory) / "bus.conf"
        configuration.write_text(_BUS_CONFIGURATION.format(socket=socket), encoding="utf-8")
        address = f"unix:path={socket}"
        try:
            process = await ChildProcess.start(
                ["dbus-daemon", "--nofork", "--print-address", f"--config-file={configuration}"],
                environment={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": directory},
            )
        except Unavailable as error:
            raise Unavailable(f"{error.message}; install the Debian package dbus") from error
        try:
            await process.wait_for_line("unix:path=", timeout_seconds=START_SECONDS_MAX)
            bus = await MessageBus(bus_address=address, bus_type=BusType.SESSION).connect()
            daemon = NotificationDaemon(address, bus)
            try:
                reply = await bus.request_name(_NAME)
                if reply is not RequestNameReply.PRIMARY_OWNER:
                    raise Unavailable("another notification daemon is on the private bus")
                yield daemon
            finally:
                await daemon.close()
        finally:
            await process.stop()
