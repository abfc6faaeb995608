"""Asks the package registry's list of known weaknesses about every package of constraints.txt (`make audit`).

A clean answer is kept for the day in .stamps, so that `make check` asks once. Where the list cannot be reached, one
sentence says so: on a developer's machine that fails nothing, with CI set it does, since there nobody would notice.

Exit status: 0 nothing is known, or nobody was asked on a developer's machine; 1 something is known, or with CI set
nobody could be asked.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
STAMP = ROOT / ".stamps" / "audit"

AUDIT_SECONDS_MAX = 240.0
"""It asks about one package after another: a hundred take half a minute."""

ANSWER_SECONDS_MAX = 10
"""For each of them."""

DESCRIPTION_CHARACTERS_MAX = 200

ACCEPTED: Mapping[str, str] = {}
"""Weaknesses that do not concern us, by id, each with the reason. An entry goes when its package is updated."""


def main(constraints: Path = ROOT / "constraints.txt", stamp: Path = STAMP) -> int:
    """Ask, say what is known, and remember a clean answer."""
    asked = f"{datetime.now(UTC):%Y-%m-%d} {hashlib.sha256(constraints.read_bytes()).hexdigest()}"
    if stamp.is_file() and stamp.read_text() == asked:
        print("audit: nothing was known today about any pinned package")
        return 0
    answer, reason = ask(constraints)
    if answer is None:
        return unreachable(reason)
    known = list(weaknesses(answer))
    for line in known:
        print(f"audit: {line}", file=sys.stderr)
    left_out = skipped(answer)
    if len(left_out) == len(answer):
        return unreachable("the registry that was asked knows none of the packages")
    if left_out:
        print(f"audit: the registry does not know {', '.join(left_out)}, so nothing can be said about it")
    if known:
        return 1
    # With a gap it is not remembered: "nothing was known about any package" would be too much said.
    if not left_out:
        remember(stamp, asked)
    print(f"audit: nothing is known about {len(answer) - len(left_out)} pinned packages")
    return 0


def remember(stamp: Path, asked: str) -> None:
    """Nobody needs to be asked again today about these versions."""
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(asked)


def unreachable(reason: str) -> int:
    """Nobody could be asked; with CI set that is a failure."""
    on_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    consequence = "with CI set that fails" if on_ci else "run `make audit` again with a network"
    print(f"audit: the list of known weaknesses could not be asked ({reason}); {consequence}.", file=sys.stderr)
    return 1 if on_ci else 0


def ask(constraints: Path) -> tuple[Sequence[Mapping[str, object]] | None, str]:
    """What is known about each package; None, and why, where nobody answered."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "answer.json"
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(constraints), "--no-deps", "--disable-pip"]
        command += ["--progress-spinner", "off", "--timeout", str(ANSWER_SECONDS_MAX), "--format", "json"]
        command += ["--output", str(file), *(part for name in ACCEPTED for part in ("--ignore-vuln", name))]
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=AUDIT_SECONDS_MAX, check=False)
        except subprocess.TimeoutExpired:
            return None, f"no answer within {AUDIT_SECONDS_MAX:.0f} s"
        try:
            # Its exit status is 1 for a weakness and for no network alike; a file it writes only when it was answered.
            return json.loads(file.read_text())["dependencies"], ""
        except (OSError, ValueError, KeyError):
            return None, last_words(ran.stderr)


def last_words(stderr: str) -> str:
    """What went wrong, as the last line says before it goes into details."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1].partition(": ")[0][:DESCRIPTION_CHARACTERS_MAX] if lines else "no reason given"


def weaknesses(answer: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """One line for each weakness: package, what it is, and what to update to."""
    for package in answer:
        found = package.get("vulns")
        for one in found if isinstance(found, list) else ():
            remedy = ", ".join(one.get("fix_versions") or ()) or "no version yet"
            words = " ".join(str(one.get("description") or "").split())[:DESCRIPTION_CHARACTERS_MAX]
            yield f"{package['name']} {package['version']}: {one['id']}, mended in {remedy}. {words}".rstrip()


def skipped(answer: Sequence[Mapping[str, object]]) -> list[str]:
    """Packages the registry does not know."""
    return [str(package["name"]) for package in answer if "skip_reason" in package]


if __name__ == "__main__":
    raise SystemExit(main())
