"""Where a secret may be shown: commands whose purpose that is, each with the kind of secret it may show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allowed:
    """A row of the list.

    Attributes:
        command: how the command begins after ``pushkeep``; or, with ``::``, how the id of a test begins.
        kinds: of secret that it may show.
        why: it may.
    """

    command: str
    kinds: tuple[str, ...]
    why: str

    def covers(self, kind: str, *, command: Sequence[str], test: str) -> bool:
        """Whether it covers a secret of this kind in what a process, or a test in its own process, wrote."""
        if kind not in self.kinds:
            return False
        if ".py" in self.command:
            return test.startswith(self.command)
        words = self.command.split()
        at = next((at + 1 for at, word in enumerate(command) if word.rpartition("/")[2] == "pushkeep"), len(command))
        return list(command[at : at + len(words)]) == words


ALLOWED: tuple[Allowed, ...] = (
    Allowed("api-keys create", ("API key",), "an API key is shown once, when it is made"),
    Allowed("identity secret", ("identity secret",), "the site's own server signs with it"),
    Allowed("identity sign", ("identity token",), "it makes a token for whoever asks on the server's machine"),
)
