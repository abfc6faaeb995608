"""Tags: labels that a site puts on its contacts, to tell some of them something."""

from __future__ import annotations

import re

from pushkeep.errors import InvalidInput

TAGS_PER_CONTACT_MAX = 100
"""Labels are for groups of people; what differs from person to person is data."""

TAGS_PER_PROJECT_MAX = 10_000
"""Few enough to list; a site that makes a tag for each person finds out early."""

_TAG = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,63}")


def check_tag(text: object, *, field: str = "tag") -> str:
    """Check a tag: 1 to 64 characters of ``a-z 0-9 _ . : -`` that begin with a letter or digit.

    Raises:
        InvalidInput: it is none.
    """
    if not isinstance(text, str) or not _TAG.fullmatch(text):
        raise InvalidInput(
            f"{field} must be 1 to 64 characters of a-z 0-9 _ . : - and begin with a letter or digit.", field=field
        )
    return text
