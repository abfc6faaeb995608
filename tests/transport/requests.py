"""Requests to post in tests."""

from __future__ import annotations

from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.request import PushRequest

from .servers import ORIGIN

BODY = bytes(range(256)) * 2


def request(url: str = f"{ORIGIN}/wpush/v2/token", body: bytes = BODY) -> PushRequest:
    headers = [("TTL", "60"), ("Authorization", "vapid t=token, k=key")]
    if body:
        headers += [("Content-Encoding", "aes128gcm"), ("Content-Type", "application/octet-stream")]
    return PushRequest(Endpoint.parse(url), tuple(headers), body)
