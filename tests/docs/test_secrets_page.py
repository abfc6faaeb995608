"""The page on secrets at rest: its keys, its numbers and the status it shows are those of the code."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console

from pushkeep.app.secrets import PAGE_ROWS
from pushkeep.cli.secrets_view import secrets_table
from pushkeep.ports.secrets import Remaking, SealingKey, SecretKind, SecretsStatus
from tests.store.samples import NOW

PAGE = Path(__file__).parents[2] / "docs/secrets.md"
TEXT = PAGE.read_text()
DAY = 86_400.0


def test_the_page_has_the_keys_settings_and_numbers_of_the_code() -> None:
    for kind in SecretKind:
        assert f"| `{kind.value}` |" in TEXT
    assert f"{PAGE_ROWS} rows at a time" in TEXT


def test_the_status_shown_is_what_the_command_shows() -> None:
    keys = (
        SealingKey(SecretKind.DATA, "8a9b0c1d", NOW),
        SealingKey(SecretKind.ERASURE, "0badcafe", NOW - 265 * DAY),
        SealingKey(SecretKind.LOOKUP, "4e5f6071", NOW - 265 * DAY),
        SealingKey(SecretKind.DATA, "19f2a4c6", NOW - 265 * DAY, NOW, Remaking(612_500, 1_000_004, over=False)),
    )
    status = SecretsStatus("5f1c2d3e", NOW - 265 * DAY, None, keys)
    example = re.search(r"```\n( key .*?)\n```", TEXT, re.DOTALL)
    assert example is not None
    undated = re.compile(r"\d{4}-\d\d-\d\d")
    drawn = io.StringIO()
    Console(file=drawn, width=120).print(secrets_table("own_file", status, now=NOW))
    said, expected = (
        [undated.sub("DATE", line).split() for line in text.splitlines()] for text in (drawn.getvalue(), example[1])
    )
    assert said == expected
