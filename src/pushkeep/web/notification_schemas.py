"""The shapes of what is said about notifications: asked for, accepted, on their way, and what became of them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from pushkeep.app.progress import Status
from pushkeep.domain.notification import ACTIONS_MAX
from pushkeep.domain.shard import FINAL_KINDS
from pushkeep.protocol.payload import APP_BADGE_MAX
from pushkeep.web.schemas import AnyJson

StatusWord = Annotated[
    str,
    Meta(
        description="`scheduled`: its time has not come; `planning`: its recipients are being looked up, and sending "
        "has begun; `sending`; `paused`; `done`: nothing more will be tried for anybody; `cancelled`.",
        extra_json_schema={"enum": [str(status) for status in Status]},
    ),
]
Counts = Annotated[
    dict[str, int],
    Meta(description=f"Recipients by what became of them; only those that occur: {', '.join(FINAL_KINDS)}."),
]
Moment = Annotated[str, Meta(description="RFC 3339.")]


class Recipients(Struct, frozen=True, forbid_unknown_fields=True):
    """Whom a notification is for: exactly one member."""

    all: Annotated[Literal[True] | UnsetType, Meta(description="Every active subscription.")] = UNSET
    tag: Annotated[str | UnsetType, Meta(description="The contacts that have this tag.")] = UNSET
    contacts: Annotated[list[str] | UnsetType, Meta(description="Contacts, by the site's own ids.")] = UNSET
    subscriptions: Annotated[list[str] | UnsetType, Meta(description="Subscriptions, by UUID or short id.")] = UNSET


class NotificationAction(Struct, frozen=True, forbid_unknown_fields=True):
    """A button of a notification."""

    action: Annotated[
        str, Meta(description="What your code knows it by: 1 to 64 characters, unique in its notification.")
    ]
    title: Annotated[str, Meta(description="What the button says: 1 to 80 characters; systems show about 20.")]
    url: Annotated[
        str | None, Meta(description="What it opens; relative to the site. Default: what the notification opens.")
    ] = None
    icon: Annotated[str | None, Meta(description="URL of a picture; relative to the site.")] = None


class NotificationContent(Struct, frozen=True, forbid_unknown_fields=True):
    """What a notification says."""

    title: Annotated[str, Meta(description="Not empty, up to 200 characters.")]
    body: Annotated[str, Meta(description="Up to 2,000 characters; systems show about 120.")] = ""
    url: Annotated[
        str | None, Meta(description="Opened on a click; relative to the site. Default: the site itself.")
    ] = None
    icon: Annotated[str | None, Meta(description="URL of a picture; relative to the site.")] = None
    image: Annotated[str | None, Meta(description="URL of a large picture, where the system shows one.")] = None
    badge: Annotated[str | None, Meta(description="URL of a monochrome picture for status bars.")] = None
    data: Annotated[AnyJson, Meta(description="Any JSON, handed to the site's code.")] = None
    lang: Annotated[str | None, Meta(description="Language tag (BCP 47).")] = None
    dir: Annotated[Literal["ltr", "rtl", "auto"] | None, Meta(description="Direction of the text.")] = None
    actions: Annotated[
        list[NotificationAction],
        Meta(
            description="Buttons, where the browser shows any (Safari shows none).",
            extra_json_schema={"maxItems": ACTIONS_MAX},
        ),
    ] = []
    app_badge: Annotated[
        int | None,
        Meta(
            description="The number at the installed site's icon; 0 takes it away. Default: it stays as it is.",
            extra_json_schema={"minimum": 0, "maximum": APP_BADGE_MAX},
        ),
    ] = None


class NotificationOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """How a notification is delivered and shown."""

    ttl: Annotated[
        int | UnsetType,
        Meta(description="Seconds a push service keeps it for a browser that is offline. Default: four weeks."),
    ] = UNSET
    urgency: Annotated[
        Literal["very-low", "low", "normal", "high"] | None,
        Meta(description="How much battery it is worth (RFC 8030 section 5.3)."),
    ] = None
    topic: Annotated[
        str | None,
        Meta(description="A waiting message of the same topic is replaced (RFC 8030 section 5.4): 1 to 32 characters."),
    ] = None
    tag: Annotated[
        str | None,
        Meta(description="A shown notification of the same tag is replaced. Default: the id."),
    ] = None
    renotify: Annotated[bool, Meta(description="Sound again when it replaces one; needs `tag`.")] = False
    silent: Annotated[bool, Meta(description="Without sound or vibration.")] = False
    require_interaction: Annotated[bool, Meta(description="Stay until dealt with, where the system can.")] = False
    receipts: Annotated[
        bool, Meta(description="Whether browsers report that they displayed it, and that it was clicked or closed.")
    ] = True
    compress: Annotated[bool, Meta(description="Send it compressed to the browsers that can read that.")] = False
    fetch: Annotated[
        bool,
        Meta(
            description="For large content, up to 64 KB: the message has title, URL and the beginning of the body, and "
            "the browser fetches the rest."
        ),
    ] = False


class NotificationRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """One request to tell somebody something: `content`, or a payload of your own worker's making."""

    to: Recipients
    content: NotificationContent | None = None
    payload: Annotated[
        str | None, Meta(description="Instead of `content`: the message as text; empty for a push without data.")
    ] = None
    payload_base64: Annotated[str | None, Meta(description="Instead of `content`: the message as octets.")] = None
    options: NotificationOptions = NotificationOptions()
    priority: Annotated[
        str,
        Meta(
            description="Whose turn is first: `transactional` for what somebody waits for, `bulk` for what can wait.",
            extra_json_schema={"enum": ["transactional", "normal", "bulk"]},
        ),
    ] = "normal"
    send_at: Annotated[
        str | None,
        Meta(description="When to send it, up to a year ahead; RFC 3339 with an offset. Default: now."),
    ] = None
    deadline: Annotated[
        str | None,
        Meta(
            description="After it nothing more is tried; up to 30 days after `send_at`. Default: what `ttl` says, but "
            "at least a minute after `send_at`."
        ),
    ] = None
    purpose: Annotated[
        str | None,
        Meta(
            description="What it is for, by the name of a declared purpose: who has not agreed to that is left out. "
            "Default: nobody's consent is asked."
        ),
    ] = None
    dry_run: Annotated[
        bool, Meta(description="Send nothing and store nothing; answer whom it would reach, after every check.")
    ] = False


class AcceptedNotification(Struct, frozen=True):
    """A notification that is stored durably."""

    id: Annotated[str, Meta(description="The notification's UUID.")]
    status: StatusWord
    targeted: Annotated[
        int | None, Meta(description="Recipients; null while the audience is still to be looked up, page by page.")
    ]
    unknown: Annotated[
        list[str], Meta(description="Contacts and subscriptions of the target that have no active subscription.")
    ]


class PushServiceCount(Struct, frozen=True):
    """Recipients at one push service."""

    push_service: Annotated[str, Meta(description="Origin of its endpoints.")]
    vendor: str
    recipients: int


class AudienceHealthReport(Struct, frozen=True):
    """What is known of an audience before anything is sent to it."""

    living: int
    failing: Annotated[int, Meta(description="Sent to; what was last sent to them failed.")]
    quarantined: Annotated[int, Meta(description="Not sent to, but for probes.")]
    probes: Annotated[int, Meta(description="Of these, those that would get this message as their probe.")]
    needs_renewal: Annotated[int, Meta(description="Not sent to until their browsers have renewed them.")]
    likely_dead: Annotated[int, Meta(description="Show a sign of death; they are sent to all the same.")]
    note: Annotated[str, Meta(description="Why nothing more is known.")]


class DryRun(Struct, frozen=True):
    """Whom a notification would reach at this moment."""

    targeted: Annotated[int, Meta(description="Recipients it would be sent to.")]
    push_services: list[PushServiceCount]
    skipped: Annotated[
        dict[str, int], Meta(description="Others of the target that nothing would be sent to, by reason.")
    ]
    unknown: Annotated[
        list[str], Meta(description="Contacts and subscriptions of the target that have no active subscription.")
    ]
    health: AudienceHealthReport


class AcceptedOptions(Struct, frozen=True):
    """How push services are asked to treat it."""

    ttl: int
    urgency: str | None
    topic: str | None


class NotificationSummary(Struct, frozen=True):
    """A notification, and how far it is."""

    id: Annotated[str, Meta(description="The notification's UUID.")]
    status: StatusWord
    priority: str
    to: Annotated[str, Meta(description="`all`, `tag`, `contacts`, `subscriptions`, or `retry` of another one.")]
    purpose: Annotated[str | None, Meta(description="What it is for.")]
    retry_of: Annotated[str | None, Meta(description="The notification whose failed recipients this one is for.")]
    options: AcceptedOptions
    accepted_at: Moment
    send_at: Moment
    deadline: Annotated[str, Meta(description="After it nothing more is tried; RFC 3339.")]
    paused_at: Annotated[str | None, Meta(description="RFC 3339; null while it is not paused.")]
    finished_at: Annotated[str | None, Meta(description="When it was done or cancelled; RFC 3339.")]
    targeted: Annotated[int, Meta(description="Recipients; while it is `planning`, those found so far.")]
    counts: Counts
    waiting: Annotated[int, Meta(description="Recipients whose turn is still to come, now or for another attempt.")]
    set_aside: Annotated[
        int, Meta(description="Of these, those that worker after worker died over; `resume` tries them again.")
    ]


class VendorProgress(Struct, frozen=True):
    """How far a notification is at the push services of one vendor."""

    targeted: int
    counts: Counts
    waiting: int


class NotificationReport(NotificationSummary, frozen=True):
    """A notification, and how far it is, vendor by vendor."""

    vendors: Annotated[dict[str, VendorProgress], Meta(description="The same by vendor of the push service.")]
    receipts: Annotated[
        dict[str, int],
        Meta(
            description="What browsers said they did with it: `displayed`, `clicked`, `closed`. Not every browser "
            "says so, and none has to."
        ),
    ]


class NotificationPage(Struct, frozen=True):
    """Some notifications, the latest first."""

    items: list[NotificationSummary]
    next: Annotated[str | None, Meta(description="Give it as `before` for the next page; null at the end.")]


class ServiceExplanation(Struct, frozen=True):
    """What a push service said about a message."""

    text: Annotated[str, Meta(description="Its words, cleaned, at most 300 characters.")]
    code: Annotated[int | None, Meta(description="The code in its answer.")] = None
    errno: Annotated[int | None, Meta(description="Mozilla's error number.")] = None
    more_info: Annotated[str | None, Meta(description="Its link to an explanation.")] = None


class OutcomeReport(Struct, frozen=True):
    """What became of a notification for one recipient."""

    id: Annotated[str, Meta(description="The subscription's UUID.")]
    short_id: str
    contact: Annotated[str | None, Meta(description="Its owner, by the site's own id.")]
    kind: Annotated[
        str,
        Meta(
            description="What became of it: the last answer's verdict, or why nothing was sent.",
            extra_json_schema={"enum": [str(kind) for kind in FINAL_KINDS]},
        ),
    ]
    meaning: Annotated[str, Meta(description="The same in words.")]
    action: Annotated[
        Literal["done", "dropped", "kept"] | None,
        Meta(description="`done`: accepted; `dropped`: the subscription has ended; `kept`: it has not."),
    ]
    status: Annotated[int | None, Meta(description="The last answer's HTTP status; null without an answer.")]
    explanation: ServiceExplanation | None
    retry_after: Annotated[float | None, Meta(description="Seconds the push service asked to wait.")]
    duration_ms: Annotated[float | None, Meta(description="How long the push service took, in milliseconds.")]
    attempts: Annotated[int, Meta(description="How often it was tried; 0 where nothing was sent.")]
    at: Moment


class OutcomePage(Struct, frozen=True):
    """Recipients and what became of it for each."""

    items: list[OutcomeReport]
    next: Annotated[str | None, Meta(description="Give it as `after` for the next page; null at the end.")]
