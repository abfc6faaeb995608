"""Every operation of the API with its words and examples: what :mod:`pushkeep.web.openapi` makes its document from."""

from __future__ import annotations

from pushkeep.web.openapi_contacts import CONTACT_OPERATIONS
from pushkeep.web.openapi_direct import DIRECT_OPERATIONS
from pushkeep.web.openapi_notifications import NOTIFICATION_OPERATIONS
from pushkeep.web.openapi_types import BODY_PROBLEMS, KEY_PROBLEMS, PROJECT_KEY, Answer, Operation, Parameter
from pushkeep.web.schemas import (
    ClientConfig,
    Health,
    ProblemDescription,
    Registration,
    RegistrationReceipt,
    ServerRegistration,
    SubscriptionPage,
    SubscriptionReport,
)

_SUBSCRIPTION_ID = Parameter(
    "subscription_id", "path", "UUID or short id.", {"type": "string", "examples": ["HMV192av"]}
)
_SUBSCRIPTION_JSON = {
    "endpoint": "https://updates.push.services.mozilla.com/wpush/v2/gAAAAABexample",
    "expirationTime": None,
    "keys": {
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    },
}
_SERVER_KEY = "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs"
_UUID = "01939f6b-2f7c-7b6e-a2f3-5d1c8e0b9a47"
_SYNC_TOKEN = f"st_{_UUID}.mS0m3Tag0f43CharactersThatOnlyTheServerCanMk"
_RECEIPT = {"id": _UUID, "short_id": "HMV192av", "sync_token": _SYNC_TOKEN}
_SUBSCRIPTION = {
    "id": _UUID,
    "short_id": "HMV192av",
    "contact": "user-17",
    "push_service": "https://updates.push.services.mozilla.com",
    "vendor": "mozilla",
    "state": "gone",
    "created_at": "2026-11-02T09:30:00Z",
    "last_seen_at": "2026-11-20T18:02:11Z",
    "last_accepted_at": "2026-11-20T18:05:00Z",
    "consecutive_failures": 0,
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
    Operation(
        "GET",
        "/v1/client/{project_key}/config",
        "clientConfig",
        "browser",
        "What a page needs before it can subscribe",
        "Never cached: a key that was retired must not be used again. `secure` is false where the request came over "
        "plain http from another machine; browsers offer no push there, and `explanation` says what to do.",
        {
            200: Answer(
                "The configuration.",
                ClientConfig,
                {
                    "application_server_key": _SERVER_KEY,
                    "site_url": "https://example.com",
                    "secure": True,
                    "explanation": None,
                },
            )
        },
        ("not_found", "rate_limited", "internal", "unavailable"),
        parameters=(PROJECT_KEY,),
    ),
    Operation(
        "POST",
        "/v1/client/{project_key}/subscriptions",
        "registerSubscription",
        "browser",
        "Store or confirm a subscription",
        "Idempotent: a browser that sends the same again gets the same answer. Without `identity` the subscription is "
        "anonymous. Subscriptions at push services that are neither known nor allowed are refused.",
        {
            201: Answer("Stored.", RegistrationReceipt, _RECEIPT),
            200: Answer("Known already, and confirmed.", RegistrationReceipt, _RECEIPT),
        },
        (
            *BODY_PROBLEMS,
            "forbidden",
            "not_found",
            "conflict",
            "unsupported_media_type",
            "rate_limited",
            "internal",
            "unavailable",
        ),
        parameters=(PROJECT_KEY,),
        body=Registration,
        examples={
            "first": {"subscription": _SUBSCRIPTION_JSON, "application_server_key": _SERVER_KEY},
            "replacement": {
                "subscription": _SUBSCRIPTION_JSON,
                "application_server_key": _SERVER_KEY,
                "replaces": _SYNC_TOKEN,
            },
        },
    ),
    Operation(
        "DELETE",
        "/v1/client/{project_key}/subscriptions",
        "unregisterSubscription",
        "browser",
        "End the subscription of a sync token",
        "Its browser has unsubscribed. Doing it again changes nothing. An endpoint never stands in an address.",
        {204: Answer("Ended.")},
        ("invalid_token", "unauthorized", "not_found", "rate_limited", "internal", "unavailable"),
        security="sync_token",
        parameters=(PROJECT_KEY,),
    ),
    *NOTIFICATION_OPERATIONS,
    *CONTACT_OPERATIONS,
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
                {"type": "string", "enum": ["active", "gone", "unsubscribed", "superseded"]},
            ),
            Parameter(
                "limit", "query", "How many.", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
            ),
            Parameter("after", "query", "Continue behind this id, as `next` gave it.", {"type": "string"}),
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
            201: Answer("Stored.", RegistrationReceipt, _RECEIPT),
            200: Answer("Known already, and confirmed.", RegistrationReceipt, _RECEIPT),
        },
        (*BODY_PROBLEMS, *KEY_PROBLEMS, "forbidden", "conflict"),
        security="api_key",
        body=ServerRegistration,
        examples={
            "with its owner": {
                "subscription": _SUBSCRIPTION_JSON,
                "application_server_key": _SERVER_KEY,
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
        parameters=(_SUBSCRIPTION_ID,),
    ),
    Operation(
        "DELETE",
        "/v1/subscriptions/{subscription_id}",
        "deleteSubscription",
        "server",
        "End a subscription",
        "By the operator's word; endpoint and keys are erased, the record with its reason stays. Its browser is not "
        "asked and comes back at its next visit unless the visitor unsubscribes.",
        {204: Answer("Ended.")},
        (*KEY_PROBLEMS, "invalid_input", "not_found"),
        security="api_key",
        parameters=(_SUBSCRIPTION_ID,),
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
