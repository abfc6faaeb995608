"""The operations that the SDK in a visitor's page or worker calls."""

from __future__ import annotations

from pushkeep.web.openapi_types import BODY_PROBLEMS, PROJECT_KEY, Answer, Operation, Parameter
from pushkeep.web.schemas import (
    SEQUENCE_MAX,
    BrowserReceipt,
    ClientConfig,
    Heartbeat,
    OwnReport,
    Registration,
    ShownPurposes,
    Standing,
    Words,
    WordsHeard,
)

EXAMPLE_UUID = "01939f6b-2f7c-7b6e-a2f3-5d1c8e0b9a47"
SERVER_KEY = "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs"
SUBSCRIPTION_JSON = {
    "endpoint": "https://updates.push.services.mozilla.com/wpush/v2/gAAAAABexample",
    "expirationTime": None,
    "keys": {
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    },
}
_TOKEN = f"st_{EXAMPLE_UUID}.mS0m3Tag0f43CharactersThatOnlyTheServerCanMk"
_STANDING = {
    "id": EXAMPLE_UUID,
    "short_id": "HMV192av",
    "state": "active",
    "renew": False,
    "application_server_key": SERVER_KEY,
    "grace_seconds": 3600,
    "owned": True,
    "sequence": 1795341600000,
}
RECEIPT = {**_STANDING, "sync_token": _TOKEN}
_HOLDS = {"consents": {"offers": True}, "since": {"offers": "2026-11-20T18:02:11.481Z"}}
_BROWSER_RECEIPT = {**RECEIPT, **_HOLDS}
_DIGEST = "3b1f6a0c9d5e47b2a8c4e0f17d6b923c5a4e8f0b1d7c6a29384756e0f1a2b3c4"
_WORDING = {
    "digest": _DIGEST,
    "locale": "en",
    "version": "2026-11",
    "policy_version": "7",
    "text": "Once a week, on Friday, we tell you what is cheaper. You can stop that at any time.",
}
_SAID = {
    "purpose": "offers",
    "given": True,
    "method": "prompt",
    "wording": _DIGEST,
    "page": "https://example.com/basket",
}
_OWN = {
    "id": EXAMPLE_UUID,
    "short_id": "HMV192av",
    "state": "active",
    "reason": None,
    "created_at": "2026-11-02T09:30:00Z",
    "last_seen_at": "2026-11-20T18:02:11Z",
    "last_accepted_at": "2026-11-20T18:05:00Z",
    "last_displayed_at": "2026-11-20T18:05:03Z",
    "renew": False,
    "health": {"score": 100, "likely_dead": False, "reasons": []},
    "consents": [
        {
            "purpose": "offers",
            "given": True,
            "at": "2026-11-02T09:30:00Z",
            "method": "prompt",
            "wording": _WORDING,
        }
    ],
    "story": [{"at": "2026-11-02T09:30:00Z", "words": "Its browser registered it."}],
}
_PROBLEMS = ("forbidden", "not_found", "rate_limited", "internal", "unavailable")
_TOKEN_PROBLEMS = ("invalid_token", "unauthorized", *_PROBLEMS)
_PREDECESSORS = "Its predecessors, named by their sync tokens, end in the same transaction: nobody counts twice."

BROWSER_OPERATIONS: tuple[Operation, ...] = (
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
                    "application_server_key": SERVER_KEY,
                    "site_url": "https://example.com",
                    "secure": True,
                    "explanation": None,
                },
            )
        },
        _PROBLEMS,
        parameters=(PROJECT_KEY,),
    ),
    Operation(
        "POST",
        "/v1/client/{project_key}/subscriptions",
        "registerSubscription",
        "browser",
        "Store or confirm a subscription",
        "Idempotent: a browser that sends the same again gets the same answer. Without `identity` the subscription "
        "stays whose it was, at first anonymous; `detach` takes the owner away. Subscriptions at push services that "
        f"are neither known nor allowed are refused. {_PREDECESSORS} Where `renew` is true, the browser is to make a "
        "new subscription with `application_server_key` beside this one and register it with this one's token as "
        "`replaces`.",
        {
            201: Answer("Stored.", BrowserReceipt, _BROWSER_RECEIPT),
            200: Answer("Known already, and confirmed.", BrowserReceipt, _BROWSER_RECEIPT),
        },
        (*BODY_PROBLEMS, "conflict", "unsupported_media_type", *_PROBLEMS),
        parameters=(PROJECT_KEY,),
        body=Registration,
        examples={
            "first": {"subscription": SUBSCRIPTION_JSON, "application_server_key": SERVER_KEY},
            "replacement": {
                "subscription": SUBSCRIPTION_JSON,
                "application_server_key": SERVER_KEY,
                "replaces": [_TOKEN],
                "sequence": 1795341600000,
            },
            "with what the visitor agreed to": {
                "subscription": SUBSCRIPTION_JSON,
                "application_server_key": SERVER_KEY,
                "consents": [_SAID],
                "sequence": 1795341600000,
            },
            "somebody logged out": {
                "subscription": SUBSCRIPTION_JSON,
                "application_server_key": SERVER_KEY,
                "detach": True,
            },
        },
    ),
    Operation(
        "GET",
        "/v1/client/{project_key}/purposes",
        "shownPurposes",
        "browser",
        "What the site sends for, and what to ask visitors",
        "Each purpose with the newest wording in the wanted language, or else in the language that was declared first. "
        "A page that asks somebody shows exactly that text, and names its digest with what they answer.",
        {
            200: Answer(
                "The purposes.",
                ShownPurposes,
                {
                    "purposes": [
                        {
                            "name": "offers",
                            "description": "Offers of the week, on Fridays",
                            "basis": "consent",
                            "wording": _WORDING,
                        }
                    ]
                },
            )
        },
        ("invalid_input", *_PROBLEMS),
        parameters=(
            PROJECT_KEY,
            Parameter(
                "locale", "query", "Language tag of the visitor, such as `de-AT`.", {"type": "string", "maxLength": 35}
            ),
        ),
    ),
    Operation(
        "POST",
        "/v1/client/{project_key}/consents",
        "sayConsents",
        "browser",
        "Say what the visitor agrees to, or takes back",
        "All of it is recorded, or nothing. The same again while it holds writes nothing. A word by the token of "
        "one that was replaced is about the one that has replaced it; one that has `ended` otherwise is refused.",
        {200: Answer("What holds by now.", WordsHeard, _HOLDS | {"consents": {"offers": False}})},
        (*BODY_PROBLEMS, "conflict", "unsupported_media_type", *_TOKEN_PROBLEMS),
        security="sync_token",
        parameters=(PROJECT_KEY,),
        body=Words,
        examples={
            "taken back": {
                "consents": [{"purpose": "offers", "given": False, "method": "settings"}],
                "sequence": 1795341600000,
            }
        },
    ),
    Operation(
        "POST",
        "/v1/client/{project_key}/heartbeat",
        "confirmSubscription",
        "browser",
        "Say that the browser still has its subscription",
        "What a page says at most loads, instead of registering again. An ended subscription stays ended and says so. "
        "`not_found` means that it is not stored any more (purged, or a backup was restored): register it again.",
        {200: Answer("How it stands.", Standing, _STANDING)},
        (*BODY_PROBLEMS, "conflict", "unsupported_media_type", *_TOKEN_PROBLEMS),
        security="sync_token",
        parameters=(PROJECT_KEY,),
        body=Heartbeat,
        examples={"with the browser's number": {"sequence": 1795341600000}},
    ),
    Operation(
        "GET",
        "/v1/client/{project_key}/subscriptions",
        "describeSubscription",
        "browser",
        "Tell a visitor about the subscription of their own browser",
        "Its state, its health, what the visitor has agreed to, and its story in plain words; no names of people or "
        "keys.",
        {200: Answer("The subscription.", OwnReport, _OWN)},
        ("invalid_input", *_TOKEN_PROBLEMS),
        security="sync_token",
        parameters=(PROJECT_KEY,),
    ),
    Operation(
        "DELETE",
        "/v1/client/{project_key}/subscriptions",
        "unregisterSubscription",
        "browser",
        "End the subscription of a sync token",
        "Its visitor has unsubscribed, or its browser does not have it any more. Doing it again changes nothing. An "
        "endpoint never stands in an address.",
        {204: Answer("Ended.")},
        ("invalid_input", "conflict", *_TOKEN_PROBLEMS),
        security="sync_token",
        parameters=(
            PROJECT_KEY,
            Parameter(
                "reason",
                "query",
                "`left`: the visitor unsubscribed. `lost`: permission was revoked, or the browser lost its data.",
                {"type": "string", "enum": ["left", "lost"], "default": "left"},
            ),
            Parameter(
                "sequence",
                "query",
                "Rises with each intent of the browser; an older one is `stale`.",
                {"type": "integer", "minimum": 0, "maximum": SEQUENCE_MAX},
            ),
            Parameter(
                "erase",
                "query",
                "Also erase what is kept of this subscription and of those which it replaced. Nothing is known of it "
                "then, and its token leads nowhere.",
                {"type": "boolean", "default": False},
            ),
        ),
    ),
)
