"""From rows to consent records, and what a row alone shows to be wrong with it."""

from __future__ import annotations

import json
from dataclasses import fields

from pushkeep.adapters.store.rows import AnyRow
from pushkeep.adapters.store.sealing import SealBroken, Vault
from pushkeep.domain.consent import SALT_BYTES, ConsentContent, commitment
from pushkeep.ports.consents import ConsentRecord

_FIELDS = frozenset(field.name for field in fields(ConsentContent))


def open_content(
    vault: Vault, project_public_id: str, number: int, sealed: bytes, committed: bytes
) -> tuple[bytes, ConsentContent]:
    """Salt and content of a record.

    Raises:
        SealBroken: it does not open, or is not what the record's commitment holds it to.
    """
    plaintext = vault.open_consent(project_public_id, number, sealed)
    salt, canonical = plaintext[:SALT_BYTES], plaintext[SALT_BYTES:]
    if commitment(salt, canonical) != committed:
        raise SealBroken(f"The content of consent record {number} is not what its commitment holds it to.")
    value = json.loads(canonical)
    if value.keys() != _FIELDS:
        raise SealBroken(f"The content of consent record {number} is none.")
    return salt, ConsentContent(**value)


def record_from(vault: Vault, project_public_id: str, row: AnyRow) -> ConsentRecord:
    """Open a row of ``consents``.

    Raises:
        SealBroken: as :func:`open_content` does.
    """
    salt, content = None, None
    if row.content is not None:
        salt, content = open_content(vault, project_public_id, row.number, row.content, row.commitment)
    return ConsentRecord(row.number, row.commitment, salt, content, row.erased_at)
