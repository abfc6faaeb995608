"""The code checks its own manners; each banned thing is named with what to use instead."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TEXT_ENDINGS = {".py", ".md", ".toml", ".txt", ".js", ".css", ".html", ".sh", ".yml", ".ini", ".mako", ""}
FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 400


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()
    return [path for name in listed if (path := ROOT / name).is_file()]


def texts() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        if path.suffix in TEXT_ENDINGS:
            yield path, path.read_text(encoding="utf-8")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_functions_are_short_enough_to_be_read_at_once() -> None:
    long = [
        f"{name(path)}:{node.lineno} {node.name} has {length} lines"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert not long


def test_modules_answer_one_question() -> None:
    long = [
        f"{name(path)} has {lines} lines"
        for path in SOURCES
        if (lines := path.read_text().count("\n")) > MODULE_LINES_MAX
    ]
    assert not long


MARKER = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX|HA" + r"CK)\b")
REGISTRY = re.compile(
    r"(py" + r"pi\.org|pythonhosted\.org|npm" + r"js\.(?:org|com)|deb\.deb" + r"ian\.org)", re.IGNORECASE
)


def test_nothing_is_left_over() -> None:
    found = [
        f"{name(path)}:{number}: {line.strip()[:80]}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if MARKER.search(line)
    ]
    assert not found


def test_no_package_registry_is_named() -> None:
    assert not [name(path) for path, text in texts() if REGISTRY.search(text)], "pin by name and version instead"


BANNED = [
    (
        re.compile(r"\bprint\("),
        ("src/pushkeep/cli/", "src/pushkeep/testing/offline.py"),
        "print belongs to the command line; announce or return instead",
    ),
    (re.compile(r"\btime\.(time|monotonic|sleep|perf_counter)\("), ("src/pushkeep/adapters/clock.py",), "take a Clock"),
    (re.compile(r"datetime\.(now|utcnow|today)\("), (), "take a Clock"),
    (re.compile(r"^\s*(import|from) random\b", re.MULTILINE), (), "take Entropy"),
    (re.compile(r"\bsecrets\.token"), ("src/pushkeep/adapters/",), "take Entropy"),
    (re.compile(r"^\s*(import|from) (requests|httpx|aiohttp|urllib3)\b", re.MULTILINE), (), "use the Transport port"),
    (
        re.compile(r"verify\s*=\s*False|CERT_NONE|SSL_VERIFYPEER\s*,\s*(0|False)"),
        (),
        "name the authority's file instead",
    ),
    (re.compile(r"\b(pickle|marshal|shelve)\b"), (), "use JSON"),
]


@pytest.mark.parametrize(("pattern", "allowed", "instead"), BANNED, ids=[row[2] for row in BANNED])
def test_banned_calls(pattern: re.Pattern[str], allowed: tuple[str, ...], instead: str) -> None:
    # The local push service and the browser drivers are their own edge: they may look at the clock.
    edges = ("src/pushkeep/pushservice/", "src/pushkeep/testing/") if "Clock" in instead or "Entropy" in instead else ()
    found = [
        name(path)
        for path in SOURCES
        if not name(path).startswith((*allowed, *edges)) and pattern.search(path.read_text())
    ]
    assert not found, instead


def test_public_modules_say_what_they_are_for() -> None:
    silent = [
        name(path) for path in SOURCES if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent
