"""The pytest plugin as its users meet it: their tests, run by a pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import aiohttp  # noqa: F401
import pytest
import pywebpush  # noqa: F401

import pushkeep.client
import pushkeep.testing.live
import pushkeep.testing.visitor  # noqa: F401

# A pytest within this one forgets at its end what it imported, and cryptography cannot be imported twice: so all that
# is used there is imported here.
pytest_plugins = ["pytester"]

# A stranger's sender, as pywebpush documents it: it knows nothing of Pushkeep.
SENDER = """
    import pytest
    import requests
    from pywebpush import WebPushException, webpush

    def notify(subscription, text, key, **options):
        claims = {"sub": "mailto:me@my-site.org"}
        webpush(subscription, text, vapid_private_key=key, vapid_claims=claims, ttl=60, **options)
"""


INI = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"


@pytest.fixture
def user(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with that sender, whose asynchronous tests need no marker."""
    pytester.makepyfile(sender=SENDER)
    pytester.makeini(INI)
    return pytester


def run(user: pytest.Pytester, test: str, *options: str) -> pytest.RunResult:
    user.makepyfile(test_user="from sender import *\n" + test)
    # One collects all garbage five times at its end, and there is much of it here; the other imports itself each time.
    without = [option for name in ("unraisableexception", "hypothesispytest") for option in ("-p", f"no:{name}")]
    return user.runpytest_inprocess("-p", "no:cacheprovider", *without, *options)


def test_ten_lines_test_a_sender_against_every_vendor(user: pytest.Pytester) -> None:
    result = run(
        user,
        """
@pytest.mark.push_vendor("all")
def test_visitors_are_told_and_leave(push_subscription, vapid_key, sent_messages):
    notify(push_subscription.to_dict(), "Hello", vapid_key.private)
    assert push_subscription.receive().text == "Hello"
    push_subscription.end()
    with pytest.raises(WebPushException, match="410|404"):
        notify(push_subscription.to_dict(), "Hello again", vapid_key.private)
    assert [message.text for message in sent_messages] == ["Hello"]
    assert [refused.reason for refused in sent_messages.refused] == ["gone"]
""",
        "-v",
    )
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines([f"*[[]{name}[]] PASSED*" for name in ("mozilla", "fcm", "apple", "wns")])


def test_what_was_sent_is_seen_with_all_its_headers(user: pytest.Pytester) -> None:
    result = run(
        user,
        """
def test_it(push_subscription, vapid_key, sent_messages):
    headers = {"urgency": "high", "topic": "inbox"}
    notify(push_subscription.to_dict(), '{"n": 1}', vapid_key.private, headers=headers)
    (sent,) = sent_messages
    assert (sent.ttl, sent.urgency, sent.topic, sent.encoding) == (60, "high", "inbox", "aes128gcm")
    assert sent.json() == {"n": 1}
    assert sent.data == b'{"n": 1}'
    assert sent.claims["sub"] == "mailto:me@my-site.org"
    assert sent.headers["content-length"] == str(sent.body_bytes)
    assert sent.accepted and sent.status == 201 and sent.vendor == "mozilla"
    assert sent in push_subscription.messages
    assert push_subscription.receive() is sent
    sent_messages.assert_all_accepted()
""",
    )
    result.assert_outcomes(passed=1)


def test_nothing_is_left_over_from_the_test_before(user: pytest.Pytester) -> None:
    result = run(
        user,
        """
import os
kept = {}

def test_first(push_service, push_subscription, vapid_key, faults):
    assert os.environ["REQUESTS_CA_BUNDLE"] == os.environ["SSL_CERT_FILE"]
    assert push_service.ca_file.read_bytes() in open(os.environ["NODE_EXTRA_CA_CERTS"], "rb").read()
    assert push_service.url in os.environ["PUSHKEEP_ORIGIN_MAP"]
    notify(push_subscription.to_dict(), "Hello", vapid_key.private)
    faults.add("status=429 retry-after=10")
    kept.update(url=push_service.url, subscription=push_subscription.to_dict(), key=vapid_key.private)

def test_between():
    assert "PUSHKEEP_ORIGIN_MAP" not in os.environ
    assert os.environ["SSL_CERT_FILE"] == "/the/users/own"

def test_second(push_service, push_subscription, vapid_key, faults, sent_messages):
    assert push_service.url == kept["url"]
    assert vapid_key.private == kept["key"]
    assert not faults.list() and not sent_messages and not sent_messages.refused
    notify(push_subscription.to_dict(), "Hello", vapid_key.private)
    with pytest.raises(WebPushException, match="410"):
        notify(kept["subscription"], "Hello", vapid_key.private)
""",
    )
    result.assert_outcomes(passed=3)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user may have set already, and what the machine under this test may have."""
    monkeypatch.setenv("SSL_CERT_FILE", "/the/users/own")
    for name in ("PUSHKEEP_ORIGIN_MAP", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "CI"):
        monkeypatch.delenv(name, raising=False)


def test_a_refusal_says_status_words_and_remedy(user: pytest.Pytester) -> None:
    result = run(
        user,
        """
@pytest.mark.push_vendor("apple")
def test_it(push_subscription, vapid_key, sent_messages):
    other = type(vapid_key)()
    with pytest.raises(WebPushException):
        notify(push_subscription.to_dict(), "Hello", other.private)
    sent_messages.assert_all_accepted()
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*AssertionError: 1 of 1 requests were refused. The push service saw:",
            "E*400 from apple: VapidPkHashMismatch*Sign with the key*",
        ]
    )
    result.stdout.no_fnmatch_line("*subscriptions.py*")


def test_waiting_in_vain_says_what_the_push_service_saw(user: pytest.Pytester) -> None:
    result = run(
        user,
        """
def test_nothing(push_subscription):
    push_subscription.receive(timeout=0.1)

def test_elsewhere(push_subscription, vapid_key):
    notify(push_subscription().to_dict(), "Hello", vapid_key.private)
    push_subscription.receive(timeout=0.1)

def test_garbled(push_subscription, vapid_key):
    stranger = push_subscription().to_dict()
    notify({**stranger, "endpoint": push_subscription.endpoint}, "Hello", vapid_key.private)
    push_subscription.receive()

def test_too_few(push_subscription, vapid_key, sent_messages):
    sent_messages.wait(2, timeout=0.1)

def test_no_such(sent_messages):
    assert sent_messages == [] == sent_messages
    sent_messages[0]
""",
    )
    result.assert_outcomes(failed=5)
    result.stdout.fnmatch_lines(
        [
            "*No message within 0.1 s for this mozilla subscription. The push service saw no request*",
            "*No message within 0.1 s for this mozilla subscription. The push service saw:*",
            "*201, accepted by mozilla (* octets, TTL 60)*",
            "*A message came that a browser could not open*Encrypt it for this subscription's p256dh and auth*",
            "*0 of 2 messages were accepted within 0.1 s*",
            "*IndexError: only 0 messages were accepted*",
        ]
    )


def test_a_failed_test_shows_what_the_push_service_saw(user: pytest.Pytester) -> None:
    result = run(
        user,
        """
def test_it(push_subscription, vapid_key):
    notify(push_subscription.to_dict(), "secret words", vapid_key.private)
    assert push_subscription.end() == "something else"
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- Push service -*", "The push service saw:", "*201, accepted by mozilla*"])
    result.stdout.no_fnmatch_line("*secret words*accepted by*")


def test_a_test_that_stops_the_push_service_harms_itself_alone(user: pytest.Pytester) -> None:
    result = run(
        user,
        """
def test_it(push_service, push_subscription):
    push_service.stop()
    assert push_subscription is None

def test_the_next(push_subscription, vapid_key, sent_messages):
    notify(push_subscription.to_dict(), "Hello", vapid_key.private)
    assert push_subscription.receive().text == "Hello"
    assert len(sent_messages) == 1
""",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_faults_hit_everybody_or_one_subscription(user: pytest.Pytester) -> None:
    result = run(
        user,
        """
def test_throttled(push_subscription, vapid_key, faults, sent_messages):
    faults.add("status=429 retry-after=10 times=1")
    with pytest.raises(WebPushException) as raised:
        notify(push_subscription.to_dict(), "Hello", vapid_key.private)
    assert raised.value.response.headers["retry-after"] == "10"
    assert "Wait as long as Retry-After says" in sent_messages.refused[0].remedy
    notify(push_subscription.to_dict(), "Hello", vapid_key.private)
    assert push_subscription.receive().text == "Hello"

def test_one(push_subscription, vapid_key, faults):
    unlucky = push_subscription(vendor="fcm")
    fault = faults.add("status=503", to=unlucky)
    notify(push_subscription.to_dict(), "Hello", vapid_key.private)
    with pytest.raises(WebPushException, match="503"):
        notify(unlucky.to_dict(), "Hello", vapid_key.private)
    (info,) = faults.list()
    assert info.hits == 1 and "503" in repr(faults)
    faults.remove(fault)
    notify(unlucky.to_dict(), "Hello", vapid_key.private)

def test_lost(push_subscription, vapid_key, faults):
    faults.add("lose")
    notify(push_subscription.to_dict(), "Hello", vapid_key.private)
    with pytest.raises(AssertionError, match="201, accepted by mozilla .* fault `lose`"):
        push_subscription.receive(timeout=0.2)

def test_unanswered(push_subscription, vapid_key, faults, sent_messages):
    for fault in ("reset times=1", "reset taken times=1 after=1"):
        faults.add(fault)
    for text in ("lost", "delivered"):
        with pytest.raises(requests.ConnectionError):
            notify(push_subscription.to_dict(), text, vapid_key.private)
    assert push_subscription.receive().text == "delivered"
    assert [message.status for message in sent_messages.requests] == [None, None]
    assert [message.text for message in sent_messages] == ["delivered"]
    assert "no answer" in str(sent_messages.refused[0])
""",
    )
    result.assert_outcomes(passed=4)


def test_asynchronous_senders_and_tests(user: pytest.Pytester) -> None:
    """aiohttp looks at the environment when it is imported, so it is imported before."""
    result = run(
        user,
        """
import aiohttp, asyncio, httpx
from pushkeep import PushClient
from pywebpush import webpush_async

async def test_aiohttp(push_subscription, vapid_key):
    claims = {"sub": "mailto:me@my-site.org"}
    await webpush_async(
        push_subscription.to_dict(), "Hello", vapid_private_key=vapid_key.private, vapid_claims=claims, ttl=60
    )
    assert (await push_subscription.areceive()).text == "Hello"

async def test_in_the_background(push_subscription, vapid_key, sent_messages):
    async def later():
        async with PushClient(key=vapid_key.signing_key, contact="mailto:me@my-site.org") as client:
            await client.send(push_subscription.to_json(), "Hello")
    task = asyncio.create_task(later())
    assert (await push_subscription.areceive()).text == "Hello"
    await task
    with pytest.raises(AssertionError, match="No message within"):
        await push_subscription.areceive(timeout=0.1)

async def test_httpx(push_service):
    async with httpx.AsyncClient() as client:
        assert (await client.post(push_service.url + "/wpush/v2/none")).status_code == 404
""",
    )
    result.assert_outcomes(passed=3)


@pytest.mark.parametrize("vendor", ["mozilla", "fcm", "apple", "wns", "unifiedpush"])
def test_pushkeep_itself_sends_to_the_vendors_own_hosts(user: pytest.Pytester, vendor: str) -> None:
    result = run(
        user,
        f"""
from pushkeep import PushClient

@pytest.mark.push_vendor("{vendor}")
async def test_it(push_subscription, vapid_key, push_service):
    real = push_subscription(real_host=True)
    assert push_subscription.endpoint.startswith(push_service.url)
    async with PushClient(key=vapid_key.signing_key, contact="mailto:me@my-site.org") as client:
        for subscription in (real, push_subscription):
            outcome = await client.send(subscription.to_json(), "Hello", ttl=60)
            assert outcome.accepted, outcome
            assert (await subscription.areceive()).vendor == "{vendor}"
""",
    )
    result.assert_outcomes(passed=1)


def test_other_processes_find_and_trust_the_service(user: pytest.Pytester) -> None:
    result = run(
        user,
        """
import subprocess, sys

def test_it(push_service):
    code = "import sys, urllib.request as u; u.urlopen(sys.argv[1] + '/wpush/v2/none', data=b'')"
    done = subprocess.run([sys.executable, "-c", code, push_service.url], capture_output=True, text=True, timeout=60)
    assert "HTTP Error 404" in done.stderr
""",
    )
    result.assert_outcomes(passed=1)


STRICT = """
@pytest.mark.push_vendor("mozilla", "apple")
def test_it(push_subscription, vapid_key, sent_messages):
    with pytest.raises(WebPushException, match="strict: sub_placeholder"):
        webpush(
            push_subscription.to_dict(),
            "Hello",
            vapid_private_key=vapid_key.private,
            vapid_claims={"sub": "mailto:me@example.com"},
            ttl=60,
        )
    assert "docs/strict.md" in sent_messages.refused[0].remedy

def test_not_met_before(push_subscription, vapid_key):
    notify(push_subscription.to_dict(), "Hello", vapid_key.private)

def test_nor_here(push_subscription, vapid_key):
    notify(push_subscription.to_dict(), "Hello", vapid_key.private)
    with pytest.raises(WebPushException, match="strict: token_refreshed"):
        claims = {"sub": "mailto:me@my-site.org", "exp": 12 * 3600 + int(__import__("time").time())}
        webpush(push_subscription.to_dict(), "Hi", vapid_private_key=vapid_key.private, vapid_claims=claims, ttl=60)
"""


@pytest.mark.parametrize("how", ["option", "ini"])
def test_the_strict_service_is_an_option(user: pytest.Pytester, how: str) -> None:
    if how == "ini":
        user.makeini(INI + "pushkeep_strict = true\n")
    run(user, STRICT, *(["--push-strict"] if how == "option" else [])).assert_outcomes(passed=4)


def test_strict_rules_can_be_left_out(user: pytest.Pytester) -> None:
    user.makeini(INI + "pushkeep_strict = true\npushkeep_strict_except = sub_placeholder token_refreshed\n")
    run(user, STRICT).assert_outcomes(passed=1, failed=3)
    user.makeini(INI + "pushkeep_strict = true\npushkeep_strict_except = no_such_rule\n")
    result = run(user, STRICT)
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines(["*no_such_rule*docs/strict.md lists them*"])


def test_a_server_started_once_for_all_tests_finds_the_service(user: pytest.Pytester) -> None:
    result = run(
        user,
        """
import json, os, subprocess, sys

SERVER = '''
import json, sys
from sender import notify
for line in sys.stdin:
    subscription, text, key = json.loads(line)
    notify(subscription, text, key)
    print("sent", flush=True)
'''

@pytest.fixture(scope="session")
def server(push_service_session):
    environment = {**os.environ, **push_service_session.environment()}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", SERVER], env=environment, **pipes) as process:
        yield process

@pytest.mark.parametrize("text", ["first", "second"])
def test_it(server, push_subscription, vapid_key, sent_messages, text):
    print(json.dumps([push_subscription.to_dict(), text, vapid_key.private]), file=server.stdin, flush=True)
    assert [message.text for message in sent_messages.wait(1, timeout=30)] == [text]
    assert push_subscription.receive().text == text
""",
    )
    result.assert_outcomes(passed=2)


def test_a_proxy_of_the_environment_is_not_asked(user: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    result = run(
        user,
        """
import os

def test_it(push_subscription, vapid_key):
    assert os.environ["NO_PROXY"].startswith("intranet.example,")
    notify(push_subscription.to_dict(), "Hello", vapid_key.private)
""",
    )
    result.assert_outcomes(passed=1)


def test_the_key_is_there_in_every_form_and_may_be_the_users_own(user: pytest.Pytester) -> None:
    result = run(
        user,
        """
import json
from pushkeep import SigningKey
from pushkeep.testing.vapid_key import VapidKey

OWN = VapidKey()

@pytest.fixture(scope="session")
def vapid_key():
    return VapidKey(OWN.private)

@pytest.mark.parametrize("form", ["private", "pem_file", "der"])
def test_for_pywebpush(push_subscription, vapid_key, form):
    notify(push_subscription.to_dict(), form, getattr(vapid_key, form))
    assert push_subscription.receive().text == form

def test_for_others(vapid_key):
    for form in (vapid_key.pem, vapid_key.der, vapid_key.private, vapid_key.jwk):
        assert SigningKey.read(form).public_b64 == vapid_key.public
    assert open(vapid_key.pem_file).read() == vapid_key.pem
    assert len(vapid_key.public_bytes) == 65
    assert vapid_key.public == OWN.public
    assert vapid_key.private not in repr(vapid_key)
""",
    )
    result.assert_outcomes(passed=4)


def test_a_device_that_is_offline_gets_its_messages_later(user: pytest.Pytester) -> None:
    result = run(
        user,
        """
def test_it(push_subscription, vapid_key):
    push_subscription.go_offline()
    for text in ("first", "second"):
        notify(push_subscription.to_dict(), text, vapid_key.private, headers={"topic": "score"})
    assert [message.text for message in push_subscription.messages] == ["first", "second"]
    push_subscription.go_online()
    assert push_subscription.receive().text == "second"
    with pytest.raises(AssertionError):
        push_subscription.receive(timeout=0.1)
""",
    )
    result.assert_outcomes(passed=1)


def test_reprs_hold_neither_endpoint_nor_keys_nor_payload(user: pytest.Pytester) -> None:
    result = run(
        user,
        """
def test_it(push_service, push_subscription, vapid_key, sent_messages):
    notify(push_subscription.to_dict(), "secret words", vapid_key.private)
    shown = f"{push_service!r} {push_subscription!r} {push_subscription.receive()!r} {sent_messages!r}"
    for secret in (push_subscription.endpoint[-20:], push_subscription.auth, "secret words", "eyJ"):
        assert secret not in shown
""",
    )
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "marker", ['push_vendor("netscape")', "push_vendor()", 'push_vendor("all", "apple")', "push_vendor(7)"]
)
def test_a_vendor_that_is_none_is_refused_with_those_there_are(user: pytest.Pytester, marker: str) -> None:
    result = run(user, f"@pytest.mark.{marker}\ndef test_it(push_subscription):\n    pass\n")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*choose from mozilla, fcm, apple, wns, unifiedpush, or all*"])


def test_a_marker_without_the_fixture_changes_nothing(user: pytest.Pytester) -> None:
    run(user, "@pytest.mark.push_vendor('all')\ndef test_it():\n    pass\n", "--strict-markers").assert_outcomes(
        passed=1
    )


@pytest.mark.parametrize("name", ["firefox", "chromium"])
@pytest.mark.parametrize("ci", [False, True])
def test_a_missing_browser_skips_at_a_desk_and_fails_in_ci(
    user: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str, ci: bool
) -> None:
    monkeypatch.setenv("PATH", str(user.path))
    if ci:
        monkeypatch.setenv("CI", "true")
    result = run(user, f"def test_it({name}_push):\n    pass\n", "-rs")
    result.assert_outcomes(errors=1) if ci else result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*install the Debian package*" + ("CI is set*" if ci else "")])


def test_two_test_runs_at_once_do_not_meet(user: pytest.Pytester) -> None:
    """As the workers of pytest-xdist: each process has its own service on free ports."""
    user.makepyfile(
        test_user="""
from sender import *

def test_it(push_subscription, vapid_key, sent_messages):
    for number in range(3):
        notify(push_subscription.to_dict(), str(number), vapid_key.private)
        assert push_subscription.receive().text == str(number)
    assert len(sent_messages) == 3
"""
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    runs = [
        subprocess.Popen(command, cwd=user.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    for each in runs:
        out, _ = each.communicate(timeout=120)
        assert each.returncode == 0, out


def test_loading_the_plugin_loads_nothing_else_of_pushkeep() -> None:
    """Coverage measured from pytest's start must not miss what was imported before; nor may every run be slowed."""
    code = (
        "import sys, pushkeep.testing.plugin; print(sorted(n for n in sys.modules if n.startswith('pushkeep'))); "
        "print('cryptography' in sys.modules, 'pycurl' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["['pushkeep', 'pushkeep.testing', 'pushkeep.testing.plugin']", "False False"]


def test_the_plugin_needs_nothing_of_the_server(user: pytest.Pytester) -> None:
    blocked = "import sys\nfor name in ('litestar', 'sqlalchemy', 'msgspec', 'uvicorn', 'structlog', 'alembic'):\n"
    user.makeconftest(f"{blocked}    sys.modules[name] = None\n")
    user.makepyfile(test_user="def test_it(push_subscription, sent_messages, faults):\n    pass\n")
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "pushkeep.testing.plugin", "-c", "/dev/null", "test_user.py"]
    done = subprocess.run(command, cwd=user.path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def test_a_missing_extra_is_named(user: pytest.Pytester) -> None:
    user.makeconftest("import sys\nsys.modules['h2'] = None\n")
    user.makepyfile(test_user="def test_it(push_subscription):\n    pass\n")
    result = user.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*needs the Python package h2*; install pushkeep[[]testing[]]*"])
