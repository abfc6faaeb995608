"""Every operation of the API with its words and examples: what :mod:`pushkeep.web.openapi` makes its document from."""

from __future__ import annotations

from pushkeep.domain.subscription import State
from pushkeep.web.openapi_browser import BROWSER_OPERATIONS, EXAMPLE_UUID, RECEIPT, SERVER_KEY, SUBSCRIPTION_JSON
from pushkeep.web.openapi_consents import CONSENT_OPERATIONS
from pushkeep.web.openapi_contacts import CONTACT_OPERATIONS
from pushkeep.web.openapi_direct import DIRECT_OPERATIONS
from pushkeep.web.openapi_health import HEALTH_OPERATIONS
from pushkeep.web.openapi_keys import KEY_OPERATIONS
from pushkeep.web.openapi_notifications import NOTIFICATION_OPERATIONS
from pushkeep.web.openapi_privacy import ERASED, PRIVACY_OPERATIONS
from pushkeep.web.openapi_types import (
    AFTER,
    BODY_PROBLEMS,
    KEY_PROBLEMS,
    LIMIT,
    SUBSCRIPTION_ID,
    Answer,
    Operation,
    Parameter,
)
from pushkeep.web.privacy_schemas import ErasureReport
from pushkeep.web.schemas import (
    Health,
    ProblemDescription,
    RegistrationReceipt,
    ServerRegistration,
    SubscriptionPage,
    SubscriptionReport,
)

_SUBSCRIPTION = {
    "id": EXAMPLE_UUID,
    "short_id": "HMV192av",
    "contact": "user-17",
    "push_service": "https://updates.push.services.mozilla.com",
    "vendor": "mozilla",
    "state": "gone",
    "created_at": "2026-11-02T09:30:00Z",
    "last_seen_at": "2026-11-20T18:02:11Z",
    "last_accepted_at": "2026-11-20T18:05:00Z",
    "consecutive_failures": 0,
    "reason": "said_gone",
    "ended": {
        "cause": "said_gone",
        "at": "2026-11-21T08:00:01Z",
        "text": "No such subscription",
        "status": 410,
        "code": 410,
        "errno": 106,
        "more_info": "https://mozilla-push-service.readthedocs.io/en/latest/http.html#error-codes",
    },
}

OPERATIONS: tuple[Operation, ...] = (
    *BROWSER_OPERATIONS,
    *NOTIFICATION_OPERATIONS,
    *CONTACT_OPERATIONS,
    *PRIVACY_OPERATIONS,
    *CONSENT_OPERATIONS,
    *KEY_OPERATIONS,
    *HEALTH_OPERATIONS,
    *DIRECT_OPERATIONS,
    Operation(
        "GET",
        "/v1/subscriptions",
        "listSubscriptions",
        "server",
        "List subscriptions",
        "Oldest first. Endpoints and keys are never shown.",
        {200: Answer("A page.", SubscriptionPage, {"items": [_SUBSCRIPTION], "next": None})},
        (*KEY_PROBLEMS, "invalid_input", "not_found"),
        security="api_key",
        parameters=(
            Parameter(
                "state",
                "query",
                "Only those in this state.",
                {"type": "string", "enum": [state.value for state in State]},
            ),
            LIMIT,
            AFTER,
        ),
    ),
    Operation(
        "POST",
        "/v1/subscriptions",
        "handOverSubscription",
        "server",
        "Store a subscription on behalf of its browser",
        "For sites whose pages talk to their own server only. With `contact` it says whose it is: this and the "
        "identity token are the only ways to an owner.",
        {
            201: Answer("Stored.", RegistrationReceipt, RECEIPT),
            200: Answer("Known already, and confirmed.", RegistrationReceipt, RECEIPT),
        },
        (*BODY_PROBLEMS, *KEY_PROBLEMS, "forbidden", "conflict"),
        security="api_key",
        body=ServerRegistration,
        examples={
            "with its owner": {
                "subscription": SUBSCRIPTION_JSON,
                "application_server_key": SERVER_KEY,
                "contact": "user-17",
            }
        },
    ),
    Operation(
        "GET",
        "/v1/subscriptions/{subscription_id}",
        "showSubscription",
        "server",
        "Show a subscription",
        "An ended one too, with the reason.",
        {200: Answer("The subscription.", SubscriptionReport, _SUBSCRIPTION)},
        (*KEY_PROBLEMS, "invalid_input", "not_found"),
        security="api_key",
        parameters=(SUBSCRIPTION_ID,),
    ),
    Operation(
        "DELETE",
        "/v1/subscriptions/{subscription_id}",
        "deleteSubscription",
        "server",
        "End a subscription",
        "By the operator's word; endpoint and keys are erased, the record with its reason stays. Its browser is not "
        "asked and comes back at its next visit unless the visitor unsubscribes.",
        {
            204: Answer("Ended."),
            200: Answer("Erased.", ErasureReport, ERASED),
        },
        (*KEY_PROBLEMS, "invalid_input", "not_found"),
        security="api_key",
        parameters=(
            SUBSCRIPTION_ID,
            Parameter(
                "erase",
                "query",
                "Also erase what is kept of it and of those which it replaced; again is no error.",
                {"type": "boolean", "default": False},
            ),
        ),
    ),
    Operation(
        "GET",
        "/healthz",
        "health",
        "operation",
        "Whether the server and its database answer",
        "For load balancers and supervisors.",
        {200: Answer("Both do.", Health, {"status": "ok"})},
        ("internal", "unavailable"),
    ),
    Operation(
        "GET",
        "/metrics",
        "metrics",
        "operation",
        "What is counted, for Prometheus",
        "The text format of Prometheus: what the server's own process has counted, and what all processes share. "
        "Worker processes have pages of their own on `worker_metrics_port`. The metrics are in the operating guide.",
        {200: Answer("The metrics.", media_type="text/plain")},
        (*KEY_PROBLEMS, "not_found"),
        security="api_key",
    ),
    Operation(
        "GET",
        "/v1/openapi.json",
        "openapi",
        "operation",
        "This document",
        "OpenAPI 3.1.",
        {200: Answer("The document.", media_type="application/vnd.oai.openapi+json")},
    ),
    Operation(
        "GET",
        "/v1/problems/{code}",
        "problemType",
        "operation",
        "What a problem means",
        "The `type` of every problem leads here.",
        {
            200: Answer(
                "Its row of the table.",
                ProblemDescription,
                {
                    "code": "not_found",
                    "status": 404,
                    "title": "Not found",
                    "meaning": "There is no such route or project, or no such record in it.",
                },
            )
        },
        ("not_found",),
        parameters=(Parameter("code", "path", "The problem's `code`.", {"type": "string"}),),
    ),
    Operation(
        "GET",
        "/pushkeep/{name}",
        "sdkFile",
        "browser",
        "A file of the browser SDK",
        "`sdk.js` is the page module, `worker.js` the service worker for the scopes `/pushkeep/a/` and `/pushkeep/b/`.",
        {200: Answer("The script.", media_type="text/javascript"), 304: Answer("The browser's copy is current.")},
        ("not_found",),
        parameters=(Parameter("name", "path", "Name of the file.", {"type": "string", "examples": ["sdk.js"]}),),
    ),
)
"""All of them. The demo page's routes are not part of the API."""
