"""What is secret is compared in constant time and stands in no ``repr``: a traceback or an assertion would show it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src/pushkeep"
SOURCES = sorted(PACKAGE.rglob("*.py"))

SECRET_NAME = re.compile(
    r"(^|_)(secrets?|auth|private|payload|plaintext|tokens?|identity|salt|erasure|password|master_key)$"
)
SECRET_TYPE = re.compile(r"\b(bytes|str)\b")

SHOWN = {
    "Route.token": "of a local test service, whose endpoints reach nobody",
}
"""Fields that are called like a secret and may be shown, with the reason."""

GIVEN_BY_STRANGERS = ("domain/sync_token.py", "domain/project.py", "domain/identity.py", "domain/receipt.py", "web")
"""Where something that a stranger sends is held against a secret."""

PROOF_NAME = re.compile(r"(^|_)(tag|digest|mac|secret|token|signature|api_key)$")


def shown_secrets(source: str) -> Iterator[str]:
    """Fields of dataclasses that their ``repr`` shows, and that are called like a secret."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ClassDef) or not any(map(writes_repr, node.decorator_list)):
            continue
        if any(isinstance(part, ast.FunctionDef) and part.name == "__repr__" for part in node.body):
            continue
        for part in node.body:
            if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                name = f"{node.name}.{part.target.id}"
                secret = SECRET_NAME.search(part.target.id) and SECRET_TYPE.search(ast.unparse(part.annotation))
                if secret and "repr=False" not in ast.unparse(part) and name not in SHOWN:
                    yield f"line {part.lineno}: {name}: give it field(repr=False)"


def writes_repr(mark: ast.expr) -> bool:
    text = ast.unparse(mark)
    return text.startswith("dataclass") and "repr=False" not in text


def quick_comparisons(source: str) -> Iterator[str]:
    """Where what proves something is compared so that the time tells how much of it was right."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            proofs = [side for side in (node.left, *node.comparators) if PROOF_NAME.search(last_name(side))]
            if proofs:
                yield f"line {node.lineno}: {ast.unparse(node)}: use hmac.compare_digest"


def test_no_repr_shows_a_secret() -> None:
    assert not [f"{path.name} {found}" for path in SOURCES for found in shown_secrets(path.read_text())]


def test_what_strangers_send_is_compared_in_constant_time() -> None:
    watched = [path for path in SOURCES if str(path.relative_to(PACKAGE)).startswith(GIVEN_BY_STRANGERS)]
    assert len(watched) > 20
    assert not [f"{path.name} {found}" for path in watched for found in quick_comparisons(path.read_text())]


def test_both_bite() -> None:
    planted = "@dataclass(frozen=True)\nclass Told:\n    sync_token: str\n    salt: bytes = field(repr=False)\n"
    assert len(list(shown_secrets(planted))) == 1
    assert not list(shown_secrets(planted.replace("frozen=True", "frozen=True, repr=False")))
    assert len(list(quick_comparisons("given.tag == made.digest() or tag(x) != expected or kind == 'tag'"))) == 2


def last_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=inner) | ast.Subscript(value=inner):
            return last_name(inner)
        case _:
            return ""
