"""The handful of errors Pushkeep raises.

Each has a stable ``code``, a ``message`` that a person can act on, and says whether trying again can help
(``permanent``). A message never contains a secret, a payload or a full endpoint. HTTP statuses are chosen in
the web layer only; an answer of a push service is not an error at all but an
:class:`~pushkeep.protocol.outcome.Outcome`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class PushkeepError(Exception):
    """Base of every error raised on purpose.

    Attributes:
        message: one sentence naming what is wrong, the limit and the remedy.
        field: the name of the offending input field, where there is one.
    """

    code: ClassVar[str] = "error"
    permanent: ClassVar[bool] = True

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class InvalidInput(PushkeepError, ValueError):
    """Something given to Pushkeep is malformed; ``field`` names it."""

    code = "invalid_input"


class PayloadTooLarge(InvalidInput):
    """A payload does not fit into one message.

    Attributes:
        excess_bytes: by how many bytes the plaintext, with its padding, is over the limit.
    """

    code = "payload_too_large"

    def __init__(self, message: str, *, excess_bytes: int, field: str | None = "payload") -> None:
        super().__init__(message, field=field)
        self.excess_bytes = excess_bytes


class Undecryptable(PushkeepError):
    """A message body cannot be opened with this subscription's keys."""

    code = "undecryptable"


class InvalidToken(PushkeepError):
    """A VAPID token, identity token or sync token does not hold.

    Attributes:
        reason: a short machine-readable word, listed where the token is verified.
    """

    code = "invalid_token"

    def __init__(self, message: str, *, reason: str, field: str | None = None) -> None:
        super().__init__(message, field=field)
        self.reason = reason


class NotFound(PushkeepError):
    """The named thing does not exist, or not in this project."""

    code = "not_found"


class Conflict(PushkeepError):
    """The request contradicts what is stored.

    Attributes:
        details: facts the caller needs to put it right, by name.
        reason: a short machine-readable word where callers act on it, listed where the conflict is found; else None.
    """

    code = "conflict"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        details: Mapping[str, str | int] | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message, field=field)
        self.details: Mapping[str, str | int] = dict(details or {})
        self.reason = reason


class Unauthorized(PushkeepError):
    """No credential, or one that does not hold."""

    code = "unauthorized"


class Forbidden(PushkeepError):
    """The credential holds, or none is needed, but this is not allowed."""

    code = "forbidden"


class RateLimited(PushkeepError):
    """Too many requests from one place.

    Attributes:
        retry_after_seconds: when another request may succeed.
    """

    code = "rate_limited"
    permanent = False

    def __init__(self, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(PushkeepError):
    """Something Pushkeep depends on does not answer now, or more waits than is taken on; trying later can help.

    Attributes:
        retry_after_seconds: when another request may succeed; None where nobody can tell.
    """

    code = "unavailable"
    permanent = False

    def __init__(self, message: str, *, field: str | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(message, field=field)
        self.retry_after_seconds = retry_after_seconds


class ConfigurationError(PushkeepError):
    """A setting is missing, unreadable or contradicts another; ``field`` names it."""

    code = "configuration"
