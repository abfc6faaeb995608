"""The settings of the browser routes: which pages may use them, how often, and how they say who is logged in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pushkeep.config.readers import read_page_origins, read_path, text_reader, whole_reader
from pushkeep.config.setting import Setting
from pushkeep.domain.renewal import GRACE_SECONDS_DEFAULT
from pushkeep.domain.subscription import SUBSCRIPTIONS_PER_CONTACT_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserSettings:
    """Part of :class:`pushkeep.config.table.Settings`."""

    site_origins: Annotated[
        frozenset[str],
        Setting(
            read_page_origins,
            "list of origins, separated by commas or white space",
            "Further sites whose pages may call the browser routes, beside that of `site_url` and pages that this "
            "server serves itself. Pages of any other origin are refused.",
            default="empty",
        ),
    ] = frozenset()
    client_requests_per_minute: Annotated[
        int,
        Setting(
            whole_reader(1, 100_000),
            "requests a minute, 1 to 100000",
            "How often one address (an IPv6 /64) may call the browser routes in the long run.",
        ),
    ] = 120
    client_requests_burst: Annotated[
        int,
        Setting(
            whole_reader(1, 100_000),
            "requests, 1 to 100000",
            "How many calls of the browser routes one address may make at once; a page load needs two.",
        ),
    ] = 60
    site_requests_per_minute: Annotated[
        int,
        Setting(
            whole_reader(1, 10_000_000),
            "requests a minute, 1 to 10000000",
            "How often the pages of one origin together may call the browser routes, in the long run and at once. The "
            "default is about what one process answers.",
        ),
    ] = 60_000
    contact_requests_per_minute: Annotated[
        int,
        Setting(
            whole_reader(1, 100_000),
            "requests a minute, 1 to 100000",
            "How many registrations may name one contact, in the long run and at once, from all browsers together.",
        ),
    ] = 60
    contact_subscriptions_max: Annotated[
        int,
        Setting(
            whole_reader(1, 10_000),
            "subscriptions, 1 to 10000",
            "How many living subscriptions one contact may have; the next one is refused.",
        ),
    ] = SUBSCRIPTIONS_PER_CONTACT_MAX
    identity_keys_file: Annotated[
        Path | None,
        Setting(
            read_path,
            "path",
            "Public keys of your site or identity provider: PEM, or a JSON Web Key Set. Identity tokens may then be "
            "JSON Web Tokens signed with ES256, RS256 or EdDSA, too. Read at the start.",
            default="none",
        ),
    ] = None
    identity_audience: Annotated[
        str | None,
        Setting(
            text_reader(200),
            "text, 1 to 200 characters",
            "What the `aud` of a JSON Web Token must have. Without this, a token that has an `aud` is meant for "
            "somebody else and refused.",
            default="none",
        ),
    ] = None
    renewal_grace_seconds: Annotated[
        int,
        Setting(
            whole_reader(0, 604_800),
            "seconds, 0 to 604800",
            "How long a browser keeps a subscription that it has replaced, for messages that are on their way to it.",
        ),
    ] = GRACE_SECONDS_DEFAULT
