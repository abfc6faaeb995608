"""Base64 as it is met in the field: four spellings in, one out.

Browsers and stores write keys padded or unpadded, in the standard or the URL-safe alphabet. All four are read;
only unpadded base64url (RFC 7515 section 2) is written.
"""

from __future__ import annotations

import base64
import binascii
import re

from pushkeep.errors import InvalidInput

_ALPHABET = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")


def b64url_encode(data: bytes) -> str:
    """Encode as unpadded base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64_decode(text: object, *, field: str, length: int | None = None, length_max: int = 8192) -> bytes:
    """Decode any of the four base64 spellings.

    Args:
        text: the encoded value; anything but a string is refused.
        field: the input's name, for the error.
        length: the exact number of octets wanted, if it is fixed.
        length_max: the largest number of octets accepted; the default is twice a push message.

    Raises:
        InvalidInput: not a string, a character outside the alphabets, impossible padding, or a wrong length.
    """
    if not isinstance(text, str):
        raise InvalidInput(f"{field} must be a base64 string.", field=field)
    if len(text) > (length_max + 2) // 3 * 4:
        raise InvalidInput(f"{field} is longer than {length_max} octets.", field=field)
    if not _ALPHABET.fullmatch(text):
        raise InvalidInput(f"{field} has a character that is not base64.", field=field)
    bare = text.rstrip("=")
    padding = -len(bare) % 4
    if padding == 3 or len(text) not in (len(bare), len(bare) + padding):
        raise InvalidInput(f"{field} has an impossible base64 length or padding.", field=field)
    try:
        standard = (bare + "=" * padding).replace("-", "+").replace("_", "/")  # str.translate takes ten times as long
        data = binascii.a2b_base64(standard, strict_mode=True)
    except binascii.Error as error:  # pragma: no cover - the checks above leave nothing for it to refuse
        raise InvalidInput(f"{field} is not base64.", field=field) from error
    if length is not None and len(data) != length:
        raise InvalidInput(f"{field} must be {length} octets, got {len(data)}.", field=field)
    if len(data) > length_max:
        raise InvalidInput(f"{field} is longer than {length_max} octets.", field=field)
    return data
