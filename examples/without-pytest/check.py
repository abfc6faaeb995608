"""A test without pytest and without a line of Pushkeep: the push service is a program that writes what happens.

The same is written in any language that can start a program and read its output line by line.
"""

import json
import os
import shlex
import subprocess
from pathlib import Path

from pywebpush import WebPushException, webpush

MAKE_KEY = "pushkeep keys generate --out vapid.pem"
# One subscription without a browser, which ends after its first message.
SERVICE = """pushkeep pushservice --json-events --show-payloads --fault 'answer=gone after=1'
             --synthetic 1 --key vapid.pem --subscriptions-out subscriptions.jsonl"""


def send(subscription, text):
    """Your sender; returns the status."""
    claims = {"sub": "mailto:you@your-domain.org"}
    try:
        return webpush(subscription, text, vapid_private_key="vapid.pem", vapid_claims=claims, ttl=60).status_code
    except WebPushException as refused:
        return refused.response.status_code


def main():
    """Start the service, send, and read what it saw."""
    subprocess.run(shlex.split(MAKE_KEY), check=True, stdout=subprocess.DEVNULL)
    with subprocess.Popen(shlex.split(SERVICE), stdout=subprocess.PIPE, text=True) as service:
        try:
            addresses = json.loads(service.stdout.readline())
            os.environ["REQUESTS_CA_BUNDLE"] = addresses["ca_file"]  # your sender must trust it
            subscription = json.loads(Path("subscriptions.jsonl").read_text())
            print("answered:", send(subscription, "Hello"), send(subscription, "Hello again"))
            for line in service.stdout:
                event = json.loads(line)
                print(event["event"], event.get("payload", ""))
                if event["event"] == "faulted":
                    break
        finally:
            service.terminate()


main()
