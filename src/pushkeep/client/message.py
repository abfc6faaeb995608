"""What ``send_many`` takes and what it hands back."""

from __future__ import annotations

from dataclasses import dataclass

from pushkeep.client.given import Payload, SubscriptionLike
from pushkeep.errors import InvalidInput
from pushkeep.protocol.outcome import Outcome
from pushkeep.protocol.request import TTL_SECONDS_DEFAULT


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """One message to one subscription. Nothing is checked until its turn comes.

    Attributes:
        subscription: as :meth:`PushClient.send` takes it.
        payload: likewise.
        ttl: seconds the push service keeps the message for a browser that is offline.
        urgency: ``very-low``, ``low``, ``normal`` or ``high``; None is ``normal``.
        topic: replaces a message of the same topic that is still waiting for the same browser.
        reference: anything of yours, such as the row's id; handed back with the result.
    """

    subscription: SubscriptionLike
    payload: Payload = None
    ttl: int = TTL_SECONDS_DEFAULT
    urgency: str | None = None
    topic: str | None = None
    reference: object = None

    def __repr__(self) -> str:
        return f"<Message for {self.reference!r}>"


@dataclass(frozen=True, slots=True)
class SendResult:
    """What became of one message: an outcome, or the error that kept it from being sent. Never both.

    Attributes:
        reference: the message's, unchanged.
        outcome: what the push service or the network made of it.
        error: what is wrong with the message or its subscription; nothing was sent. ``error.field`` names it.
    """

    reference: object
    outcome: Outcome | None = None
    error: InvalidInput | None = None

    @property
    def accepted(self) -> bool:
        """Whether the push service took the message."""
        return self.outcome is not None and self.outcome.accepted
