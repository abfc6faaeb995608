"""What every use case is given: the ports, wired once in ``compose``."""

from __future__ import annotations

from dataclasses import dataclass, field

from pushkeep.app.announcer import Announcer
from pushkeep.app.known_projects import KnownProjects
from pushkeep.app.known_purposes import KnownPurposes
from pushkeep.domain.circuit import Circuits
from pushkeep.domain.endpoint_policy import EndpointPolicy
from pushkeep.domain.identity_keys import IdentityRules
from pushkeep.domain.origin_statistics import OriginStatistics
from pushkeep.domain.subscription import SUBSCRIPTIONS_PER_CONTACT_MAX
from pushkeep.ports import Clock, Entropy, ErasureList, Sleeper, Store, Transport
from pushkeep.protocol.token_cache import TokenCache


@dataclass(frozen=True, slots=True)
class Services:
    """The outside world, as the use cases see it.

    Attributes:
        store: where everything is kept.
        transport: carries messages to push services.
        clock: tells the time.
        entropy: draws what must not be guessed.
        sleeper: waits.
        tokens: VAPID tokens in use.
        policy: which push services are talked to.
        statistics: what push services have answered to this process of late.
        circuits: where our tokens are refused at the moment.
        announcer: tells whoever listens what happened.
        identity_rules: what is accepted as an identity token beyond what the project's own secret signs.
        erasures: the list of who was erased; None for a store that ends with its process.
        contact_subscriptions_max: how many living subscriptions a contact may have.
        projects: what was read of projects a moment ago.
        purposes: what was read a moment ago of what visitors are asked.
    """

    store: Store
    transport: Transport
    clock: Clock
    entropy: Entropy
    sleeper: Sleeper
    tokens: TokenCache
    policy: EndpointPolicy
    statistics: OriginStatistics = field(default_factory=OriginStatistics)
    circuits: Circuits = field(default_factory=Circuits)
    announcer: Announcer = field(default_factory=Announcer)
    identity_rules: IdentityRules = field(default_factory=IdentityRules)
    erasures: ErasureList | None = None
    contact_subscriptions_max: int = SUBSCRIPTIONS_PER_CONTACT_MAX
    projects: KnownProjects = field(init=False, repr=False, compare=False)
    purposes: KnownPurposes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "projects", KnownProjects(self.store, self.clock))
        object.__setattr__(self, "purposes", KnownPurposes(self.store, self.clock))
