"""The search bites: a secret that is shown through any channel fails a session."""

import os
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest

from tests.redaction.allowed import ALLOWED, Allowed
from tests.redaction.children import Children
from tests.redaction.plugin import ROOT, Redaction, files_below

SESSION_SECONDS_MAX = 120

PLANTED = """
import logging, subprocess, sys

from pushkeep.adapters.store.sealing import KeyRing, LookupKey, Sealer
from pushkeep.domain.identity import sign_identity
from pushkeep.domain.project import ApiKey
from pushkeep.domain.sync_token import make_sync_token
from pushkeep.errors import InvalidInput
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.subscription import Subscription
from pushkeep.web.problems import describe
import os, pytest

SUBJECT = "0190f1d2-8a7b-4c3d-9e5f-1234567890ab"
MADE = os.urandom(32)

def test_private_key_printed():
    print(SigningKey.generate().to_pem())

def test_private_key_in_a_log():
    logging.getLogger("pushkeep").warning("made %s", SigningKey.generate().to_raw())

def test_auth_secret_in_a_repr(capsys):
    auth = os.urandom(16)
    Subscription(Endpoint.parse("https://push.example.net/1"), b"", auth)
    print(f"{[auth]}")
    capsys.readouterr()

def test_endpoint_in_an_error():
    url = Endpoint.parse("https://push.example.net/wpush/v2/gAAAAABo7-q3vJkWm5xT2Zr9YbN4cLdE").url
    with pytest.raises(InvalidInput):
        raise InvalidInput(f"cannot post to {url}")

def test_api_key_in_a_problem():
    key = ApiKey.make(os.urandom(41))
    describe(InvalidInput(f"{key.text} is not known"), request_id="1", base_url="https://x.example")

def test_sync_token_in_a_file(tmp_path):
    (tmp_path / "below").mkdir()
    token = make_sync_token(MADE, project_public_id=SUBJECT, public_id=SUBJECT)
    (tmp_path / "below" / "server.log").write_text(f"token={token}")

def test_identity_token_in_a_database(tmp_path):
    (tmp_path / "pushkeep.db").write_bytes(bytes(90) + sign_identity(MADE, external_id="u", expires_at=1).encode())

def test_data_key_by_a_child():
    code = "import os; from pushkeep.adapters.store.sealing import Sealer; k = os.urandom(32); Sealer(k, os.urandom);"
    subprocess.run([sys.executable, "-c", code + "print(k.hex())"], check=True, capture_output=True)

def test_lookup_key_by_a_child_with_its_own_environment():
    key = LookupKey(1, os.urandom(32))
    code = "import sys; sys.stderr.buffer.write(sys.stdin.buffer.read())"
    subprocess.run([sys.executable, "-c", code], input=key.key.hex().encode(), env={}, check=True, capture_output=True)

def test_erasure_key_at_the_end_of_a_fixture(ring):
    pass

@pytest.fixture
def ring():
    yield
    key = os.urandom(32)
    KeyRing(1, None, {}, (), key)
    print(key)

def test_payload_printed():
    print("Body: Canary-Of-A-Payload")

def nothing_secret():
    key = SigningKey.generate()
    print(key, key.public_b64, repr(key), key.to_pem()[:27])
    print(Endpoint.parse("https://push.example.net/wpush/v2/gBBBBBBo7-q3vJkWm5xT2Zr9YbN4cLdE"))

test_nothing = nothing_secret
"""


def session(directory: Path, tests: str) -> subprocess.CompletedProcess[str]:
    (directory / "test_inner.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.redaction.plugin", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, "--rootdir", str(directory), str(directory / "test_inner.py")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SESSION_SECONDS_MAX,
        check=False,
    )


def test_every_planted_secret_is_found_and_told_without_it(tmp_path: Path) -> None:
    """Public halves, ids and labels are no secrets: of the last test nothing is told."""
    done = session(tmp_path, PLANTED)
    told = [line for line in done.stdout.splitlines() if "▒▒▒" in line]
    wanted = {line.removeprefix("def ").partition("(")[0] for line in PLANTED.splitlines() if line.startswith("def t")}
    assert {name for name in wanted if any(f"::{name}:" in line for line in told)} == wanted, done.stdout
    for kind in ("private key", "auth secret", "endpoint", "API key", "sync token", "identity token", "lookup key"):
        assert any(line.startswith(f"{kind} in ") for line in told), kind
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert not any("test_nothing" in line for line in told)
    assert "gAAAAABo7-q3vJkWm5xT2Zr9YbN4cLdE" not in done.stdout


def test_a_command_may_show_only_what_it_is_for() -> None:
    row = Allowed("api-keys create", ("API key",), "it is shown once")
    shown = ("/venv/bin/python", "/venv/bin/pushkeep", "api-keys", "create", "backend")
    assert row.covers("API key", command=shown, test="tests/cli/test_commands.py::test_it")
    assert not row.covers("private key", command=shown, test="")
    assert not row.covers("API key", command=(*shown[:3], "list"), test="")
    assert not row.covers("API key", command=(), test="tests/cli/test_commands.py::test_it")


def test_every_allowance_says_why() -> None:
    assert all(row.why and row.kinds and row.command for row in ALLOWED)
    assert len({(row.command, row.kinds) for row in ALLOWED}) == len(ALLOWED)


def test_this_session_is_searched(redaction: Redaction, capsys: pytest.CaptureFixture[str]) -> None:
    """That the planted ones are found says nothing if the search of this very session is not in place."""
    before = redaction.characters
    print("something that is no secret at all")
    capsys.readouterr()
    redaction.search()
    assert redaction.characters > before


def test_a_process_that_was_killed_while_it_wrote_ends_no_session(tmp_path: Path) -> None:
    """What it had begun stays without an end, and a process forked from it may have written behind that."""
    whole = b"written:stdout " + b64encode(b"whole")
    (tmp_path / f"{os.getpid()}-0").write_bytes(b"written:stdout AAA" + whole + b"\n\xff\n" + whole + b"\nwritten:std")
    assert [line.octets for line in Children(tmp_path).news()] == [b"whole"]


def test_what_a_browser_keeps_for_itself_is_not_looked_at(tmp_path: Path) -> None:
    for directory in ("profile/Default", "data"):
        (tmp_path / directory).mkdir(parents=True)
        (tmp_path / directory / "1.log").touch()
    assert list(files_below(tmp_path, depth_max=3)) == [tmp_path / "data" / "1.log"]
