"""A shop that tells its customers when their parcel is on its way. Nothing in here knows of Pushkeep."""

import json
import os
from http import HTTPStatus

from pywebpush import WebPushException, webpush

subscriptions: dict[str, dict] = {}
"""By customer; a real shop has a table."""


def tell(customer: str, title: str, body: str) -> bool:
    """Send a notification; a customer who has left is forgotten."""
    try:
        webpush(
            subscriptions[customer],
            json.dumps({"title": title, "body": body}),
            vapid_private_key=os.environ["VAPID_PRIVATE_KEY"],
            vapid_claims={"sub": "mailto:you@your-domain.org"},
            ttl=3600,
            headers={"urgency": "high"},
        )
    except WebPushException as error:
        status = error.response.status_code if error.response is not None else None
        if status in (HTTPStatus.GONE, HTTPStatus.NOT_FOUND):
            del subscriptions[customer]
        return False
    return True


def application(environ: dict, start_response) -> list[bytes]:
    """The web application (WSGI): ``POST /shipped/CUSTOMER``, as the warehouse calls it."""
    customer = environ["PATH_INFO"].rpartition("/")[2]
    told = customer in subscriptions and tell(customer, "Your parcel", "It is on its way.")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"told": told}).encode()]
