"""What happens at the service, as JSON Lines: for test suites in any language.

One object a line: the fields of the event (:mod:`pushkeep.pushservice.events`), with its name under ``event``. With
``show_payloads``, ``delivered`` also says what synthetic subscribers got:

``payload``               the text, where the plaintext is UTF-8; null for a push without payload
``payload_base64url``     the plaintext, where it is not
``undecryptable``         why there is none
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import threading
from collections.abc import Callable, Iterable

from pushkeep.errors import Undecryptable
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.pushservice.control import Control
from pushkeep.pushservice.events import Delivered, Event
from pushkeep.pushservice.synthetic import SyntheticSubscribers

UNREAD_BYTES_MAX = 64 * 1024 * 1024
"""What waits for a reader who is slower than the service: some 300,000 events without payloads."""

_LOOK_SECONDS = 1.0


def write_events(
    control: Control,
    write: Callable[[str], None],
    *,
    crowds: Iterable[SyntheticSubscribers] = (),
    show_payloads: bool = False,
) -> Callable[[], None]:
    """Call ``write`` with a line, without its end, for each event from now on; the returned function ends that.

    Args:
        control: the service.
        write: must be quick, and must not raise.
        crowds: synthetic subscribers, whose payloads are shown if ``show_payloads``; nobody else's ever are.
        show_payloads: see above.
    """
    shown = tuple(crowds) if show_payloads else ()

    def on_event(event: Event) -> None:
        fields = event.to_dict()
        if shown and isinstance(event, Delivered):
            fields |= _payload(event, shown)
        write(json.dumps(fields, ensure_ascii=False))

    return control.listen(on_event)


def _payload(event: Delivered, crowds: Iterable[SyntheticSubscribers]) -> dict[str, object]:
    message = next((found for crowd in crowds if (found := crowd.message(event.message_id)) is not None), None)
    if message is None:
        return {}
    if isinstance(message.received, Undecryptable):
        return {"undecryptable": message.received.message}
    data = message.received.data
    try:
        return {"payload": None if data is None else data.decode()}
    except UnicodeDecodeError:
        return {"payload_base64url": b64url_encode(data or b"")}


class LineWriter:
    """Writes lines to a pipe or file from a thread of its own, so that nobody waits for who reads them.

    A line for which there is no room is left out; of events the gap in ``serial`` says so.

    Args:
        descriptor: where to; it is not closed.
        on_gone: called once, in the thread, when nobody reads any more; at the latest a second after.
        unread_bytes_max: room for what has not been read.
    """

    def __init__(
        self, descriptor: int, on_gone: Callable[[], None], *, unread_bytes_max: int = UNREAD_BYTES_MAX
    ) -> None:
        self._descriptor = descriptor
        self._on_gone = on_gone
        self._unread_bytes_max = unread_bytes_max
        self._unread = bytearray()
        self._changed = threading.Condition()
        self._is_closed = False
        # One that hangs in a write must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="lines", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Write a line, given without its end, in a moment. Does not wait and does not raise."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        with self._changed:
            if len(self._unread) + len(data) <= self._unread_bytes_max:
                self._unread += data
                self._changed.notify()

    def close(self, *, seconds: float = 2.0) -> None:
        """Write what is left, as far as it is read within so long."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(seconds)

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while not self._has_reader_gone():
                with self._changed:
                    if not self._unread and not self._is_closed:
                        self._changed.wait(_LOOK_SECONDS)
                    data, self._unread = self._unread, bytearray()
                    is_last = self._is_closed
                view = memoryview(data)
                while view:
                    view = view[os.write(self._descriptor, view[:65_536]) :]
                if is_last:
                    return
        self._on_gone()

    def _has_reader_gone(self) -> bool:
        poller = select.poll()
        poller.register(self._descriptor, 0)
        return any(found & (select.POLLERR | select.POLLHUP) for _, found in poller.poll(0))
