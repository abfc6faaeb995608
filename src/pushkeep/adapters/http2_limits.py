"""What one transport may spend, and what it has spent."""

from __future__ import annotations

from dataclasses import dataclass, fields

from pushkeep.errors import InvalidInput
from pushkeep.protocol.answer import RESPONSE_BODY_BYTES_MAX


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """What one transport spends at most.

    Attributes:
        connect_seconds_max: for name, socket and TLS together. A push service that takes longer is down.
        total_seconds_max: for one request, the wait for a free connection included.
        response_body_bytes_max: more is not read; error texts in the field are under 1 KB.
        response_header_bytes_max: status lines and header fields together; push services send under 1 KB.
        response_header_lines_max: and under 20 of them.
        in_flight_max: requests at once; further ones wait their turn. Each holds a libcurl handle of some 20 KB.
        host_connections_max: connections to one server. HTTP/2 carries about 100 requests on each.
        connections_max: connections in all to known push services, and as many to all others, so that many self-hosted
            services cannot use up file descriptors.
        connection_seconds_max: a connection older than this takes no new request, so that changed addresses and
            renewed certificates are noticed.

    Raises:
        InvalidInput: one of them is not above 0, or not a whole number where it counts something.
    """

    connect_seconds_max: float = 10.0
    total_seconds_max: float = 30.0
    response_body_bytes_max: int = RESPONSE_BODY_BYTES_MAX
    response_header_bytes_max: int = 16_384
    response_header_lines_max: int = 100
    in_flight_max: int = 256
    host_connections_max: int = 8
    connections_max: int = 256
    connection_seconds_max: int = 3600

    def __post_init__(self) -> None:
        for field in fields(self):
            value: object = getattr(self, field.name)
            allowed = int | float if isinstance(field.default, float) else int
            if isinstance(value, bool) or not isinstance(value, allowed) or not 0 < value < _NUMBER_MAX:
                kind = "a number" if isinstance(field.default, float) else "a whole number"
                raise InvalidInput(f"{field.name} must be {kind} above 0 and below {_NUMBER_MAX}.", field=field.name)


_NUMBER_MAX = 2**31 // 1000
"""libcurl counts time in milliseconds and takes no number above 31 bits."""


@dataclass(slots=True)
class TransportStatistics:
    """What a transport has done so far.

    Attributes:
        requests: requests handed to libcurl.
        handles_created: libcurl handles made; re-used ones are not counted again.
        connections_opened: sockets opened.
        http_1_answers: answers over HTTP/1.1: a service that should not need it is worth a look.
    """

    requests: int = 0
    handles_created: int = 0
    connections_opened: int = 0
    http_1_answers: int = 0
