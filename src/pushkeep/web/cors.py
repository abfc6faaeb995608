"""Which pages may use the browser routes: those of the project's site and of the origins its operator has added.

Others are refused, and may not read that either (Fetch standard). Whoever is no browser can claim any origin: the list
keeps foreign pages from subscribing their visitors here, and what is secret is protected by tokens.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from pushkeep.app.context import Services
from pushkeep.app.projects import project_by_publishable_key
from pushkeep.domain.site_url import SiteUrl
from pushkeep.errors import NotFound

CLIENT_PREFIX = "/v1/client/"
PREFLIGHT_SECONDS = 600
"""How long a browser remembers a preflight. Chromium caps it at two hours; a new site URL should work sooner."""

REMEMBERED_SECONDS = 30.0
"""How long a project's origin is remembered here, so that a flood of preflights does not reach the database."""

PROJECTS_MAX = 1000
"""Projects remembered; only existing ones are, so the bound is never met by guessing."""


class SiteOrigins:
    """Remembers each project's origins for a moment."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._known: OrderedDict[str, tuple[float, frozenset[str]]] = OrderedDict()

    async def of(self, services: Services, path: str, *, look_up: bool) -> frozenset[str] | None:
        """The origins whose pages may use the project that ``path``, a browser route, is of.

        Args:
            services: the ports.
            path: of the browser route, with the project's key in it.
            look_up: ask the store where nothing is remembered.

        Returns:
            None where there is no such project, or nothing is remembered and nobody was to be asked.
        """
        key = path.removeprefix(CLIENT_PREFIX).partition("/")[0]
        now = self._monotonic()
        known = self._known.get(key)
        if known is None or known[0] <= now:
            if not look_up:
                return None
            try:
                project = await project_by_publishable_key(services, key)
            except NotFound:
                self._known.pop(key, None)
                return None
            site = SiteUrl.parse(project.site_url, field="site_url").origin
            known = (now + REMEMBERED_SECONDS, project.allowed_origins | {site})
            self._known[key] = known
            self._known.move_to_end(key)
            while len(self._known) > PROJECTS_MAX:
                self._known.popitem(last=False)
        return known[1]


def answer_headers(origin: str | None) -> list[tuple[str, str]]:
    """For every answer of a browser route; ``origin`` is None where the asking page may not read it."""
    headers = [("Vary", "Origin")]
    if origin is not None:
        headers += [
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Expose-Headers", "Retry-After, X-Request-ID"),
        ]
    return headers


def preflight_headers(origin: str | None) -> list[tuple[str, str]]:
    """For the answer to a preflight. Credentials are never allowed: no route uses cookies."""
    headers = answer_headers(origin)
    if origin is not None:
        headers += [
            ("Access-Control-Allow-Methods", "GET, POST, DELETE"),
            ("Access-Control-Allow-Headers", "Authorization, Content-Type"),
            ("Access-Control-Max-Age", str(PREFLIGHT_SECONDS)),
        ]
    return headers
