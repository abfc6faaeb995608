"""The operations on health."""

from __future__ import annotations

from pushkeep.web.health_schemas import (
    ChoreList,
    LifeReport,
    OriginRelease,
    Released,
    SuspectedList,
    SweepWish,
    SweptReport,
)
from pushkeep.web.openapi_types import AFTER, BODY_PROBLEMS, KEY_PROBLEMS, LIMIT, SUBSCRIPTION_ID, Answer, Operation
from pushkeep.web.schemas import SubscriptionReport

_UUID = "01939f6b-2f7c-7b6e-a2f3-5d1c8e0b9a47"
_SUBSCRIPTION = {
    "id": _UUID,
    "short_id": "HMV192av",
    "contact": None,
    "push_service": "https://fcm.googleapis.com",
    "vendor": "fcm",
    "state": "quarantined",
    "created_at": "2026-02-02T09:30:00Z",
    "last_seen_at": "2026-02-20T18:02:11Z",
    "last_accepted_at": "2026-11-01T18:05:00Z",
    "consecutive_failures": 3,
    "reason": "quarantined",
    "ended": None,
}
_HEALTH = {
    "score": 0,
    "deductions": [
        {"part": "state", "points": 50, "words": "it is quarantined"},
        {"part": "doubts", "points": 45, "words": "its push service doubted it on 3 different days"},
        {"part": "failures", "points": 15, "words": "3 messages failed since the last accepted one"},
        {"part": "silence", "points": 45, "words": "no word of its browser for 275 days"},
    ],
    "likely_dead": True,
    "signs": ["refused"],
    "reasons": ["Its push service refused it on 3 different days."],
}
_LIFE = {
    "subscription": _SUBSCRIPTION,
    "health": _HEALTH,
    "standing": ["It is in quarantine: nothing is sent to it for 3 days; the next message after that is, as a probe."],
    "story": [
        {"at": "2026-02-02T09:30:00Z", "words": "Registered by its browser at Google (FCM)."},
        {
            "at": "2026-11-22T08:00:00Z",
            "words": "Put into quarantine: Google (FCM) says that it does not know it on 3 different days "
            "(status 404).",
        },
    ],
    "entries": [
        {
            "at": "2026-02-02T09:30:00Z",
            "event": "registered",
            "before": None,
            "after": "active",
            "evidence": {"by": "browser"},
        },
        {
            "at": "2026-11-22T08:00:00Z",
            "event": "quarantined",
            "before": "failing",
            "after": "quarantined",
            "evidence": {"by": "push_service", "verdict": "suspect", "status": 404, "days": 3},
        },
    ],
}
_SWEPT = {
    "scope": "all",
    "dry_run": True,
    "seconds": 1.7,
    "living": 1000000,
    "by_state": {"active": 990000, "failing": 4000, "quarantined": 6000},
    "likely_dead": 41000,
    "signs": {"refused": 6000, "silent": 35000},
    "quarantined": 12,
    "expired": 0,
    "purged": 2100,
    "held": [{"origin": "https://push.example", "removed": 800, "living": 1000}],
}
_CHORE = {
    "name": "sweep",
    "due_at": "2026-11-30T04:23:00Z",
    "running": False,
    "started_at": "2026-11-23T04:23:12Z",
    "finished_at": "2026-11-23T04:23:14Z",
    "result": {**_SWEPT, "dry_run": False},
}

HEALTH_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET",
        "/v1/subscriptions/{subscription_id}/lifecycle",
        "showSubscriptionLife",
        "server",
        "Tell a subscription's whole story",
        "What happened to it, when, by whose word, in sentences and as data; how it stands now; its health. Tombstones "
        "too, for as long as they are kept.",
        {200: Answer("The story.", LifeReport, _LIFE)},
        (*KEY_PROBLEMS, "invalid_input", "not_found"),
        security="api_key",
        parameters=(SUBSCRIPTION_ID,),
    ),
    Operation(
        "GET",
        "/v1/likely-dead",
        "listLikelyDead",
        "server",
        "List subscriptions that are likely dead",
        "With the reasons, from what is known already: nothing is sent to find out, and nothing is done about them.",
        {
            200: Answer(
                "A page.",
                SuspectedList,
                {"items": [{"subscription": _SUBSCRIPTION, "health": _HEALTH}], "next": None},
            )
        },
        (*KEY_PROBLEMS, "invalid_input", "not_found"),
        security="api_key",
        parameters=(LIMIT, AFTER),
    ),
    Operation(
        "POST",
        "/v1/subscriptions/{subscription_id}/release",
        "releaseSubscription",
        "server",
        "Release a subscription from quarantine",
        "It is sent to again as if nothing had been; so is one that needs renewal, unless its signing key is retired: "
        "409. Others stay as they are.",
        {
            200: Answer(
                "The subscription after it.", SubscriptionReport, {**_SUBSCRIPTION, "state": "active", "reason": None}
            )
        },
        (*KEY_PROBLEMS, "conflict", "invalid_input", "not_found"),
        security="api_key",
        parameters=(SUBSCRIPTION_ID,),
    ),
    Operation(
        "POST",
        "/v1/subscriptions/release",
        "releasePushService",
        "server",
        "Release every quarantined subscription of a push service",
        "After its origin was allowed, or its trouble is over.",
        {200: Answer("How many there were.", Released, {"released": 17})},
        (*BODY_PROBLEMS, *KEY_PROBLEMS),
        security="api_key",
        body=OriginRelease,
        examples={"one push service": {"push_service": "https://push.example"}},
    ),
    Operation(
        "GET",
        "/v1/sweeps",
        "listSweeps",
        "server",
        "Show when sweeps are due, and how the last ones went",
        "One is done by the schedule, one after notifications have ended.",
        {200: Answer("The chores.", ChoreList, {"items": [_CHORE]})},
        KEY_PROBLEMS,
        security="api_key",
    ),
    Operation(
        "POST",
        "/v1/sweeps",
        "sweep",
        "server",
        "Sweep now",
        "Looks over everything stored: counts, puts into quarantine what was refused on three days, ends what nobody "
        "heard of where the settings say so, forgets old tombstones. With `dry_run` it only says what it would do. "
        "Where it would remove unusually much of one push service's subscriptions, it removes none there (`held`) "
        "unless forced. 409 while another sweep is under way.",
        {200: Answer("What it found and did.", SweptReport, _SWEPT)},
        (*BODY_PROBLEMS, *KEY_PROBLEMS, "conflict"),
        security="api_key",
        body=SweepWish,
        examples={"what would it do": {"dry_run": True}, "do it": {}},
    ),
)
