"""The page on identity: what its examples sign is taken, and its tables are the code's."""

from __future__ import annotations

import ast
import re
import sys
import time
from pathlib import Path

import pytest

from pushkeep.app.identify import identify
from pushkeep.config import SETTINGS
from pushkeep.domain import identity, identity_jwt, identity_keys, registration
from pushkeep.domain.identity_keys import Algorithm, IdentityRules
from pushkeep.domain.subscription import SUBSCRIPTIONS_PER_CONTACT_MAX
from pushkeep.protocol.encoding import b64url_encode
from tests.docs.running import examples_of, python, shell

PAGE = Path(__file__).parents[2] / "docs/identity.md"
TEXT = PAGE.read_text()
EXAMPLES = examples_of(PAGE)
SECRET = bytes(range(200, 232))
"""Its base64url has both characters that base64 writes differently."""


def check(token: str) -> None:
    now = time.time()
    found = identify(SECRET, token.strip(), IdentityRules(), now=now)
    assert found.external_id == "user-17"
    assert found.issued_at == pytest.approx(now, abs=120)


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    text = b64url_encode(SECRET)
    assert {"-", "_"} <= set(text)
    return {
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "IDENTITY_SECRET": text,
    }


@pytest.mark.parametrize("name", ["python", "jwt"])
async def test_the_examples_in_python(tmp_path: Path, surroundings: dict[str, str], name: str) -> None:
    check(await python(EXAMPLES[name], tmp_path, surroundings))


async def test_the_example_in_node(tmp_path: Path, surroundings: dict[str, str]) -> None:
    (tmp_path / "example.mjs").write_text(EXAMPLES["node"])
    status, out = await shell("node example.mjs", tmp_path, surroundings)
    assert status == 0, out
    check(out)


async def test_the_example_for_a_shell(tmp_path: Path, surroundings: dict[str, str]) -> None:
    status, out = await shell(EXAMPLES["shell"], tmp_path, surroundings)
    assert status == 0, out
    check(out)


def test_every_reason_and_algorithm_is_explained() -> None:
    reasons = set()
    for module in (identity, identity_jwt, registration):
        assert module.__file__ is not None
        for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "InvalidToken":
                reasons |= {word.value.value for word in node.keywords if isinstance(word.value, ast.Constant)}
    reasons.discard("identity")  # the field's name
    assert reasons == set(re.findall(r"^\| `([a-z_]+)` \|", TEXT, re.MULTILINE)) - {"reason"}
    assert all(f"**{algorithm}**" in TEXT for algorithm in Algorithm)


def test_settings_and_numbers_are_those_of_the_code() -> None:
    named = set(re.findall(r"`((?:site|client|contact|identity|trusted)_[a-z_]+)`", TEXT))
    assert named <= set(SETTINGS)
    assert f"`contact_subscriptions_max` ({SUBSCRIPTIONS_PER_CONTACT_MAX})" in TEXT
    assert f"{identity_keys.RSA_BITS_MIN:,} to {identity_keys.RSA_BITS_MAX:,} bits" in TEXT
    assert identity.LIFETIME_SECONDS_MAX == 7 * 86_400
    assert identity.AHEAD_SECONDS_MAX == 60
