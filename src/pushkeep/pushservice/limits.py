"""What the local push service accepts from outside at most, each number with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on everything a stranger can send, hold open or make the service remember.

    Attributes:
        connections_max: open connections of one listener; a browser needs one or two, a sender a few dozen;
            times streams and bodies this also bounds memory.
        clients_max: browsers remembered; room for 100,000 synthetic ones and as many again.
        subscriptions_max: subscriptions remembered, of all clients together.
        subscriptions_per_client_max: one profile with more is a loop gone wild; real profiles have dozens.
        fault_counters_max: subscriptions whose requests are counted for faults, those of each fault added up; four
            faults about a crowd of 100,000, 42 MB.
        messages_per_client_max: stored for one offline client; Mozilla resets a client at 150, we drop the
            oldest and say so.
        messages_max: stored in all.
        message_bytes_max: bodies stored in all.
        request_line_and_header_bytes_max: 2 KB of endpoint and 1 KB of token fit eight times.
        request_body_bytes_max: what is kept of a request body; the largest allowed message has 4,096 octets,
            and a check-in is smaller.
        request_discard_bytes_max: read and thrown away, so that a client with too large a body still gets
            its 413 instead of a broken pipe; beyond this the connection is cut.
        request_seconds_max: from the first octet of a request to its last.
        idle_seconds_max: an HTTP connection with nothing under way is closed after this.
        write_seconds_max: a peer that does not read for so long is cut off.
        handshake_seconds_max: for TLS and for the first frame (autopush: 5 s in the real service).
        login_seconds_max: from TLS to Chromium's LoginRequest; it reads for 30 s itself.
        streams_max: concurrent HTTP/2 streams of a connection, the number Mozilla and Google offer.
        resets_per_connection_max: streams a client may reset before it is told to calm down
            (the rapid-reset attack); an ordinary sender cancels a few time-outs.
        frames_per_connection_max: HTTP/2 frames besides those of requests (SETTINGS, PING, PRIORITY, unknown ones);
            an ordinary client sends a few in an hour.
        frames_per_stream_max: frames more for each request; one with the largest body in small pieces has 30.
        frame_bytes_max: one autopush message; an ack list of 100 ids is 12 KB.
        idle_frames_max: WebSocket frames in a row that complete no message (pings, fragments), and MCS frames in a
            row without a message to acknowledge; real clients send one in some minutes.
        mcs_frame_bytes_max: one MCS frame; a LoginRequest with 700 unacknowledged ids is 24 KB.
        in_flight_per_client_max: messages sent and not yet acknowledged; Chromium acknowledges at the latest
            after ten.
        ping_interval_seconds: WebSocket pings, as the real service sends them.
        pong_seconds_max: time for the pong; the real service gives 4 s, a loaded test machine needs more.
        events_kept: the newest events kept for listing and for waits that start late.
        acks_kept: the newest acknowledgements kept for listing.
    """

    connections_max: int = 512
    clients_max: int = 200_000
    subscriptions_max: int = 400_000
    subscriptions_per_client_max: int = 10_000
    fault_counters_max: int = 400_000
    messages_per_client_max: int = 1_000
    messages_max: int = 400_000
    message_bytes_max: int = 256 * 1024 * 1024
    request_line_and_header_bytes_max: int = 32_768
    request_body_bytes_max: int = 16_384
    request_discard_bytes_max: int = 4 * 1024 * 1024
    request_seconds_max: float = 30.0
    idle_seconds_max: float = 300.0
    write_seconds_max: float = 30.0
    handshake_seconds_max: float = 10.0
    login_seconds_max: float = 30.0
    streams_max: int = 100
    resets_per_connection_max: int = 1_000
    frames_per_connection_max: int = 5_000
    frames_per_stream_max: int = 50
    frame_bytes_max: int = 65_536
    idle_frames_max: int = 2_000
    mcs_frame_bytes_max: int = 262_144
    in_flight_per_client_max: int = 100
    ping_interval_seconds: float = 300.0
    pong_seconds_max: float = 30.0
    events_kept: int = 20_000
    acks_kept: int = 20_000
