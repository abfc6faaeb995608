"""Coverage-guided fuzzing of one target, or of all of them one after the other, for a bounded time.

``python -m tests.fuzz.atheris_main TARGET [--seconds 60]``, or ``make fuzz SECONDS=60`` for all. What is found is
kept in ``test-output/fuzz``: the inputs that reached new code, and those that broke something, each of which becomes a
test. Running it again with the name of such a file repeats it: ``... TARGET FILE``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fuzz.target import Target

OUTPUT = Path(__file__).parents[2] / "test-output" / "fuzz"
INPUT_BYTES_MAX = 20_000
"""Above the largest input taken anywhere, 16 KiB of subscription."""
INPUT_SECONDS_MAX = 5
"""A single input takes a millisecond; this is a hang."""
MEMORY_MEGABYTES_MAX = 700
"""Of the whole process, whose interpreter, instrumentation and corpus take 200."""


def corpus_of(target: Target) -> Path:
    """The directory of kept inputs, the seeds among them."""
    directory = OUTPUT / "corpus" / target.name
    directory.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (directory / f"seed-{number}").write_bytes(seed)
    return directory


def fuzz(name: str, seconds: int, files: list[str]) -> None:
    """Does not return: libFuzzer ends the process, with a status other than 0 if it found something."""
    import atheris  # type: ignore[import-untyped]  # only here: whoever runs the tests need not have it

    # Before anything of ours is imported, or it would run without telling which code it reached.
    with atheris.instrument_imports(include=["pushkeep"]):
        from tests.fuzz.targets import TARGETS

    target = TARGETS[name]
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={INPUT_BYTES_MAX}",
        f"-timeout={INPUT_SECONDS_MAX}",
        f"-rss_limit_mb={MEMORY_MEGABYTES_MAX}",
        f"-artifact_prefix={OUTPUT}/{name}-",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, *(files or [str(corpus_of(target))])], target.run)
    atheris.Fuzz()


def fuzz_all(seconds: int) -> int:
    """Each target in a process of its own; how many found something."""
    from tests.fuzz.targets import TARGETS

    failed = []
    for name in TARGETS:
        log = OUTPUT / f"{name}.log"
        command = [sys.executable, "-m", "tests.fuzz.atheris_main", name, "--seconds", str(seconds)]
        with log.open("wb") as file:
            try:
                status = subprocess.run(command, stdout=file, stderr=file, timeout=seconds * 3 + 300).returncode
            except subprocess.TimeoutExpired:
                status = -1  # it did not even notice that its time was over
        said = log.read_text(errors="replace")
        inputs = next((line.split()[-1] for line in said.splitlines() if "number_of_executed_units" in line), "no")
        print(f"{name}: {'FAILED' if status else 'nothing found'} in {inputs} inputs", flush=True)
        if status:
            failed.append(name)
            print(said, flush=True)
    return len(failed)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", help="a name in tests/fuzz/*_targets.py, or: all")
    parser.add_argument("files", nargs="*", help="inputs to repeat instead of looking for new ones")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    given = parser.parse_args()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    if given.target == "all":
        sys.exit(fuzz_all(given.seconds))
    fuzz(given.target, given.seconds, given.files)


if __name__ == "__main__":
    main()
