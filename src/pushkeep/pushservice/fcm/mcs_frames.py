"""The frames of MCS (mobile connection server), read and written; pure.

After one version byte in each direction a frame is: tag (1 octet), length (varint), protobuf message. Source:
Chromium ``mcs.proto``, ``mcs_util.cc``, ``connection_handler_impl.cc``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from pushkeep.errors import InvalidInput
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.pushservice.core import Message
from pushkeep.pushservice.fcm import protobuf

VERSION = 41
"""The only version spoken since 2014; the client also takes 38."""

_STREAM_ACK = 13  # extension id of an IqStanza
_IQ_SET = 1


class Tag(IntEnum):
    """The frame types we know; others are skipped."""

    HEARTBEAT_PING = 0
    HEARTBEAT_ACK = 1
    LOGIN_REQUEST = 2
    LOGIN_RESPONSE = 3
    CLOSE = 4
    IQ_STANZA = 7
    DATA_MESSAGE = 8
    STREAM_ERROR = 10


_LAST_STREAM_ID_FIELDS: dict[int, int] = {
    Tag.HEARTBEAT_PING: 2,
    Tag.HEARTBEAT_ACK: 2,
    Tag.IQ_STANZA: 10,
    Tag.DATA_MESSAGE: 11,
}


@dataclass(frozen=True, slots=True, repr=False)
class Frame:
    """A frame of the client: its tag and its fields."""

    tag: int
    fields: protobuf.Fields

    @property
    def last_stream_id_received(self) -> int:
        """How many of our frames the client says it has; 0 where it does not say."""
        number = _LAST_STREAM_ID_FIELDS.get(self.tag)
        return (protobuf.last_integer(self.fields, number) or 0) if number else 0


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """A LoginRequest: decimal credentials, and the messages the client already has."""

    android_id: str
    security_token: str
    received_ids: list[str]


class FrameReader:
    """Cuts a stream of octets into frames; give it octets, take frames until there are none."""

    def __init__(self, frame_bytes_max: int) -> None:
        self._frame_bytes_max = frame_bytes_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Add octets received."""
        self._buffer += data

    def next_frame(self) -> Frame | None:
        """The next complete frame, or None until more octets come.

        Raises:
            InvalidInput: a frame is longer than the limit or not protobuf; the stream cannot go on.
        """
        found = protobuf.decode_varint(bytes(self._buffer[1 : 1 + protobuf.VARINT_BYTES_MAX]))
        if found is None:
            return None
        length, width = found
        if length > self._frame_bytes_max:
            raise InvalidInput(f"A frame is longer than {self._frame_bytes_max} octets.", field="frame")
        end = 1 + width + length
        if len(self._buffer) < end:
            return None
        tag, content = self._buffer[0], bytes(self._buffer[1 + width : end])
        del self._buffer[:end]
        return Frame(tag, protobuf.parse(content))


def read_login(frame: Frame) -> Login:
    """Read the first frame.

    Raises:
        InvalidInput: it is not a LoginRequest.
    """
    if frame.tag != Tag.LOGIN_REQUEST:
        raise InvalidInput("The first frame must be a LoginRequest.", field="tag")
    return Login(
        protobuf.last_text(frame.fields, 3),
        protobuf.last_text(frame.fields, 5),
        protobuf.all_text(frame.fields, 10),
    )


def login_response(login_id: str, *, now: float) -> bytes:
    """Welcome. It confirms the login itself, and with it every message id the login listed."""
    return _frame(
        Tag.LOGIN_RESPONSE,
        protobuf.octets(1, login_id)
        + protobuf.integer(5, 1)
        + protobuf.integer(6, 1)
        + protobuf.integer(8, int(now * 1000)),
    )


def login_refused(login_id: str) -> bytes:
    """The credentials are not ours: error code 401."""
    error = protobuf.integer(1, 401) + protobuf.octets(2, "authentication failed")
    return _frame(Tag.LOGIN_RESPONSE, protobuf.octets(1, login_id) + protobuf.octets(3, error))


def heartbeat_ack(last_stream_id: int) -> bytes:
    """I am here."""
    return _frame(Tag.HEARTBEAT_ACK, protobuf.integer(2, last_stream_id))


def stream_ack(last_stream_id: int) -> bytes:
    """Confirms what the client sent, so that it can forget the message ids it acknowledged."""
    extension = protobuf.integer(1, _STREAM_ACK) + protobuf.octets(2, b"")
    return _frame(
        Tag.IQ_STANZA,
        protobuf.integer(2, _IQ_SET)
        + protobuf.octets(3, "")
        + protobuf.octets(7, extension)
        + protobuf.integer(10, last_stream_id),
    )


def close() -> bytes:
    """Goodbye."""
    return _frame(Tag.CLOSE, b"")


def data_message(message: Message, last_stream_id: int) -> bytes:
    """A push. It asks for an immediate ack, because Chromium otherwise waits for ten messages."""
    draft, subscription = message.draft, message.subscription
    data = {"subtype": subscription.channel}
    if draft.body:
        data["content-encoding"] = draft.encoding or ""
        if draft.encryption is not None:
            data["encryption"] = draft.encryption
        if draft.crypto_key is not None:
            data["crypto-key"] = draft.crypto_key
    pairs = b"".join(
        protobuf.octets(7, protobuf.octets(1, name) + protobuf.octets(2, value)) for name, value in data.items()
    )
    content = (
        protobuf.octets(3, b64url_encode(subscription.key or b""))
        + protobuf.octets(5, subscription.app)
        + (protobuf.octets(6, draft.topic) if draft.topic is not None else b"")
        + pairs
        + protobuf.octets(9, message.id)
        + protobuf.integer(11, last_stream_id)
        + protobuf.integer(17, draft.ttl)
        + protobuf.integer(18, int(message.received_at))
        + (protobuf.octets(21, draft.body) if draft.body else b"")
        + protobuf.integer(24, 1)
    )
    return _frame(Tag.DATA_MESSAGE, content)


def _frame(tag: Tag, content: bytes) -> bytes:
    return bytes([tag]) + protobuf.encode_varint(len(content)) + content
