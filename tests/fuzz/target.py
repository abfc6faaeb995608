"""What a fuzz target is: octets go in, and nothing but an error of ours may come out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pushkeep.errors import PushkeepError

MESSAGE_CHARACTERS_MAX = 600
"""An error is one clear sentence, whatever was given: none may repeat its input at length."""


@dataclass(frozen=True)
class Target:
    """One way in for octets of strangers.

    Attributes:
        name: as on the command line.
        feed: gives the octets to the code and checks what must hold of the result.
        seeds: well-formed inputs to start from.
    """

    name: str
    feed: Callable[[bytes], None]
    seeds: tuple[bytes, ...]

    def run(self, data: bytes) -> None:
        """Feed; an error of ours is a right answer if it is a sentence."""
        try:
            self.feed(data)
        except PushkeepError as error:
            message = str(error)
        else:
            return
        assert 0 < len(message) <= MESSAGE_CHARACTERS_MAX, "the error is not one sentence"
        assert message.isprintable(), "the error holds control characters of its input"


def text_of(data: bytes) -> str:
    """Text of any kind: octets that are not UTF-8 become lone surrogates, as JSON can hold them."""
    return data.decode("utf-8", "surrogateescape")


def lines_of(data: bytes, count: int) -> list[bytes]:
    """``count`` parts at line ends; the last one keeps the rest."""
    parts = data.split(b"\n", count - 1)
    return parts + [b""] * (count - len(parts))
