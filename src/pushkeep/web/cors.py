"""Which pages may use the browser routes: those of the project's site and of the origins its operator has added.

Others are refused, and may not read that either (Fetch standard). Whoever is no browser can claim any origin: the list
keeps foreign pages from subscribing their visitors here, and what is secret is protected by tokens.
"""

from __future__ import annotations

from pushkeep.app.context import Services

CLIENT_PREFIX = "/v1/client/"
PREFLIGHT_SECONDS = 600
"""How long a browser remembers a preflight. Chromium caps it at two hours; a new site URL should work sooner."""


async def site_origins(services: Services, path: str, *, look_up: bool) -> frozenset[str] | None:
    """The origins whose pages may use the project that ``path``, a browser route, is of.

    Args:
        services: the ports.
        path: of the browser route, with the project's key in it.
        look_up: ask the store where what was read last is not of this moment.

    Returns:
        None where there is no such project, or none was read yet and nobody was to be asked.
    """
    key = path.removeprefix(CLIENT_PREFIX).partition("/")[0]
    known = await services.projects.find(key) if look_up else services.projects.last_known(key)
    return None if known is None else known.origins


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
