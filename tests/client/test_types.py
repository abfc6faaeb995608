"""A user's program is type-checked as strictly as ours, from the package as it is installed."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

PROGRAM = """
import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pushkeep
from pushkeep import (
    InvalidInput, Message, Outcome, PushClient, RequestBuilder, RetryPolicy, SendResult, SigningKey, Subscription,
    SyncPushClient, TransportLimits, Urgency, Verdict, parse_response,
)


def messages() -> Iterator[Message]:
    yield Message({"endpoint": "https://push.example/x", "keys": {}}, {"title": "Hello"}, ttl=60, reference=1)
    yield Message("{}", b"octets", urgency=Urgency.HIGH, topic="inbox")


async def slowly() -> AsyncIterator[Message]:
    for message in messages():
        yield message


async def main() -> None:
    key = SigningKey.read(Path("vapid.pem").read_bytes())
    async with PushClient(
        key=key, contact="mailto:you@your-domain.org", limits=TransportLimits(total_seconds_max=5), retry=RetryPolicy()
    ) as client:
        outcome = await client.send(Subscription.from_json("{}"), "text", ttl=0, urgency="high")
        reveal_type(outcome)
        reveal_type(outcome.verdict)
        reveal_type(outcome.explanation)
        if outcome.verdict is Verdict.GONE:
            return
        async for result in client.send_many(slowly(), in_flight_max=10, retry=RetryPolicy(attempts_max=2)):
            reveal_type(result)
            if result.error is not None:
                reveal_type(result.error.field)
        async for result in client.send_many(messages()):
            pass


def blocking() -> Outcome:
    with SyncPushClient(key=Path("vapid.pem"), contact="mailto:you@your-domain.org") as client:
        reveal_type(client.send("{}", None))
        results: list[SendResult] = list(client.send_many(messages()))
        reveal_type(client.send_many(messages()))
    builder = RequestBuilder(key="raw", contact="https://your-domain.org")
    request = builder.build("{}", {"n": [1, 2]})
    reveal_type(request.headers)
    try:
        return parse_response(request, status=201, headers={"TTL": "60"}, body=b"")
    except InvalidInput as error:
        reveal_type(error.message)
    return pushkeep.send("{}", "text", key={"kty": "EC"}, contact="mailto:you@your-domain.org")


asyncio.run(main())
"""

REVEALED = [
    "pushkeep.protocol.outcome.Outcome",
    "pushkeep.protocol.verdict.Verdict",
    "pushkeep.protocol.outcome.Explanation | None",
    "pushkeep.client.message.SendResult",
    "str | None",
    "pushkeep.protocol.outcome.Outcome",
    "typing.Generator[pushkeep.client.message.SendResult, None, None]",
    "tuple[tuple[str, str], ...]",
    "str",
]

MISTAKES = """
from pushkeep import Message, SyncPushClient

with SyncPushClient(key=5, contact="mailto:you@your-domain.org") as client:
    client.send("{}", ["no", "payload"])
    client.send("{}", ttl="60")
    client.send_many([{"subscription": "{}"}])
Message("{}", urgent=True)
"""


def mypy(program: str, directory: Path) -> list[str]:
    (directory / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-version", "3.11", "program.py"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout.splitlines()


def test_the_package_says_that_it_is_typed() -> None:
    assert files("pushkeep").joinpath("py.typed").is_file()


def test_a_strictly_checked_program_knows_every_type(tmp_path: Path) -> None:
    said = mypy(PROGRAM, tmp_path)
    revealed = [line.partition("Revealed type is ")[2].strip("'\"") for line in said if "Revealed type" in line]
    assert [text.replace("builtins.", "") for text in revealed] == REVEALED
    assert said[-1] == "Success: no issues found in 1 source file", said


def test_mistakes_are_found(tmp_path: Path) -> None:
    said = mypy(MISTAKES, tmp_path)
    assert [int(line.split(":")[1]) for line in said if ": error: " in line] == [4, 5, 6, 7, 8], said
