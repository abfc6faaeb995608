"""What ``pushkeep doctor`` looks at besides sending: who can read what is stored, how old keys are, who was erased."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from pushkeep.domain.doctor.findings import Finding, problem
from pushkeep.domain.doctor.secrets import (
    KEY_DAYS_MAX,
    SIGNING_KEY_DAYS_MAX,
    AgedKey,
    ErasedStanding,
    age_findings,
    change_finding,
    erasure_findings,
    folder_findings,
)
from pushkeep.domain.project import KeyState, Project
from pushkeep.domain.signing_keys import KeyRecord
from pushkeep.errors import Unavailable
from pushkeep.ports import ErasureList, Store, Surroundings
from pushkeep.ports.secrets import SecretKind, SecretsStatus

RESEAL = "pushkeep secrets reseal"


async def examine_folders(folders: Mapping[str, str], surroundings: Surroundings) -> list[Finding]:
    """Look at directories with secrets, and at the files in them.

    Args:
        folders: what each is for, by its path; one that is not there is left out.
        surroundings: looks.
    """
    looks = await asyncio.gather(*(surroundings.folder(path) for path in folders))
    return [
        finding for look, what in zip(looks, folders.values(), strict=True) for finding in folder_findings(look, what)
    ]


async def examine_ages(store: Store, project: Project, *, now: float) -> list[Finding]:
    """Look at how long keys have been in use, and whether a change has come to its end."""
    status, signing = await store.secrets_status(), await store.list_keys(project)
    found = list(age_findings([*_secrets(status), *_signing_keys(signing)], now=now))
    if status.next_master_key_id is not None:
        found.append(change_finding(status.master_key_id, status.next_master_key_id))
    return found


def _secrets(status: SecretsStatus) -> Iterator[AgedKey]:
    rotate = "pushkeep secrets rotate-"
    yield AgedKey(f"master key {status.master_key_id}", status.master_since, KEY_DAYS_MAX, f"{rotate}master")
    for key in status.keys:
        if key.kind is not SecretKind.ERASURE:  # it is not changed: the list could not be read any more
            name, command = f"{key.kind.value} key {key.key_id}", f"{rotate}{key.kind.value}"
            yield AgedKey(name, key.created_at, KEY_DAYS_MAX, command, key.retiring_at, RESEAL)


def _signing_keys(keys: Sequence[KeyRecord]) -> Iterator[AgedKey]:
    """Those in use; of those on their way out :mod:`pushkeep.domain.doctor.keys` says what is to be done."""
    for key in keys:
        if key.state is KeyState.ACTIVE:
            since = key.activated_at or key.created_at
            yield AgedKey(f"signing key {key.key_id}", since, SIGNING_KEY_DAYS_MAX, "pushkeep keys rotate")


async def examine_erasures(store: Store, erasures: ErasureList) -> list[Finding]:
    """Look at whether the list of who was erased has everybody that the database knows of."""
    try:
        standing = await erasures.standing()
    except Unavailable as error:
        remedy = "Make it readable for the server's user: without it a restore brings erased people back."
        return [problem("erasure_list", "The list of who was erased cannot be read", error.message, remedy)]
    applied = await store.erasures_applied()
    return list(
        erasure_findings(ErasedStanding(standing.path, standing.last, applied, standing.missing, len(standing.damaged)))
    )
