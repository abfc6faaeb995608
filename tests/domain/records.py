"""A stored subscription to vary."""

from __future__ import annotations

from pushkeep.domain.subscription import State, SubscriptionRecord

RECORD = SubscriptionRecord(
    id=1,
    public_id="01939f6b-2f7c-7b6e-a2f3-5d1c8e0b9a47",
    short_id="HMV192av",
    project_id=1,
    contact_external_id=None,
    origin="https://fcm.googleapis.com",
    vendor="fcm",
    state=State.ACTIVE,
    signing_key_id=1,
    created_at=0.0,
    last_seen_at=0.0,
    last_accepted_at=None,
    consecutive_failures=0,
    suspect_days=frozenset(),
    state_reason=None,
    superseded_by=None,
    version=1,
    keys_hash=bytes(16),
)
"""Just registered, by nobody known."""
