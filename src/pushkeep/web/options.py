"""What the HTTP interface is told by whoever wires it; it reads no settings itself."""

from __future__ import annotations

from dataclasses import dataclass

from pushkeep.app.accept import BACKLOG_RECIPIENTS_MAX
from pushkeep.app.chores import SweepPlan
from pushkeep.domain.renewal import GRACE_SECONDS_DEFAULT
from pushkeep.domain.site_url import SiteUrl
from pushkeep.web.client_address import Network
from pushkeep.web.logs import LogAddresses


@dataclass(frozen=True, slots=True)
class WebOptions:
    """The operator's choices.

    Attributes:
        public_url: how browsers reach this server.
        trusted_proxies: peers whose forwarding headers are believed.
        client_requests_per_minute: of one address to the browser routes, in the long run.
        client_requests_burst: and at once.
        site_requests_per_minute: of all pages of one origin to the browser routes, in the long run.
        contact_requests_per_minute: registrations that name one contact, in the long run.
        renewal_grace_seconds: how long browsers keep a subscription that they have replaced.
        failed_keys_per_minute: wrong API keys of one address, in the long run.
        require_purpose: whether every notification has to name its purpose.
        backlog_recipients_max: while more than so many wait for their message, no notification is accepted.
        receipts: whether browsers report what they did with a notification.
        sweeps: when and how everything stored is looked over.
        log_addresses: how much of a client's address log lines have.
        body_seconds_max: how long a client may take to send a body; far longer than 512 KB take on a bad phone line,
            and shorter than the time a stop waits.
    """

    public_url: SiteUrl
    trusted_proxies: tuple[Network, ...] = ()
    client_requests_per_minute: int = 120
    client_requests_burst: int = 60
    site_requests_per_minute: int = 60_000
    contact_requests_per_minute: int = 60
    renewal_grace_seconds: int = GRACE_SECONDS_DEFAULT
    failed_keys_per_minute: int = 10
    require_purpose: bool = False
    backlog_recipients_max: int = BACKLOG_RECIPIENTS_MAX
    receipts: bool = True
    sweeps: SweepPlan = SweepPlan()  # noqa: RUF009 - frozen
    log_addresses: LogAddresses = "off"
    body_seconds_max: float = 30.0
