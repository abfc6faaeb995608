"""A program in any language finds and trusts the push service by the environment that the fixtures set."""

import os
import subprocess
from pathlib import Path

SENDER = Path(__file__).with_name("send.cjs")


def send(subscription, key):
    """Run the sender as it is run in production; returns what it said on its error output."""
    keys = {"VAPID_PUBLIC_KEY": key.public, "VAPID_PRIVATE_KEY": key.private}
    done = subprocess.run(
        ["node", SENDER],
        input=subscription.to_json(),
        env={**os.environ, **keys},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stderr.strip()


def test_node_sends(push_subscription, vapid_key):
    assert send(push_subscription, vapid_key) == ""
    assert push_subscription.receive().text == "Hello from Node"


def test_node_says_who_left(push_subscription, vapid_key):
    push_subscription.end()
    assert send(push_subscription, vapid_key) == "410"
