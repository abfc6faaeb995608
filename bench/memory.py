"""Does the memory of a ``send_many`` grow with its messages? ``python -m bench.memory PORT CA_FILE MESSAGES``.

A process of its own, so that nothing but the sender is in it. Every message has a recipient of its own, made when
its turn comes and forgotten with its result. Prints, for each tenth of them, how many were sent and the largest
resident set of the process until then, in megabytes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import uvloop
from cryptography.hazmat.primitives.asymmetric import ec

from bench.report import Memory
from bench.servers import ORIGIN, TARGET, Servers
from bench.world import CONTACT, PAYLOAD, TTL_SECONDS, URGENCY
from pushkeep import Message, PushClient, SigningKey, Subscription
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.keys import encode_point


def measure(servers: Servers, messages: int) -> Memory:
    """Send so many in a process of its own.

    Raises:
        SystemExit: it failed; it has said why.
    """
    command = [sys.executable, "-m", "bench.memory", str(servers.sites[0].port), str(servers.ca_file), str(messages)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit("The run that watches memory failed; its words are above.")
    held = Memory()
    for line in done.stdout.splitlines():
        sent, peak = line.split()
        held.messages.append(int(sent))
        held.peak_mb.append(float(peak))
    return held


def _messages(count: int) -> Iterator[Message]:
    for number in range(count):
        public = encode_point(ec.generate_private_key(ec.SECP256R1()).public_key())
        whom = Subscription(Endpoint.parse(f"{ORIGIN}{TARGET}{number:08}"), public, os.urandom(16))
        yield Message(whom, PAYLOAD, ttl=TTL_SECONDS, urgency=URGENCY, reference=number)


def _peak_mb() -> float:
    """The high-water mark of this program. ``ru_maxrss`` would begin with that of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024  # in KiB, see proc(5)


async def _send(port: str, ca_file: str, count: int) -> None:
    entry = f"{ORIGIN}=https://127.0.0.1:{port},ca={ca_file}"
    step = max(1, count // 10)
    async with PushClient(key=SigningKey.generate(), contact=CONTACT, origin_map=[entry]) as client:
        done = 0
        async for result in client.send_many(_messages(count)):
            assert result.accepted, result
            done += 1
            if done % step == 0:
                print(done, f"{_peak_mb():.1f}", flush=True)


if __name__ == "__main__":
    uvloop.run(_send(sys.argv[1], sys.argv[2], int(sys.argv[3])))
