"""What the sender under test did: every request to the push service, in order, with the answer it got."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import overload
from weakref import WeakKeyDictionary

from pushkeep.protocol.answer import PushResponse
from pushkeep.protocol.outcome import explain
from pushkeep.protocol.vendors import UNKNOWN, VENDORS
from pushkeep.protocol.verdict import classify
from pushkeep.pushservice import PushService
from pushkeep.pushservice.events import Accepted, Event, Faulted, Refused
from pushkeep.pushservice.http.message import Manner, Request, Response
from pushkeep.testing.messages import PushMessage
from pushkeep.testing.remedies import FOR_VERDICTS, REMEDIES

# A test looks at some; a broadcast under test may send very many, and each is up to 4 KiB.
MESSAGES_KEPT_MAX = 10_000
SHOWN_MAX = 20

# Faults after which the sender has nothing that it could read as an answer.
_UNANSWERED = frozenset(
    {
        Manner.HANG,
        Manner.RESET,
        Manner.RESET_MIDDLE,
        Manner.RESET_STREAM,
        Manner.REFUSE_STREAM,
        Manner.CLOSE,
        Manner.GOAWAY_ABRUPT,
        Manner.GARBAGE,
    }
)

Opener = Callable[[Request], bytes | None]


class Record:
    """All requests of one test. Written by the push service's thread, read by the test's."""

    def __init__(self, service: PushService) -> None:
        self._messages: deque[PushMessage] = deque(maxlen=MESSAGES_KEPT_MAX)
        self._news = threading.Condition()
        self._openers: dict[str, tuple[str, Opener | None]] = {}
        # The service announces what its checks found in the task that answers the request.
        self._announced: WeakKeyDictionary[asyncio.Task[object], list[Event]] = WeakKeyDictionary()
        service.listen(self._heard)
        service.observe(self._seen)

    def know(self, subscription_id: str, vendor: str, opener: Opener | None) -> None:
        """Tell whose messages those to a subscription are, and how they are opened if not by a browser."""
        self._openers[subscription_id] = (vendor, opener)

    def forget(self) -> None:
        """Begin anew: messages and subscriptions of the test before are nobody's."""
        with self._news:
            self._messages.clear()
            self._openers.clear()

    def all(self) -> tuple[PushMessage, ...]:
        """Every request so far, oldest first."""
        with self._news:
            return tuple(self._messages)

    def find(self, message_id: str) -> PushMessage | None:
        """The accepted request of that number."""
        return next((message for message in reversed(self.all()) if message.message_id == message_id), None)

    def wait(self, enough: Callable[[tuple[PushMessage, ...]], bool], seconds: float) -> bool:
        """Wait until the requests so far are enough; False when ``seconds`` passed first."""
        with self._news:
            return self._news.wait_for(lambda: enough(tuple(self._messages)), seconds)

    def describe(self) -> str:
        """Every request in a line of its own, for people."""
        messages = self.all()
        if not messages:
            return (
                "The push service saw no request: nothing was sent, it was sent elsewhere, or the sender does not trust"
                " the certificate."
            )
        lines = [f"  {message}" for message in messages[-SHOWN_MAX:]]
        if len(messages) > SHOWN_MAX:
            lines.insert(0, f"  … {len(messages) - SHOWN_MAX} before")
        return "\n".join(["The push service saw:", *lines])

    def _heard(self, event: Event) -> None:
        task = asyncio.current_task()
        if task is not None and isinstance(event, Accepted | Refused | Faulted):
            self._announced.setdefault(task, []).append(event)

    def _seen(self, request: Request, response: Response) -> None:
        task = asyncio.current_task()
        announced = self._announced.pop(task, []) if task is not None else []
        if request.method != "POST":
            return
        message = self._message(request, response, announced)
        with self._news:
            self._messages.append(message)
            self._news.notify_all()

    def _message(self, request: Request, response: Response, announced: Sequence[Event]) -> PushMessage:
        faults = [event for event in announced if isinstance(event, Faulted)]
        accepted = next((event for event in announced if isinstance(event, Accepted)), None)
        refused = next((event for event in announced if isinstance(event, Refused)), None)
        ids = (event.subscription_id for event in (accepted, refused, *faults) if event is not None)
        subscription_id = next((each for each in ids if each is not None), None)
        vendors = [event.vendor for event in (refused, *faults) if event is not None]
        vendor, opener = self._openers.get(subscription_id or "", (next(iter(vendors), None), None))
        answered = response.manner not in _UNANSWERED
        words, reason, remedy = _explained(vendor, response, refused) if answered else ("", "", "")
        return PushMessage(
            status=response.status if answered else None,
            vendor=vendor or "unknown",
            headers=dict(request.headers),
            body_bytes=request.body_bytes,
            message_id=accepted.message_id if accepted is not None else None,
            subscription_id=subscription_id,
            words=words,
            reason=reason,
            remedy=remedy,
            faults=tuple(event.fault for event in faults),
            opened=None if opener is None else (lambda: opener(request)),
        )


def _explained(vendor: str | None, response: Response, refused: Refused | None) -> tuple[str, str, str]:
    """The vendor's words, the reason and the remedy; a fault on purpose has no reason of the service's own."""
    if 200 <= response.status < 300:
        return "", "", ""
    answer = PushResponse(response.status, dict(response.headers), response.body)
    words = explain(answer).text
    if refused is not None:
        return words, refused.reason, REMEDIES.get(refused.reason, "")
    return words, "", FOR_VERDICTS.get(classify(VENDORS.get(vendor or "", UNKNOWN), answer), "")


class SentMessages(Sequence[PushMessage]):
    """What the push service accepted in this test, oldest first, decrypted where the test has the keys."""

    def __init__(self, record: Record) -> None:
        self._record = record

    @overload
    def __getitem__(self, index: int) -> PushMessage: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[PushMessage]: ...

    def __getitem__(self, index: int | slice) -> PushMessage | Sequence[PushMessage]:
        __tracebackhide__ = True
        accepted = self._accepted()
        try:
            return accepted[index]
        except IndexError:
            raise IndexError(f"only {len(accepted)} messages were accepted. {self._record.describe()}") from None

    def __len__(self) -> int:
        return len(self._accepted())

    def __eq__(self, other: object) -> bool:
        """As a list's, so that ``sent_messages == []`` is true where nothing was accepted."""
        return self._accepted() == list(other) if isinstance(other, Sequence) else NotImplemented

    def __iter__(self) -> Iterator[PushMessage]:
        return iter(self._accepted())

    def __repr__(self) -> str:
        return f"<SentMessages {self._accepted()!r}, refused {self.refused!r}>"

    def _accepted(self) -> list[PushMessage]:
        return [message for message in self._record.all() if message.accepted]

    @property
    def refused(self) -> list[PushMessage]:
        """The requests the service did not accept, each with status, vendor's words, reason and remedy."""
        return [message for message in self._record.all() if not message.accepted]

    @property
    def requests(self) -> list[PushMessage]:
        """Accepted and refused ones, in order."""
        return list(self._record.all())

    def wait(self, count: int = 1, timeout: float = 5.0) -> list[PushMessage]:
        """Wait until ``count`` messages are accepted, for senders that work in the background.

        Raises:
            AssertionError: fewer within ``timeout`` seconds; it says what the push service saw.
        """
        __tracebackhide__ = True
        if not self._record.wait(lambda seen: sum(message.accepted for message in seen) >= count, timeout):
            raise AssertionError(
                f"{len(self)} of {count} messages were accepted within {timeout:g} s. {self._record.describe()}"
            )
        return self._accepted()

    def assert_all_accepted(self) -> None:
        """Fail if a request was refused, or nothing was sent.

        Raises:
            AssertionError: with status, vendor's words and remedy of each refusal.
        """
        __tracebackhide__ = True
        refused = len(self.refused)
        if refused:
            raise AssertionError(f"{refused} of {len(self.requests)} requests were refused. {self._record.describe()}")
        if not len(self):
            raise AssertionError(self._record.describe())
