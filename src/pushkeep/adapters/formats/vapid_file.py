"""The file in which another product keeps its VAPID key: a key in any form, or a text that has one among other lines.

Such texts are ``.env`` files (Laravel: ``VAPID_PUBLIC_KEY=…`` and ``VAPID_PRIVATE_KEY=…``) and what
``web-push generate-vapid-keys`` prints (``Public Key:`` and ``Private Key:``, each over its line).
"""

from __future__ import annotations

import re

from pushkeep.errors import InvalidInput
from pushkeep.protocol.key_formats import KEY_BYTES_MAX
from pushkeep.protocol.signing_key import SigningKey

_ASSIGNED = re.compile(
    r"^[ \t]*(?:export[ \t]+)?[\"']?\w*(?:VAPID|WP|WEB_?PUSH)_\w*?(PUBLIC|PRIVATE)(?:_?KEY)?[\"']?"
    r"[ \t]*[=:][ \t]*(.+)$",
    re.IGNORECASE | re.MULTILINE,
)
_PRINTED = re.compile(r"^(Public|Private) Key:[ \t]*\r?\n[ \t]*(\S+)", re.IGNORECASE | re.MULTILINE)


def read_vapid(content: bytes) -> SigningKey:
    """The key of a file.

    Raises:
        InvalidInput: it has none, or several, or one whose public half is another's.
    """
    if len(content) > KEY_BYTES_MAX:
        raise InvalidInput(f"vapid: the file is over {KEY_BYTES_MAX} octets; name the one with the key.", field="vapid")
    text = content.decode("utf-8", "replace").removeprefix("\ufeff")
    for pattern in (_PRINTED, _ASSIGNED):
        found = [(half.lower(), value.strip().strip("\"',; \r")) for half, value in pattern.findall(text)]
        private = {value for half, value in found if half == "private" and value}
        public = {value for half, value in found if half == "public" and value}
        if len(private) > 1 or len(public) > 1:
            raise InvalidInput("vapid: the file has several keys; put the one to use into a file.", field="vapid")
        if private:
            return _key(private.pop(), public.pop() if public else None)
    return _key(content, None)


def _key(value: str | bytes, public: str | None) -> SigningKey:
    try:
        return SigningKey.read(value, public=public)
    except InvalidInput as error:
        raise InvalidInput(f"vapid: {error.message}", field="vapid") from None
