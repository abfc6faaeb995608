"""What a push service quotes of a request is cut out of its words before anybody reads them.

An answer may give back the endpoint, whole, in part or with its percent signs resolved; whoever reads it could post
there (RFC 8030 section 8.3). Nothing is guessed: what we asked for is known.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote

from pushkeep.protocol.endpoint import Endpoint

PIECE_CHARACTERS_MIN = 10
"""UnifiedPush servers give names of a dozen characters. Words of a path such as ``/wpush/v2`` are shorter."""

CUT = "[…]"

_BORDERS = re.compile(r"[/?=&;,:]")


def without_endpoint(text: str, endpoint: Endpoint) -> str:
    """A push service's words without what could be used of the endpoint."""
    for piece in _pieces(endpoint.target):
        if piece in text:
            text = text.replace(piece, CUT)
    return text


@lru_cache(maxsize=256)  # an answer has several headers and a body
def _pieces(target: str) -> tuple[str, ...]:
    """The target whole and each part of it, as it stands and resolved; the longest first."""
    forms = {target, unquote(target)}
    parts = {part for form in forms for part in _BORDERS.split(form)}
    return tuple(
        sorted((piece for piece in forms | parts if len(piece) >= PIECE_CHARACTERS_MIN), key=len, reverse=True)
    )
