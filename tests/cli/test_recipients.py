"""``pushkeep send --recipients``: many from a file or standard input, each with its result."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from pushkeep.protocol.signing_key import SigningKey
from pushkeep.pushservice import LocalSubscriber, PushService
from tests.cli.conftest import COMMAND_SECONDS_MAX, CONTACT, PUSHKEEP, Cli, in_a_terminal

RECEIVE_SECONDS_MAX = 10


class Audience:
    """Subscribers of the local push service, and the options to reach them."""

    def __init__(self, service: PushService, directory: Path) -> None:
        self._service = service
        self.key = SigningKey.generate()
        self.file = directory / "all.jsonl"
        key_file = directory / "vapid.pem"
        key_file.write_text(self.key.to_pem())
        mapping = [part for entry in service.origin_map_entries() for part in ("--map-origin", entry)]
        self.sender = ("--key", key_file, "--contact", CONTACT, *mapping)
        self.options = ("--recipients", self.file, *self.sender)

    async def subscribe(self) -> LocalSubscriber:
        return await self._service.subscribe(self.key.public_bytes)

    def write(self, *lines: object) -> None:
        self.file.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))


@pytest.fixture
def audience(service: PushService, tmp_path: Path) -> Audience:
    return Audience(service, tmp_path)


async def test_everybody_gets_what_the_line_or_the_options_say(cli: Cli, audience: Audience) -> None:
    plain, own, noted = [await audience.subscribe() for _ in range(3)]
    audience.write(
        plain.subscription.to_dict(),
        "",
        {
            "subscription": own.subscription.to_dict(),
            "payload": {"n": 1},
            "ttl": 5,
            "urgency": "low",
            "topic": "b",
            "reference": "row 17",
        },
        {"subscription": noted.subscription.to_dict(), "payload": None, "reference": 18},
    )
    ran = await cli("send", *audience.options, "--payload", "x", "--ttl", "60", "--urgency", "high", "--topic", "a")
    assert (ran.status, ran.out, ran.err) == (0, "", "Accepted 3 of 3.\n")
    got = [await subscriber.receive(RECEIVE_SECONDS_MAX) for subscriber in (plain, own, noted)]
    assert [(message.data, message.ttl, message.urgency, message.topic) for message in got] == [
        (b"x", 60, "high", "a"),
        (b'{"n":1}', 5, "low", "b"),
        (None, 60, "high", "a"),
    ]


async def test_bad_lines_are_reported_by_number_and_stop_nobody(cli: Cli, audience: Audience) -> None:
    first, last = await audience.subscribe(), await audience.subscribe()
    good = first.subscription.to_dict()
    audience.write(
        good,
        "{",
        "[]",
        {"endpoint": "http://push.example/secret"},
        {"subscription": good, "tll": 5},
        {"subscription": good, "ttl": "60", "reference": "late"},
        {"subscription": good, "payload": [1]},
        {"subscription": good, "payload": "x" * 4000},
        "x" * 200_000,
        {"subscription": good, "reference": {}},
        {"payload": "x"},
        {"subscription": "{}"},
        last.subscription.to_dict(),
    )
    ran = await cli("send", *audience.options, "--payload", "x")
    assert ran.status == 2, ran.text
    lines = ran.err.splitlines()
    assert lines[-1] == "Accepted 2 of 13; 11 bad lines."
    assert sorted(int(line.split(":")[0].removeprefix("Line ")) for line in lines[:-1]) == list(range(2, 13))
    said = {int(line.split(":")[0].removeprefix("Line ")): line for line in lines[:-1]}
    for number, words in (
        (2, "not valid JSON"),
        (3, "not a JSON object"),
        (4, "keys"),
        (5, "ttl, urgency"),
        (6, "ttl must be"),
        (7, "payload must be"),
        (8, "7 octets too large"),
        (9, "over 65536 octets"),
        (10, "reference"),
        (11, "must be a subscription"),
    ):
        assert words in said[number], said[number]
    assert "secret" not in ran.text
    for subscriber in (first, last):
        assert (await subscriber.receive(RECEIVE_SECONDS_MAX)).data == b"x"


async def test_json_has_a_line_for_each_result(cli: Cli, audience: Audience) -> None:
    here, gone = await audience.subscribe(), await audience.subscribe()
    await gone.unsubscribe()
    audience.write(here.subscription.to_dict(), {"subscription": gone.subscription.to_dict(), "reference": "b"}, "{")
    ran = await cli("send", *audience.options, "--payload", "x", "--json")
    assert ran.status == 6, ran.text
    results = {result["line"]: result for result in map(json.loads, ran.out.splitlines())}
    assert [results[number].get("verdict") for number in (1, 2, 3)] == ["accepted", "gone", None]
    assert (results[1]["reference"], results[2]["reference"]) == (None, "b")
    assert results[2]["explanation"]["errno"] == 106
    assert results[3]["error"] == {"field": "line", "message": "the line is not valid JSON."}
    assert here.subscription.endpoint.target not in ran.text
    assert ran.err == "Accepted 1 of 3; 1 gone, 1 bad line.\n"


async def test_one_kind_of_failure_is_the_exit_status(cli: Cli, audience: Audience) -> None:
    here, gone = await audience.subscribe(), await audience.subscribe()
    await gone.unsubscribe()
    audience.write(here.subscription.to_dict(), gone.subscription.to_dict())
    ran = await cli("send", *audience.options, "--payload", "x")
    assert ran.status == 3, ran.text
    assert "Line 2: failed to send to https://" in ran.err
    assert "status 410" in ran.err


async def test_recipients_come_from_standard_input_too(cli: Cli, audience: Audience) -> None:
    subscriber = await audience.subscribe()
    line = json.dumps(subscriber.subscription.to_dict()).encode()  # the last line needs no end
    ran = await cli("send", "--recipients", "-", *audience.sender, "--title", "Hello", stdin=line + b"\n" + line)
    assert (ran.status, ran.err) == (0, "Accepted 2 of 2.\n"), ran.text
    message = await subscriber.receive(RECEIVE_SECONDS_MAX)
    assert json.loads(message.data or b"") == {"title": "Hello"}


def test_an_interrupt_ends_it_while_standard_input_says_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "vapid.pem").write_text(SigningKey.generate().to_pem())
    with subprocess.Popen(
        [PUSHKEEP, "send", "--recipients", "-", "--key", "vapid.pem", "--contact", CONTACT],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write("{\n")
        process.stdin.flush()
        assert "Line 1: the line is not valid JSON." in process.stderr.readline()  # it is waiting for the second one
        process.send_signal(signal.SIGINT)
        assert process.wait(COMMAND_SECONDS_MAX) == 130


async def test_an_empty_file_is_nobody(cli: Cli, audience: Audience) -> None:
    audience.write()
    ran = await cli("send", *audience.options)
    assert (ran.status, ran.err) == (0, "Accepted 0 of 0.\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--recipients", "/nonexistent", "--key", "vapid.pem", "--contact", CONTACT), "cannot read /nonexistent"),
        (("--recipients", "all.jsonl", "--key", "vapid.pem"), "--recipients needs --key and --contact"),
        (("--recipients", "all.jsonl", "HMV192av"), "one recipient"),
        (("--recipients", "all.jsonl", "--subscription", "s.json"), "one recipient"),
        (("--recipients", "all.jsonl", "--key", "vapid.pem", "--contact", CONTACT, "--attempts", "0"), "attempts_max"),
        (("HMV192av", "--attempts", "2"), "as often as the server does"),
        (("--recipients", "-", "--payload", "-", "--key", "vapid.pem", "--contact", CONTACT), "Only one of --payload"),
    ],
)
async def test_a_wrong_option_is_2_and_one_sentence(
    cli: Cli, audience: Audience, arguments: tuple[str, ...], said: str
) -> None:
    audience.write()
    ran = await cli("send", *arguments)
    assert (ran.status, len(ran.err.splitlines())) == (2, 1), ran.text
    assert said in ran.err


async def test_a_terminal_sees_how_far_it_is(audience: Audience, environment: dict[str, str]) -> None:
    audience.write(*[(await audience.subscribe()).subscription.to_dict()] * 50)
    seen = await in_a_terminal(environment, "send", *audience.options, "--payload", "x")
    assert "━" in seen
    assert "Accepted 50 of 50." in seen
