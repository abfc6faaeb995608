"""Saying what was erased."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pushkeep.cli.common import print_report, say

if TYPE_CHECKING:
    from pushkeep.ports.privacy import ErasedCounts

_WORDS = {
    "contacts": ("contact", "contacts"),
    "subscriptions": ("subscription", "subscriptions"),
    "consents": ("consent record", "consent records"),
    "notifications": ("notification that was for nobody else", "notifications that were for nobody else"),
    "outcomes": ("outcome", "outcomes"),
    "receipts": ("receipt", "receipts"),
    "tags": ("tag that nobody else had", "tags that nobody else had"),
}


def show_erased(counts: ErasedCounts, *, json: bool) -> None:
    """Say what was erased, to people or to programs."""
    if json:
        from pushkeep.web.privacy_schemas import erasure_report

        print_report(erasure_report(counts))
        return
    found = [f"{count} {_WORDS[name][count != 1]}" for name, count in asdict(counts).items() if count]
    say(f"Erased: {', '.join(found)}." if found else "Nothing is stored under this id.")
