"""``pushkeep purposes`` and ``pushkeep consents``: what programs read, and what is refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Stored

HEAD = f"1:{'ab' * 32}"


async def test_consent_is_declared_said_sealed_and_held_to_a_head(cli: Cli, stored: Stored, tmp_path: Path) -> None:
    async def ran(*arguments: object, status: int = 0) -> dict[str, object]:
        answer = await cli(*map(str, arguments), *stored.at, "--json")
        assert answer.status == status, answer.text
        found: dict[str, object] = json.loads(answer.out)
        return found

    (tmp_path / "question.txt").write_text("May we tell you what is cheaper?\n")
    await ran("purposes", "set", "offers", "--description", "Offers")
    question = f"@{tmp_path / 'question.txt'}"
    wording = await ran("purposes", "word", "offers", "--locale", "en", "--version", "1", "--text", question)
    assert wording["text"] == "May we tell you what is cheaper?"
    said = ("consents", "say", "offers", "--subscriber", stored.short_id, "--wording", wording["digest"])
    assert await ran(*said) == {"consents": {"offers": True}}
    head = await ran("consents", "seal")
    found = await ran("consents", "verify", "--head", head["anchor"], "--head", HEAD, status=1)
    assert (found["good"], found["fault_count"], found["records"], found["head"]) == (False, 1, 1, head["anchor"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("consents", "verify", "--head", "abc"), "head must be the number of a seal, a colon, and 64 hexadecimal"),
        (("consents", "verify", "nowhere.jsonl"), "nowhere.jsonl cannot be read (No such file or directory)."),
        (("consents", "say", "offers"), "Say whose word it is with --contact or --subscriber."),
    ],
)
async def test_what_is_wrong_is_said_in_one_sentence(
    cli: Cli, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    ran = await cli(*arguments, "--data-dir", str(tmp_path / "none"))
    assert ran.status == 2, ran.text
    assert sentence in ran.err
    assert "Traceback" not in ran.text
    assert not (tmp_path / "none").exists()
