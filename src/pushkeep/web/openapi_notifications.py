"""The operations on notifications."""

from __future__ import annotations

from collections.abc import Mapping

from pushkeep.app.health import SILENT_PROBE
from pushkeep.web.notification_schemas import (
    AcceptedNotification,
    DryRun,
    NotificationPage,
    NotificationReport,
    NotificationRequest,
    OutcomePage,
)
from pushkeep.web.openapi_types import BODY_PROBLEMS, KEY_PROBLEMS, LIMIT, Answer, Operation, Parameter

_ID = "01939f6b-4a10-7c02-9f11-0a6d5b7c2e13"
_NOTIFICATION_ID = Parameter(
    "notification_id", "path", "The notification's UUID.", {"type": "string", "format": "uuid"}
)
_WAIT = Parameter(
    "wait",
    "query",
    "Answer once it has ended, or after so many seconds.",
    {"type": "integer", "minimum": 0, "maximum": 30, "default": 0},
)
_IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "header",
    "Of your choice, a UUID say: the same request under the same key is accepted once, however often it is sent.",
    {"type": "string", "pattern": "^[!-~]{1,255}$"},
)
_ACCEPTED = {"id": _ID, "status": "sending", "targeted": 2, "unknown": []}
_ACCEPTED_ANSWER = Answer(
    "Accepted. With `Idempotency-Replayed: true` it had been before, under the same key.",
    AcceptedNotification,
    _ACCEPTED,
)
_SUMMARY: Mapping[str, object] = {
    "id": _ID,
    "status": "done",
    "priority": "normal",
    "to": "all",
    "purpose": None,
    "retry_of": None,
    "options": {"ttl": 2419200, "urgency": None, "topic": None},
    "accepted_at": "2026-11-21T08:00:00Z",
    "send_at": "2026-11-21T08:00:00Z",
    "deadline": "2026-12-19T08:00:00Z",
    "paused_at": None,
    "finished_at": "2026-11-21T08:00:01Z",
    "targeted": 2,
    "counts": {"accepted": 1, "gone": 1},
    "waiting": 0,
    "set_aside": 0,
}
_REPORT = {
    **_SUMMARY,
    "vendors": {
        "fcm": {"targeted": 1, "counts": {"accepted": 1}, "waiting": 0},
        "mozilla": {"targeted": 1, "counts": {"gone": 1}, "waiting": 0},
    },
    "receipts": {"displayed": 1, "clicked": 0, "closed": 0},
}
_OUTCOMES = {
    "items": [
        {
            "id": "01939f6b-3b55-7aa1-8c44-6e2f9d0c7b58",
            "short_id": "Kp7vQz3M",
            "contact": None,
            "kind": "accepted",
            "meaning": "a push service took the message",
            "action": "done",
            "status": 201,
            "explanation": None,
            "retry_after": None,
            "duration_ms": 41.7,
            "attempts": 1,
            "at": "2026-11-21T08:00:00Z",
        },
        {
            "id": "01939f6b-2f7c-7b6e-a2f3-5d1c8e0b9a47",
            "short_id": "HMV192av",
            "contact": "user-17",
            "kind": "gone",
            "meaning": "the push service said that the subscription has ended",
            "action": "dropped",
            "status": 410,
            "explanation": {
                "text": "No such subscription",
                "code": 410,
                "errno": 106,
                "more_info": "https://mozilla-push-service.readthedocs.io/en/latest/http.html#error-codes",
            },
            "retry_after": None,
            "duration_ms": 38.2,
            "attempts": 1,
            "at": "2026-11-21T08:00:00Z",
        },
    ],
    "next": None,
}
_DRY_RUN = {
    "targeted": 4711,
    "push_services": [
        {"push_service": "https://fcm.googleapis.com", "vendor": "fcm", "recipients": 4000},
        {"push_service": "https://updates.push.services.mozilla.com", "vendor": "mozilla", "recipients": 711},
    ],
    "skipped": {"skipped_key": 3},
    "unknown": [],
    "health": {
        "living": 4750,
        "failing": 12,
        "quarantined": 30,
        "probes": 4,
        "needs_renewal": 13,
        "likely_dead": 210,
        "note": SILENT_PROBE,
    },
}
_EXAMPLES: Mapping[str, object] = {
    "to everybody": {
        "to": {"all": True},
        "content": {"title": "Hello", "body": "World", "url": "https://example.com/news"},
    },
    "to one contact": {
        "to": {"contacts": ["user-17"]},
        "content": {"title": "Your order is ready"},
        "options": {"ttl": 3600, "urgency": "high", "topic": "order-4711"},
        "priority": "transactional",
    },
    "to everybody with a tag, tomorrow morning": {
        "to": {"tag": "customer"},
        "content": {"title": "The sale has begun", "url": "/sale"},
        "priority": "bulk",
        "send_at": "2027-01-31T08:00:00+01:00",
        "deadline": "2027-01-31T20:00:00+01:00",
    },
    "whom would it reach": {"to": {"tag": "customer"}, "content": {"title": "Hello"}, "dry_run": True},
    "with buttons and a number at the icon": {
        "to": {"contacts": ["user-17"]},
        "content": {
            "title": "Anna has sent you a message",
            "url": "/inbox/7",
            "actions": [
                {"action": "answer", "title": "Answer", "url": "/inbox/7/answer"},
                {"action": "read", "title": "Read it", "icon": "/icons/read.png"},
            ],
            "app_badge": 3,
        },
    },
    "for a purpose": {"to": {"all": True}, "content": {"title": "Cheaper on Friday"}, "purpose": "offers"},
    "own payload": {"to": {"subscriptions": ["HMV192av"]}, "payload": '{"for": "my own worker"}'},
}


def _control(command: str, summary: str, description: str) -> Operation:
    return Operation(
        "POST",
        f"/v1/notifications/{{notification_id}}/{command}",
        f"{command}Notification",
        "server",
        summary,
        description,
        {200: Answer("The notification after it.", NotificationReport, _REPORT)},
        (*KEY_PROBLEMS, "invalid_input", "not_found", "conflict"),
        security="api_key",
        parameters=(_NOTIFICATION_ID,),
    )


NOTIFICATION_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "POST",
        "/v1/notifications",
        "sendNotification",
        "server",
        "Tell somebody something",
        "What is answered with 202 is stored durably and will be sent, whatever becomes of this server meanwhile. "
        "Refused, nothing is stored. What fails for reasons that pass is tried again until the deadline; a recipient "
        "that cannot be reached never stops the others; a subscription whose push service says that it is gone is "
        "dropped. See what became of it at the address in `Location`.",
        {
            202: _ACCEPTED_ANSWER,
            200: Answer("With `dry_run`: whom it would reach. Nothing is stored.", DryRun, _DRY_RUN),
        },
        (*BODY_PROBLEMS, *KEY_PROBLEMS, "payload_too_large", "conflict"),
        security="api_key",
        parameters=(_IDEMPOTENCY_KEY,),
        body=NotificationRequest,
        examples=_EXAMPLES,
    ),
    Operation(
        "GET",
        "/v1/notifications",
        "listNotifications",
        "server",
        "List notifications",
        "The latest first.",
        {200: Answer("A page.", NotificationPage, {"items": [_SUMMARY], "next": None})},
        (*KEY_PROBLEMS, "invalid_input", "not_found"),
        security="api_key",
        parameters=(
            Parameter("limit", "query", "How many.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
            Parameter("before", "query", "Continue behind this id, as `next` gave it.", {"type": "string"}),
        ),
    ),
    Operation(
        "GET",
        "/v1/notifications/{notification_id}",
        "showNotification",
        "server",
        "Show a notification and how far it is",
        "With `wait` the answer comes once it has ended: a small one takes a fraction of a second.",
        {200: Answer("The notification.", NotificationReport, _REPORT)},
        (*KEY_PROBLEMS, "invalid_input", "not_found"),
        security="api_key",
        parameters=(_NOTIFICATION_ID, _WAIT),
    ),
    Operation(
        "GET",
        "/v1/notifications/{notification_id}/outcomes",
        "listOutcomes",
        "server",
        "What became of it for each recipient",
        "Of a notification with up to 1,000 recipients everybody whose outcome is final, of a larger one those who "
        "were not accepted. In the order in which the subscriptions were stored.",
        {200: Answer("A page.", OutcomePage, _OUTCOMES)},
        (*KEY_PROBLEMS, "invalid_input", "not_found"),
        security="api_key",
        parameters=(
            _NOTIFICATION_ID,
            Parameter("kind", "query", "Only these, with commas between.", {"type": "string", "examples": ["gone"]}),
            LIMIT,
            Parameter("after", "query", "Continue behind this subscription, as `next` gave it.", {"type": "string"}),
            _WAIT,
        ),
    ),
    Operation(
        "GET",
        "/v1/notifications/{notification_id}/progress",
        "streamProgress",
        "server",
        "Watch how far a notification is",
        "Server-sent events. Each `progress` event is the notification as `GET /v1/notifications/{notification_id}` "
        "shows it: the first at once, further ones when something has changed, at most one a second, and the last "
        "when it has ended; then the stream ends. It also ends after five minutes, and may be asked for again. A "
        "comment comes every 15 s so that nobody takes it for dead.",
        {200: Answer("The stream.", media_type="text/event-stream")},
        (*KEY_PROBLEMS, "invalid_input", "not_found"),
        security="api_key",
        parameters=(_NOTIFICATION_ID,),
    ),
    _control(
        "pause",
        "Hold a notification",
        "Within a second nothing more is started for it, until it is resumed. The deadline comes all the same.",
    ),
    _control("resume", "Go on with a notification", "After a pause; also with recipients that were set aside."),
    _control(
        "cancel",
        "Stop a notification",
        "Within a second nothing more is started for it, ever. What is under way is finished and counted.",
    ),
    Operation(
        "POST",
        "/v1/notifications/{notification_id}/retry-failed",
        "retryNotification",
        "server",
        "Tell those whom it did not reach once more",
        "A new notification with the same content, for the recipients that were not accepted and may be tried again; "
        "only once the first has ended, and one at a time. On screen it replaces the first one.",
        {202: _ACCEPTED_ANSWER},
        (*KEY_PROBLEMS, "invalid_input", "not_found", "conflict", "payload_too_large"),
        security="api_key",
        parameters=(_NOTIFICATION_ID, _IDEMPOTENCY_KEY),
    ),
)
