"""What a command sends: the options of ``send`` and ``notify`` that say so."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from pushkeep.errors import InvalidInput
from pushkeep.protocol.request import PushOptions, Urgency

if TYPE_CHECKING:
    from pushkeep.domain.notification import Content

Payload = Annotated[str | None, typer.Option("--payload", help="Sent as it is: text, @FILE, or - for stdin.")]
Title = Annotated[str | None, typer.Option("--title", help="Title of the notification.")]
Body = Annotated[str | None, typer.Option("--body", help="Its text.")]
Url = Annotated[str | None, typer.Option("--url", help="What a click opens.")]
Actions = Annotated[
    list[str] | None,
    typer.Option(
        "--action",
        metavar="NAME=TITLE[=URL]",
        help="A button and what it opens, by default what a click opens; may be repeated: browsers show two.",
        show_default=False,
    ),
]
AppBadge = Annotated[
    int | None,
    typer.Option("--app-badge", metavar="N", help="The number at the installed site's icon; 0 takes it away."),
]
Ttl = Annotated[int, typer.Option("--ttl", help="Seconds to keep it for a browser that is away.")]
UrgencyWord = Annotated[str | None, typer.Option("--urgency", help=", ".join(Urgency))]
Topic = Annotated[str | None, typer.Option("--topic", help="Replaces an undelivered message of this topic.")]


@dataclass(frozen=True, slots=True)
class Message:
    """What the options ask to send.

    Attributes:
        payload: sent as it is.
        fields: or those of a notification, as :meth:`Content.of` takes them; only what was given.
        options: how it is delivered.
    """

    payload: bytes | None = field(repr=False)
    fields: Mapping[str, object] = field(repr=False)
    options: PushOptions

    def check(self) -> None:
        """Refuse options that contradict each other."""
        if self.fields and "title" not in self.fields:
            raise InvalidInput(
                "--body, --url, --action and --app-badge need a --title: a notification without one is not shown.",
                field="title",
            )
        if self.fields and self.payload is not None:
            raise InvalidInput(
                "Give either --payload (sent as it is) or --title with --body, --url, --action and --app-badge.",
                field="payload",
            )

    def content(self) -> Content | bytes | None:
        """The notification, or the raw payload."""
        if not self.fields:
            return self.payload
        from pushkeep.domain.notification import Content

        return Content.of(**self.fields)

    def plain_payload(self) -> bytes | None:
        """What is sent without a server: the raw payload, or the fields as plain JSON, which our worker shows too."""
        if not self.fields:
            return self.payload
        self.content()  # the same limits as with a server
        return json_module.dumps(self.fields, ensure_ascii=False).encode()


def read_actions(given: list[str] | None) -> list[dict[str, str]] | None:
    """``NAME=TITLE[=URL]``, each; only the URL may have further ``=``."""
    if not given:
        return None
    found = []
    for text in given:
        parts = text.split("=", 2)
        if len(parts) == 1:
            raise InvalidInput("--action must be NAME=TITLE or NAME=TITLE=URL.", field="actions")
        found.append(dict(zip(("action", "title", "url"), parts, strict=False)))
    return found
