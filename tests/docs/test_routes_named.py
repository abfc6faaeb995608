"""Whatever route of the API a page names, the API has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pushkeep.web.openapi_operations import OPERATIONS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NAMED = re.compile(r"\b(GET|POST|PUT|DELETE) (/v1/[\w/{}.-]*[\w}])")


def has(method: str, path: str) -> bool:
    """Whether there is such an operation; what stands for an id may be called anything."""
    return any(operation.method == method and _fits(path, operation.path) for operation in OPERATIONS)


def _fits(path: str, template: str) -> bool:
    parts, own = path.split("/"), template.split("/")
    return len(parts) == len(own) and all(a == b or b.startswith("{") for a, b in zip(parts, own, strict=True))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_only_routes_that_there_are(page: Path) -> None:
    named = set(NAMED.findall(page.read_text()))
    assert [f"{method} {path}" for method, path in sorted(named) if not has(method, path)] == []


def test_a_route_that_is_not_there_would_be_found() -> None:
    assert has("GET", "/v1/contacts/user-17/export")
    assert not has("GET", "/v1/chores")
    assert not has("POST", "/v1/contacts/user-17/export")
    assert sum(len(NAMED.findall(page.read_text())) for page in PAGES) > 40
