"""When a browser is asked for a new subscription in place of the one it has.

It then makes one beside the old one, which stays in use until the new one is registered: make before break.
"""

from __future__ import annotations

from pushkeep.domain.health import not_dialled
from pushkeep.domain.subscription import State, SubscriptionRecord

GRACE_SECONDS_DEFAULT = 3600
"""How long a browser keeps a subscription that it has replaced. What was on its way to it arrives within seconds of the
browser being online; the hour is for a lid that closes just then. Nothing new is sent to it meanwhile."""


def wants_renewal(record: SubscriptionRecord, active_key_id: int) -> bool:
    """Whether its browser should make a new subscription with the active signing key.

    Args:
        record: as it is stored.
        active_key_id: internal number of the project's active signing key.

    Returns:
        True where its push service has given it up or refuses it for days (a new one may well work), and for a living
        one that was made with a key on its way out. Not where it is in quarantine because its endpoint must not be
        dialled: the browser's next one would lie at the same push service. Not where it has ended otherwise.
    """
    if not record.living:
        return record.state is State.GONE
    if record.state is State.QUARANTINED and not not_dialled(record):
        return True
    return record.state is State.NEEDS_RENEWAL or record.signing_key_id != active_key_id
