"""What happens at the service, as JSON Lines: for test suites in any language.

One object a line: the fields of the event (:mod:`pushkeep.pushservice.events`), with its name under ``event``. With
``show_payloads``, ``delivered`` also says what synthetic subscribers got:

``payload``               the text, where the plaintext is UTF-8; null for a push without payload
``payload_base64url``     the plaintext, where it is not
``undecryptable``         why there is none
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from pushkeep.errors import Undecryptable
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.pushservice.control import Control
from pushkeep.pushservice.events import Delivered, Event
from pushkeep.pushservice.synthetic import SyntheticSubscribers


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
