"""The server's own signing keys: whether every subscription's key is there, and what a rotation still has to do.

Source: RFC 8292 section 4.2 (a subscription is bound to its key); ``docs/key-rotation.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pushkeep.domain.doctor.findings import Finding, ok, problem, warning
from pushkeep.domain.project import KeyState
from pushkeep.domain.signing_keys import KeyRecord, KeyUsage
from pushkeep.protocol.signing_key import SigningKey

_NOBODY = KeyUsage()


def bound_findings(
    keys: Sequence[KeyRecord], usage: Mapping[int, KeyUsage], given: SigningKey | None = None
) -> Iterator[Finding]:
    """Whether every living subscription's key is there, and what is to be done about keys.

    Args:
        keys: every key the project has had.
        usage: the living subscriptions that are bound to which key, by number.
        given: a key from a file, to be found among them.
    """
    for key in keys:
        yield from _key_findings(key, usage.get(key.id, _NOBODY))
    lost = sum(found.living for key_id, found in usage.items() if key_id not in {key.id for key in keys})
    if lost:
        yield problem(
            "bound_keys",
            "Subscriptions whose key is gone",
            f"{_subscriptions(lost)} bound to a signing key that is not there; nothing can be sent to them",
            "Restore the key from a backup; without it these browsers subscribe again at their next visit.",
        )
    waiting = sum(found.waiting for found in usage.values())
    if waiting:
        yield warning(
            "needs_renewal",
            "Subscriptions that wait for their browsers",
            f"{_subscriptions(waiting)} not sent to: the key it was made with does not open it any more",
            "Bring the visitors to a page with the SDK: it renews the subscription by itself.",
        )
    if given is not None and all(key.public_bytes != given.public_bytes for key in keys):
        yield warning(
            "bound_keys",
            "The given key is none of this server's",
            f"no stored subscription is bound to {given.key_id}",
            "Sending with it fails with key_mismatch; send with the server's own key.",
        )


def _key_findings(key: KeyRecord, usage: KeyUsage) -> Iterator[Finding]:
    title = f"Signing key {key.key_id} ({key.state.value})"
    bound = f"{_subscriptions(usage.bound)} bound to it"
    retire = f"pushkeep keys retire {key.key_id}"
    if key.state is KeyState.RETIRED:
        if usage.bound:
            yield problem(
                "bound_keys",
                "A signing key's retirement was interrupted",
                f"{bound}, and nothing can be sent to them",
                f"Run again: {retire}",
            )
    elif key.leaked_at is not None:
        yield problem(
            "leaked_key",
            f"{title} has leaked",
            f"{bound}; whoever has it and an endpoint can send in your name",
            "Send a message to everybody, which tells these browsers to renew; give the rest up when you can: "
            f"{retire} --force"
            if usage.bound
            else f"Run: {retire}",
        )
    elif key.state is KeyState.RETIRING and not usage.bound:
        yield warning("bound_keys", f"{title} is not needed any more", bound, f"Run: {retire}")
    else:
        yield ok("bound_keys", title, bound)


def _subscriptions(count: int) -> str:
    return "1 living subscription is" if count == 1 else f"{count} living subscriptions are"
