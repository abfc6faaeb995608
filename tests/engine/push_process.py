"""The local push service in a process of its own, with a crowd of subscribers, for workers in processes of theirs.

Speaks in lines: prints what a sender needs to know once it listens, then answers each line of its input: ``count``
with how many messages came in all, ``report FILE`` by writing how many each subscriber got. Ends with its input.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

from pushkeep.protocol.encoding import b64_decode
from pushkeep.pushservice import PushService


async def serve(directory: Path, key: bytes, vendors: dict[str, int], slow: float) -> None:
    async with PushService(state_dir=directory / "pushservice", faults=[f"slow={slow}"] if slow else []) as service:
        crowds = [await service.subscribe_many(count, key, vendor=vendor) for vendor, count in vendors.items()]
        with (directory / "subscriptions.jsonl").open("w") as file:
            for crowd in crowds:
                file.writelines(f"{subscription.to_json()}\n" for subscription in crowd)
        say({"origin_map": service.origin_map_entries()})
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            verb, _, argument = line.decode().strip().partition(" ")
            if verb == "count":
                say(sum(crowd.delivered for crowd in crowds))
            elif verb == "report":
                numbers = [crowd.deliveries(number) for crowd in crowds for number in range(len(crowd))]
                Path(argument).write_text(json.dumps(numbers))
                say("written")


def say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("key", help="application server key, base64url")
    parser.add_argument("vendors", help="as JSON: how many subscribers of each")
    parser.add_argument("--slow", type=float, default=0.0, help="seconds before each answer")
    given = parser.parse_args()
    import uvloop

    uvloop.run(serve(given.directory, b64_decode(given.key, field="key"), json.loads(given.vendors), given.slow))
