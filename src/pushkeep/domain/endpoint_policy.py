"""Which push services this installation talks to.

An endpoint comes from a stranger and makes the server open a connection. Only hosts in the vendor table, in the
origin map, or allowed by the operator are accepted when a subscription is registered; the address itself is checked
again when the connection is opened, by the transport.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pushkeep.domain.origin_map import OriginMap
from pushkeep.errors import Forbidden
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.vendors import Vendor


@dataclass(frozen=True, slots=True)
class EndpointPolicy:
    """The operator's choice of push services.

    Attributes:
        origin_map: origins served from elsewhere, with their vendor rows; being listed there is being allowed.
        allowed_origins: further origins, as :func:`~pushkeep.protocol.endpoint.parse_origin` writes them.
    """

    origin_map: OriginMap = field(default_factory=OriginMap)
    allowed_origins: frozenset[str] = frozenset()

    def vendor_for(self, endpoint: Endpoint) -> Vendor:
        """The vendor row that explains this endpoint's answers."""
        return self.origin_map.vendor_for(endpoint)

    def check(self, endpoint: Endpoint) -> None:
        """Accept a known or allowed push service.

        Raises:
            Forbidden: the endpoint's origin is neither known, mapped nor allowed.
        """
        if endpoint.origin in self.allowed_origins or self.origin_map.get(endpoint.origin) is not None:
            return
        if not self.vendor_for(endpoint).known:
            raise Forbidden(
                f"endpoint is at {endpoint.origin}, which is not a known push service; if it is yours, add that "
                f"origin to allowed_origins.",
                field="endpoint",
            )
