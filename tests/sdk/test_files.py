"""The SDK stays small, plain and free of what a strict Content-Security-Policy forbids."""

from __future__ import annotations

import gzip
import re

import pytest

from .site import PACKAGE

BROWSER = PACKAGE / "browser"
DEMO = PACKAGE / "demo_site"

# Octets after gzip as the files are served, comments and all. A page loads all but worker.js once; what a minifier
# would leave is about half of it. Receipts, compressed messages and messages that are fetched are about 1 KB of them,
# what visitors have agreed to 2 KB, and keeping the subscription through every kind of loss and change is what
# keeper.js is for.
SERVED_BYTES_MAX = {"sdk.js": 7_000, "core.js": 5_700, "keeper.js": 10_100, "worker.js": 5_500}
# Without comments and indentation: what the code itself costs.
CODE_BYTES_MAX = {"sdk.js": 4_100, "core.js": 3_500, "keeper.js": 5_600, "worker.js": 3_400}


@pytest.mark.parametrize("name", SERVED_BYTES_MAX)
def test_files_stay_small(name: str) -> None:
    text = (BROWSER / name).read_text()
    code = "\n".join(
        line.strip() for line in text.splitlines() if line.strip() and not re.match(r"\s*(//|/\*\*|\*)", line)
    )
    assert len(gzip.compress(text.encode(), 9)) <= SERVED_BYTES_MAX[name]
    assert len(gzip.compress(code.encode(), 9)) <= CODE_BYTES_MAX[name]


def test_there_are_no_other_files_to_serve() -> None:
    assert {path.name for path in BROWSER.iterdir() if path.suffix == ".js"} == set(SERVED_BYTES_MAX)


@pytest.mark.parametrize("path", [*BROWSER.glob("*.js"), *DEMO.glob("*.js")], ids=lambda path: path.name)
def test_scripts_need_nothing_forbidden(path: object) -> None:
    text = (PACKAGE / str(path)).read_text()
    for forbidden in ("eval(", "new Function", "innerHTML", "document.write", ".style.", "insertAdjacentHTML"):
        assert forbidden not in text
    code = "\n".join(line for line in text.splitlines() if not re.match(r"\s*(//|/\*\*|\*)", line))
    for trap in ("serviceWorker.ready", ".unregister(", "client.navigate("):
        assert trap not in code, "does not work for a page outside the worker's scope"


def test_the_page_has_nothing_inline() -> None:
    text = (DEMO / "index.html").read_text()
    assert not re.search(r"\son\w+=|style=|<style|javascript:", text)
    assert re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL) == [""]


def test_the_worker_asks_the_network_through_the_core_and_answers_no_page() -> None:
    text = (BROWSER / "worker.js").read_text()
    assert "fetch(" not in text
    assert "addEventListener('fetch'" not in text
