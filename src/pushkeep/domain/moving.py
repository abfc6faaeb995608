"""Moving in: what an import is made of, whatever the file looked like.

A file is read twice. The first reading checks everything there is and writes nothing; the second hands the same records
to the store, page by page. Both see records in the same order with the same numbers, so that an import which was cut
off knows where to go on. What cannot be taken is a :class:`Fault` that names its line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from pushkeep.errors import InvalidInput, PushkeepError
from pushkeep.protocol.subscription import Subscription

IMPORT_PAGE_RECORDS = 500
"""Records in one transaction: others wait meanwhile, for some 70 ms, and a commit costs next to nothing for each."""

FAULTS_SHOWN_MAX = 100
"""Whoever has more has one cause for all of them; the rest is only counted."""

LINE_BYTES_MAX = 65_536
"""A subscription's own JSON is at most 16 KB, and a table's other columns are names and dates."""


class Format(StrEnum):
    """What files are read."""

    PUSHKEEP = "pushkeep"
    """Its own, complete."""
    WEB_PUSH = "web-push"
    """npm web-push: the browser's JSON."""
    PYWEBPUSH = "pywebpush"
    """The browser's JSON as ``subscription_info``."""
    WEB_PUSH_PHP = "web-push-php"
    """minishlink/web-push: ``endpoint``, ``publicKey``, ``authToken``, ``contentEncoding``."""
    LARAVEL = "laravel"
    """The table ``push_subscriptions`` of laravel-notification-channels/webpush."""
    DJANGO_PUSH_NOTIFICATIONS = "django-push-notifications"
    """The table of its model ``WebPushDevice``."""
    DJANGO_WEBPUSH = "django-webpush"
    """The tables of its models ``SubscriptionInfo``, ``PushInformation`` and ``Group``."""


@dataclass(frozen=True, slots=True)
class MovedRecord:
    """Something that an import can bring; each kind is a class of its own."""

    kind: ClassVar[str] = "records"
    """What they are called where they are counted."""


@dataclass(frozen=True, slots=True)
class ForeignSubscription(MovedRecord):
    """A subscription from elsewhere; which signing key it was made with is said once for the whole file.

    Attributes:
        subscription: endpoint and keys, checked.
        owner: the contact's external id; None for nobody.
        tags: further tags for that contact; none without one.
        created_at: epoch seconds; None where nobody wrote it down.
        vendor: the vendor row's name; no file says it, so whoever knows the push services fills it in.
    """

    kind: ClassVar[str] = "subscriptions"

    subscription: Subscription
    owner: str | None = None
    tags: tuple[str, ...] = ()
    created_at: float | None = None
    vendor: str = ""


@dataclass(frozen=True, slots=True)
class Numbered:
    """A record and where it stands.

    Attributes:
        number: from 1, in the order of the file; what was skipped or is wrong has a number, too.
        line: from 1; several records may stand in one line, and one may go over several: then where it begins.
        record: what it says; None for one that is left out on purpose, such as a device that is switched off.
        why: why it is left out, in a word for the counts.
    """

    number: int
    line: int
    record: MovedRecord | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that cannot be taken.

    Attributes:
        number, line: as in :class:`Numbered`.
        message: one sentence that a person can act on; it has no secret and no whole endpoint.
        field: the name of what is wrong; None where it is all of it.
    """

    number: int
    line: int
    message: str
    field: str | None = None

    @classmethod
    def of(cls, number: int, line: int, error: PushkeepError) -> Fault:
        """What an error says, with its place."""
        return cls(number, line, error.message, error.field)

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


class BrokenFile(InvalidInput):
    """The file as a whole cannot be read, from some line on at the latest; nothing of it is imported."""


Read = Iterator[Numbered | Fault]
"""What a reading of a file gives. It may raise :class:`BrokenFile`."""


@dataclass(frozen=True, slots=True)
class ConsentBrought:
    """That everybody in the file has agreed to something, elsewhere.

    Attributes:
        purpose: its name.
        wording: digest of the declared wording they were shown, 32 octets; None where nobody knows.
    """

    purpose: str
    wording: bytes | None = None


@dataclass(frozen=True, slots=True)
class ImportAsked:
    """One import, as its journal knows it.

    Attributes:
        digest: SHA-256 of the file and of everything that was asked for and makes a difference; 32 octets.
        format: of the file.
        consent: see :class:`ConsentBrought`.
        erased: contacts that were erased here and when (epoch seconds), by the keyed hashes of the erasure list; a file
            from before that does not bring them back.
    """

    digest: bytes = field(repr=False)
    format: Format
    consent: ConsentBrought | None = None
    erased: Mapping[bytes, float] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class NewNames:
    """Drawn for a record that turns out to be new.

    Attributes:
        public_id: UUIDv7 text.
        short_ids: the first that is free is taken.
    """

    public_id: str
    short_ids: tuple[str, ...]
