"""The page on consent: its commands run in its order, and its hashes are computed as it says."""

from __future__ import annotations

from pathlib import Path

from pushkeep.domain.consent import SEAL_RECORDS_MAX, Basis, Method
from pushkeep.domain.consent_words import PURPOSES_PER_PROJECT_MAX, WORDINGS_PER_PURPOSE_MAX
from pushkeep.domain.shard import Kind
from pushkeep.web.openapi_consents import CONSENT_OPERATIONS
from tests.docs.running import examples_of, python, serving, shell

PAGE = Path(__file__).parents[2] / "docs/consent.md"
TEXT = PAGE.read_text()
EXAMPLES = examples_of(PAGE)
SERVE = "pushkeep serve --contact mailto:push@example.org --workers 0"


def test_the_page_has_the_words_routes_and_numbers_of_the_code() -> None:
    for word in (*Basis, *Method, Kind.SKIPPED_CONSENT):
        assert f"`{word.value}`" in TEXT, word
    for operation in CONSENT_OPERATIONS:
        assert f"| `{operation.method} {operation.path}` |" in TEXT
    words = " ".join(TEXT.split())
    assert f"Up to {PURPOSES_PER_PROJECT_MAX} purposes and {WORDINGS_PER_PURPOSE_MAX:,} wordings" in words
    assert f"as soon as {SEAL_RECORDS_MAX:,} wait" in words


async def test_every_example_runs_in_its_order(tmp_path: Path, environment: dict[str, str]) -> None:
    said: dict[str, str] = {}
    async with serving(SERVE, tmp_path, environment):
        for name, text in EXAMPLES.items():
            if name == "by-hand":
                continue
            status, said[name] = await shell(f"set -e\n{text}", tmp_path, environment)
            assert status == 0, (name, said[name])
    assert "offers: declared" in said["purpose"]
    assert len(said["wording"].split()[-1]) == 64
    assert "user-17 agreed to offers (api)" in said["say"]
    assert "user-18 withdrew offers (api)" in said["say"]
    assert said["send"].count("Accepted") == 1
    head = said["head"].split()[-1]
    assert head.startswith("1:")
    for name in ("verify", "export"):
        assert "Nothing is wrong: 2 records, 0 of them erased; 2 sealed, with 1 seal." in said[name]
    assert (await python(EXAMPLES["by-hand"], tmp_path, environment)).split() == [head]
