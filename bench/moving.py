"""``python -m bench.moving``: what it takes to bring many subscriptions in, out, aside, and under another key.

Each is the command that an operator runs, in a process of its own and watched to its end: export, backup with its
verification, import of that export into a new database, import of what another program has written, and a change of
the data key and of the lookup key, which open and seal every row anew.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import uvloop
from cryptography.hazmat.primitives.asymmetric import ec

from bench import audience, sealing
from bench.engine_results import Command, Move
from bench.life import settings_of
from bench.processes import run
from bench.servers import ORIGIN, TARGET
from pushkeep.compose.services import ensure_project, open_services
from pushkeep.config import Settings, settings_environment
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.keys import encode_point
from pushkeep.protocol.signing_key import SigningKey

SIZES = (1_000, 100_000)

_COMMANDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("export", ("export", "{export}")),
    ("backup", ("backup", "{backup}")),
    ("data key", ("secrets", "rotate-data")),
    ("lookup key", ("secrets", "rotate-lookup")),
)
_IMPORT = ("import", "{export}")
_FOREIGN = ("import", "{foreign}", "--format", "web-push", "--vapid", "{vapid}")


def measure(directory: Path, subscriptions: int) -> Move:
    """Fill a new database in ``directory`` and measure."""
    directory.mkdir(mode=0o700)
    found = Move(subscriptions)
    settings = settings_of(_made(directory / "first"))
    uvloop.run(audience.fill(settings, subscriptions))
    names = {name: str(directory / name) for name in ("export", "backup", "foreign", "vapid")}
    for title, command in _COMMANDS:
        found.commands[title] = _ran(settings, command, names)
    for name in ("export", "backup"):
        found.file_mb[name] = Path(names[name]).stat().st_size / 1e6
    _write_foreign(Path(names["foreign"]), Path(names["vapid"]), subscriptions)
    for title, command in (("import", _IMPORT), ("import, web-push", _FOREIGN)):
        empty = settings_of(_made(directory / title.replace(", ", "-")))
        uvloop.run(_begin(empty))
        found.commands[title] = _ran(empty, command, names)
        _check_count(empty, subscriptions)
    return found


def _made(directory: Path) -> Path:
    directory.mkdir(mode=0o700)
    return directory


async def _begin(settings: Settings) -> None:
    async with open_services(settings) as services:
        await ensure_project(services, settings)


def _ran(settings: Settings, command: Sequence[str], names: dict[str, str]) -> Command:
    words = [word.format(**names) for word in command]
    done = run([sys.executable, "-P", "-m", "pushkeep", *words, "--json"], settings_environment(settings))
    return Command(done.seconds, done.cpu_seconds, done.peak_mb)


def _check_count(settings: Settings, wanted: int) -> None:
    from sqlite3 import connect

    with contextlib.closing(connect(settings.database)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM subscriptions").fetchone()
    if count != wanted:
        raise RuntimeError(f"{count} subscriptions came in, of {wanted}")


def _write_foreign(target: Path, vapid: Path, count: int) -> None:
    points = [encode_point(ec.generate_private_key(ec.SECP256R1()).public_key()) for _ in range(audience.KEY_PAIRS)]
    vapid.write_text(SigningKey(ec.generate_private_key(ec.SECP256R1())).to_pem())
    vapid.chmod(0o600)
    with target.open("w") as file:
        for number in range(count):
            keys = {"p256dh": b64url_encode(points[number % len(points)]), "auth": b64url_encode(os.urandom(16))}
            endpoint = f"{ORIGIN}{TARGET[:-9]}f{number:08}"
            line = {"endpoint": endpoint, "expirationTime": None, "keys": keys, "user_id": f"user-{number}"}
            file.write(json.dumps(line) + "\n")


def main() -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscriptions", type=int, nargs="+", default=list(SIZES))
    given = parser.parse_args()
    cost = sealing.measure()
    print(f"opening {cost.open_us:.1f} µs, sealing {cost.seal_us:.1f} µs, hashing {cost.hash_us:.1f} µs")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        for count in given.subscriptions:
            found = measure(Path(folder) / str(count), count)
            print(f"{count:,} subscriptions")
            for title, done in found.commands.items():
                print(
                    f"  {title}: {done.seconds:.1f} s, {count / done.seconds:,.0f} a second, "
                    f"{done.cpu_seconds:.1f} s of processor time, {done.peak_mb:.0f} MB"
                )


if __name__ == "__main__":
    main()
