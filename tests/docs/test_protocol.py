"""The examples of the page about the protocol are run as they stand."""

import re
from pathlib import Path

import pytest

from pushkeep.protocol.aesgcm import LEGACY_PLAINTEXT_BYTES_MAX
from pushkeep.protocol.ece import PLAINTEXT_BYTES_MAX
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.sizes import FIREFOX_ANDROID_PLAINTEXT_BYTES_MAX, SAFE_EVERYWHERE_BYTES

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- tested: ([a-z-]+) -->\n```python\n(.*?)```", PAGE, re.DOTALL))


def test_every_example_is_marked() -> None:
    assert PAGE.count("```python") == len(EXAMPLES) == 4


@pytest.mark.parametrize("name", EXAMPLES)
async def test_an_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vapid.pem").write_text(SigningKey.generate().to_pem())
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(EXAMPLES[name], f"docs/protocol.md: {name}", "exec"), names)
    if "client" in names:
        await names["client"].aclose()  # type: ignore[attr-defined]


def test_the_numbers_are_the_codes() -> None:
    for number in (
        SAFE_EVERYWHERE_BYTES,
        FIREFOX_ANDROID_PLAINTEXT_BYTES_MAX,
        PLAINTEXT_BYTES_MAX,
        LEGACY_PLAINTEXT_BYTES_MAX,
    ):
        assert f"{number:,} octets" in PAGE or f"{number:,} with `aesgcm`" in PAGE
