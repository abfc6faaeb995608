"""Figures for machines to watch."""

from __future__ import annotations

from typing import Protocol


class MetricsPage(Protocol):
    """What this process has counted and what it sees, as a monitoring system fetches it."""

    @property
    def media_type(self) -> str:
        """Of the page."""
        ...

    async def page(self) -> bytes:
        """The page at this moment.

        What the store does not tell, because it does not answer, is left out.
        """
        ...
