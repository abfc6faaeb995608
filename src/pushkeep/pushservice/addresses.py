"""Where a running push service listens, and how browsers and senders are pointed at it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pushkeep.errors import ConfigurationError
from pushkeep.protocol.endpoint import is_loopback_host
from pushkeep.pushservice.admin import ADMIN_PREFIX
from pushkeep.pushservice.certificates import Certificates
from pushkeep.pushservice.core import Subscription
from pushkeep.pushservice.fcm.checkin import CHECKIN_PATH
from pushkeep.pushservice.fcm.registration import REGISTRATION_PATH
from pushkeep.pushservice.http.listener import Listener
from pushkeep.pushservice.personalities.routes import VENDOR_HOSTS, endpoint, own_endpoint
from pushkeep.pushservice.sink import Sink

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


class Addresses:
    """The addresses of one service; they are known once it listens."""

    _host: str
    _certificates: Certificates | None
    _https: Listener | Sink
    _plain: Listener
    _mcs: Listener

    @property
    def url(self) -> str:
        """The https origin, of which Firefox's endpoints are."""
        return f"https://{self._url_host()}:{self._https.port}"

    @property
    def unifiedpush_url(self) -> str:
        """The https origin by its address: UnifiedPush's endpoints are of it, so that a sender can tell them from
        Mozilla's by their origin. On an address that is not loopback it is :attr:`url`."""
        host = "127.0.0.1" if self._host == "localhost" else self._host
        return f"https://{bracketed(host)}:{self._https.port}"

    @property
    def autopush_url(self) -> str:
        """For Firefox's ``dom.push.serverURL``, with ``dom.push.testing.allowInsecureServerURL``."""
        return f"ws://{bracketed(self._host)}:{self._plain.port}/"

    @property
    def autopush_tls_url(self) -> str:
        """The same over TLS, for a profile that trusts :attr:`ca_file`."""
        return f"wss://{self._url_host()}:{self._https.port}/"

    @property
    def checkin_url(self) -> str:
        """For Chromium's ``--gcm-checkin-url``."""
        return f"http://{bracketed(self._host)}:{self._plain.port}{CHECKIN_PATH}"

    @property
    def registration_url(self) -> str:
        """For Chromium's ``--gcm-registration-url``."""
        return f"http://{bracketed(self._host)}:{self._plain.port}{REGISTRATION_PATH}"

    @property
    def mcs_url(self) -> str:
        """For Chromium's ``--gcm-mcs-endpoint``."""
        return f"https://{self._url_host()}:{self._mcs.port}"

    @property
    def admin_url(self) -> str:
        """Base of the admin interface."""
        return self.url + ADMIN_PREFIX

    @property
    def ca_file(self) -> Path:
        """The CA certificate to trust for all https addresses."""
        return self._made().ca_file

    @property
    def spki_sha256(self) -> str:
        """For Chromium's ``--ignore-certificate-errors-spki-list``, instead of trusting the CA."""
        return self._made().spki_sha256

    def origin_map_entries(self) -> list[str]:
        """Entries for a sender's origin map: endpoints of these origins are dialled here, with our CA."""
        vendors = {self.url: "mozilla"} | {f"https://{host}": vendor for host, vendor in VENDOR_HOSTS.items()}
        vendors.setdefault(self.unifiedpush_url, "unifiedpush")
        return [f"{origin}={self.url},ca={self.ca_file},vendor={vendor}" for origin, vendor in vendors.items()]

    def overview(self) -> Mapping[str, object]:
        """All addresses, as the admin interface shows them."""
        return {
            "url": self.url,
            "autopush_url": self.autopush_url,
            "autopush_tls_url": self.autopush_tls_url,
            "checkin_url": self.checkin_url,
            "registration_url": self.registration_url,
            "mcs_url": self.mcs_url,
            "ca_file": str(self.ca_file),
            "spki_sha256": self.spki_sha256,
            "origin_map": self.origin_map_entries(),
        }

    def _made(self) -> Certificates:
        if self._certificates is None:
            raise ConfigurationError("The push service is not started.")
        return self._certificates

    def _url_host(self) -> str:
        return "localhost" if is_loopback_host(self._host) else bracketed(self._host)

    def _own_origins(self) -> frozenset[str]:
        names = {*LOOPBACK_NAMES, self._host} if is_loopback_host(self._host) else {self._host}
        return frozenset(f"https://{bracketed(name)}:{self._https.port}".removesuffix(":443") for name in names)

    def _endpoint_of(self, subscription: Subscription) -> str:
        return endpoint(
            subscription.vendor,
            subscription.token,
            restricted=subscription.key is not None,
            own_origin=self.url,
            unifiedpush_origin=self.unifiedpush_url,
        )

    def _own_endpoint_of(self, subscription: Subscription) -> str:
        restricted = subscription.key is not None
        return own_endpoint(subscription.vendor, subscription.token, restricted=restricted, own_origin=self.url)


def bracketed(host: str) -> str:
    """A host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host
