"""What the use cases ask of the outside world: small protocols, each implemented in ``adapters``."""

from __future__ import annotations

from typing import Protocol

from pushkeep.ports.audiences import ContactStore, ReceiptStore
from pushkeep.ports.consents import ConsentStore
from pushkeep.ports.keys import KeyStore
from pushkeep.ports.lanes import LaneStore, Wakeups
from pushkeep.ports.lifecycle import DayCount, LifecycleStore, NumberedEntry
from pushkeep.ports.moving import ExportStore, ImportStore
from pushkeep.ports.notifications import NotificationStore
from pushkeep.ports.outside import (
    BlockingSleeper,
    Cancellable,
    Clock,
    Entropy,
    Sleeper,
    Surroundings,
    Transport,
)
from pushkeep.ports.privacy import ErasureList, PrivacyStore
from pushkeep.ports.projects import ProjectSecrets, ProjectStore
from pushkeep.ports.secrets import SecretStore
from pushkeep.ports.shards import ShardStore
from pushkeep.ports.subscriptions import ResultUpdate, StoredRegistration, SubscriptionStore
from pushkeep.ports.sweeps import ChoreStore, SweepStore

__all__ = [
    "BlockingSleeper",
    "Cancellable",
    "ChoreStore",
    "Clock",
    "ConsentStore",
    "ContactStore",
    "DayCount",
    "Entropy",
    "ErasureList",
    "ExportStore",
    "ImportStore",
    "KeyStore",
    "LaneStore",
    "LifecycleStore",
    "NotificationStore",
    "NumberedEntry",
    "PrivacyStore",
    "ProjectSecrets",
    "ProjectStore",
    "ReceiptStore",
    "ResultUpdate",
    "SecretStore",
    "ShardStore",
    "Sleeper",
    "Store",
    "StoredRegistration",
    "SubscriptionStore",
    "Surroundings",
    "SweepStore",
    "Transport",
    "Wakeups",
]


class Store(
    ProjectStore,
    KeyStore,
    SubscriptionStore,
    LifecycleStore,
    ContactStore,
    ConsentStore,
    NotificationStore,
    ShardStore,
    LaneStore,
    ReceiptStore,
    PrivacyStore,
    SweepStore,
    ChoreStore,
    ImportStore,
    ExportStore,
    SecretStore,
    Protocol,
):
    """Everything that is kept."""

    async def check(self) -> None:
        """Prove that the store answers.

        Raises:
            Unavailable: it does not.
        """
        ...

    def wakeups(self) -> Wakeups:
        """What hears of changes from now on; for one worker. It ends with the store."""
        ...

    async def aclose(self) -> None:
        """Finish what was begun and let go of the database."""
        ...
