"""The headers that tell browsers what our answers may do: as little as possible."""

from __future__ import annotations

from collections.abc import Mapping

from pushkeep.domain.site_url import SiteUrl

HSTS_SECONDS = 31_536_000
"""A year, as the preload lists ask."""

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""For HTML: everything from this origin, nothing inline, nothing evaluated, no frame around it."""

DATA_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""For everything that is not meant to be a document."""


def worker_policy(public_url: SiteUrl) -> str:
    """For the service worker: a worker is governed by its own script's policy, not by its page's.

    It loads the rest of itself from its own origin, calls this server, and shows pictures from anywhere on https.
    """
    return (
        f"default-src 'none'; script-src 'self'; connect-src 'self' {public_url.origin}; img-src 'self' https:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def common_headers(public_url: SiteUrl) -> Mapping[str, str]:
    """What every answer carries unless it says otherwise."""
    headers = {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Frame-Options": "DENY",
        "Content-Security-Policy": DATA_POLICY,
        "Cache-Control": "no-store",
    }
    if public_url.scheme == "https":
        headers["Strict-Transport-Security"] = f"max-age={HSTS_SECONDS}"
    return headers
