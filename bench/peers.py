"""The other libraries, each as its own documentation shows it and each at its best."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
import subprocess
from contextlib import AsyncExitStack, ExitStack
from itertools import count as counting
from pathlib import Path

import aiohttp
import pywebpush
from py_vapid import Vapid02

from bench.servers import Site
from bench.world import CONTACT, IN_FLIGHT, PAYLOAD, RECIPIENTS, TTL_SECONDS, URGENCY, Contender, World, in_parallel, on
from pushkeep.protocol.encoding import b64url_encode

HERE = Path(__file__).parent
NODE_PEERS = HERE.parent / "tests" / "peers" / "package.json"
_END_SECONDS_MAX = 10.0


def pywebpush_documented(world: World, site: Site) -> Contender:
    """pywebpush as its README shows it: one call after the other, a connection each, the key from its file."""
    dicts, numbers = world.dicts_at(site), counting()

    def run(count: int) -> None:
        for _ in range(count):
            response = pywebpush.webpush(
                dicts[next(numbers) % RECIPIENTS],
                PAYLOAD,
                vapid_private_key=str(world.key_file),
                vapid_claims={"sub": CONTACT},
                ttl=TTL_SECONDS,
                headers={"Urgency": URGENCY},
            )
            assert response.status_code == 201

    # Waiting is all it does far away, one round trip after the other.
    return Contender("pywebpush", "pywebpush as documented", run, 0.01 if site.latency_ms == 0 else 0.002)


async def pywebpush_async(
    world: World, site: Site, loop: asyncio.AbstractEventLoop, stack: AsyncExitStack
) -> Contender:
    """pywebpush at its best: asynchronous, one shared session whose connections stay, the key loaded once."""
    key, dicts = Vapid02.from_file(str(world.key_file)), world.dicts_at(site)
    trust = ssl.create_default_context(cafile=str(world.ca_file))
    connector = aiohttp.TCPConnector(ssl=trust, limit=IN_FLIGHT, keepalive_timeout=3600)
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))

    async def send(number: int) -> None:
        response = await pywebpush.webpush_async(
            dicts[number % RECIPIENTS],
            PAYLOAD,
            vapid_private_key=key,
            vapid_claims={"sub": CONTACT},
            ttl=TTL_SECONDS,
            headers={"Urgency": URGENCY},
            aiohttp_session=session,
        )
        assert response.status == 201

    run = on(loop, lambda count: in_parallel(count, send))
    return Contender("pywebpush_async", "pywebpush, async session", run, 0.3)


def web_push(world: World, site: Site, stack: ExitStack) -> Contender:
    """npm web-push at its best, in a Node process of its own.

    Raises:
        SystemExit: Node or its packages are missing.
    """
    node = shutil.which("node")
    if node is None or not (NODE_PEERS.parent / "node_modules" / "web-push").is_dir():
        raise SystemExit("Node or npm web-push is missing: make bench sets both up.")
    process = subprocess.Popen(
        [node, HERE / "web_push.cjs", NODE_PEERS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "NODE_EXTRA_CA_CERTS": str(world.ca_file)},
    )
    stack.callback(process.wait, timeout=_END_SECONDS_MAX)
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout
    stack.callback(stdin.close)
    private = world.key.private.private_numbers().private_value.to_bytes(32, "big")
    settings = {
        "subscriptions": world.dicts_at(site),
        "payload": PAYLOAD.decode(),
        "ttl": TTL_SECONDS,
        "urgency": URGENCY,
        "inFlight": IN_FLIGHT,
        "vapidDetails": {
            "subject": CONTACT,
            "publicKey": world.key.public_b64,
            "privateKey": b64url_encode(private),
        },
    }
    stdin.write(json.dumps(settings) + "\n")

    def run(count: int) -> float:
        stdin.write(f"{count}\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise SystemExit("npm web-push failed; its words are above.")
        return float(answer) / 1e6

    return Contender("web_push", "npm web-push, keep-alive agent", run, 0.3)
