"""What the use cases ask of the outside world: small protocols, each implemented in ``adapters``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from pushkeep.domain.action import Action
from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import NewProject, Project, ProjectSigningKey
from pushkeep.domain.registration import Registration
from pushkeep.domain.subscription import EndReason, Recipient, State, SubscriptionRecord
from pushkeep.protocol.answer import Answer
from pushkeep.protocol.request import PushRequest

if TYPE_CHECKING:  # the library needs neither
    from pushkeep.domain.doctor.identity import KeyFile
    from pushkeep.domain.doctor.site import Fetched


class Transport(Protocol):
    """Carries one push request to its endpoint."""

    async def post(self, request: PushRequest) -> Answer:
        """Post ``request`` once and return what came of it; a failure is a value, never an exception."""
        ...

    async def aclose(self) -> None:
        """Let requests in flight finish within the transport's time limit, then close every connection."""
        ...


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never step back; for measuring durations."""
        ...


class Entropy(Protocol):
    """Draws what must not be guessed."""

    def salt(self) -> bytes:
        """16 random octets, fresh for each message (RFC 8188 section 2.1)."""
        ...

    def ephemeral_key(self) -> EllipticCurvePrivateKey:
        """A fresh P-256 key pair for one message (RFC 8291 section 3.1)."""
        ...

    def token_bytes(self, count: int) -> bytes:
        """``count`` random octets for identifiers and secrets."""
        ...


class Sleeper(Protocol):
    """Waits; apart from the clock so that tests let hours pass at once."""

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""
        ...


class BlockingSleeper(Protocol):
    """As :class:`Sleeper`, for callers without an event loop."""

    def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""
        ...


class Surroundings(Protocol):
    """Looks at what lies around a sender: files, names, a site. Nothing it does fails; what it cannot see it says."""

    async def secret_file(self, path: str) -> KeyFile:
        """A file with a secret, its permissions, and what git has to do with it."""
        ...

    async def addresses(self, host: str, port: int) -> Sequence[tuple[str, str | None]]:
        """The addresses of a name, each with the reason why no endpoint may lead there; none if it has none."""
        ...

    async def fetch(self, url: str) -> Fetched:
        """GET a URL of the operator's own site, without following a redirect."""
        ...


@dataclass(frozen=True, slots=True)
class ProjectSecrets:
    """What a project signs and verifies tokens with.

    Attributes:
        identity: shared with the site's own server, which signs identity tokens.
        sync: never leaves Pushkeep; makes sync tokens.
    """

    identity: bytes = field(repr=False)
    sync: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredRegistration:
    """A stored registration.

    Attributes:
        record: the row after it.
        created: whether the row is new; a returning browser finds its old one.
    """

    record: SubscriptionRecord
    created: bool


@dataclass(frozen=True, slots=True)
class ResultUpdate:
    """What one message changes in its subscription's row.

    Attributes:
        id: the row.
        version: the row's version when the message was sent; another one now means that the result is stale.
        action: ``DONE`` resets the failures, ``FAIL`` counts one, ``END`` ends the row. Others change nothing.
        reason: why it ends; for ``END`` only.
        suspect_days: the days on which the push service has doubted it by now; for ``FAIL`` only, None changes none.
    """

    id: int
    version: int
    action: Action
    reason: EndReason | None = None
    suspect_days: frozenset[int] | None = None


class ProjectStore(Protocol):
    """Keeps projects and their keys. Every method is one unit of work; it is kept or it did not happen."""

    async def ensure_project(self, new: NewProject) -> Project:
        """Return the first project with its settings brought to those of ``new``; create it where there is none.

        Two processes that start at once get the same one. The secrets of ``new`` are used only to create.
        """
        ...

    async def default_project(self) -> Project | None:
        """The first project as it is stored; None before the first start."""
        ...

    async def project_by_publishable_key(self, key: str) -> Project | None:
        """The project of a ``pk_…`` key."""
        ...

    async def add_api_key(self, project: Project, *, key_id: str, digest: bytes, label: str, now: float) -> None:
        """Store an API key's digest under its id, which must be new."""
        ...

    async def api_key_digest(self, key_id: str) -> tuple[Project, bytes] | None:
        """The project and digest stored under an API key's id."""
        ...

    async def signing_keys(self, project: Project) -> tuple[ProjectSigningKey, ...]:
        """Every key whose subscriptions are still sent to, the active one first. There is always an active one."""
        ...

    async def project_secrets(self, project: Project) -> ProjectSecrets:
        """What the project's tokens are made with."""
        ...


class SubscriptionStore(Protocol):
    """Keeps subscriptions. Every method is one unit of work; it is kept or it did not happen."""

    async def register(self, project: Project, registration: Registration) -> StoredRegistration:
        """Carry out what :func:`pushkeep.domain.registration.plan` decides, atomically.

        At most one row exists for each endpoint and signing key, however many register at once.

        Raises:
            Conflict: as ``plan`` and ``check_owner_has_room`` do; nothing has changed then.
        """
        ...

    async def find_subscription(self, project: Project, any_id: AnyId) -> SubscriptionRecord | None:
        """The record of an id, ended ones too."""
        ...

    async def list_subscriptions(
        self, project: Project, *, state: State | None, limit: int, after: int
    ) -> tuple[SubscriptionRecord, ...]:
        """Records with an internal id above ``after``, in the order of their ids."""
        ...

    async def recipients_of_all(self, project: Project, *, limit: int, after: int) -> tuple[Recipient, ...]:
        """Active subscriptions with an internal id above ``after``, in the order of their ids."""
        ...

    async def recipients_by_contact(
        self, project: Project, external_ids: Sequence[str], *, limit: int
    ) -> tuple[Recipient, ...]:
        """Active subscriptions of these contacts, in the order of their ids, at most ``limit``."""
        ...

    async def recipients_by_id(self, project: Project, ids: Sequence[AnyId]) -> tuple[Recipient, ...]:
        """The subscriptions of these ids in any state; unknown ids are left out."""
        ...

    async def end_subscription(self, project: Project, any_id: AnyId, reason: EndReason) -> SubscriptionRecord | None:
        """End an active subscription and erase its endpoint and keys.

        Returns:
            the record after it; one that had ended before is returned unchanged. None for an unknown id.
        """
        ...

    async def active_by_signing_key(self, project: Project) -> Mapping[int, int]:
        """How many active subscriptions are bound to which signing key, by the key's number; none is left out."""
        ...

    async def apply_results(self, project: Project, updates: Sequence[ResultUpdate], *, now: float) -> frozenset[int]:
        """Write down what messages changed; returns the ids of the rows that were still of that version."""
        ...


class Store(ProjectStore, SubscriptionStore, Protocol):
    """Everything that is kept."""

    async def check(self) -> None:
        """Prove that the store answers.

        Raises:
            Unavailable: it does not.
        """
        ...

    async def aclose(self) -> None:
        """Finish what was begun and let go of the database."""
        ...
