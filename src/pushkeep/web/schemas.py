"""The shapes of the API's bodies, with the descriptions that its OpenAPI document shows."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from pushkeep.domain.notification import ACTIONS_MAX
from pushkeep.protocol.payload import APP_BADGE_MAX

AnyJson: TypeAlias = Annotated[object, Meta(extra_json_schema={"description": "Any JSON."})]
Token: TypeAlias = Annotated[str, Meta(max_length=512)]
IdentityToken: TypeAlias = Annotated[str, Meta(max_length=4096)]


class ClientConfig(Struct, frozen=True):
    """What a page needs before it can subscribe."""

    application_server_key: Annotated[str, Meta(description="The project's public VAPID key, unpadded base64url.")]
    site_url: Annotated[str, Meta(description="Where a click leads by default.")]
    secure: Annotated[bool, Meta(description="Whether the request came over https or from this machine.")]
    explanation: Annotated[str | None, Meta(description="What is wrong and what to do, where `secure` is false.")]


class Registration(Struct, frozen=True, forbid_unknown_fields=True):
    """A browser's subscription."""

    subscription: Annotated[
        dict[str, AnyJson],
        Meta(description="`PushSubscription.toJSON()` as it is; fields that are not known are ignored."),
    ]
    application_server_key: Annotated[
        str, Meta(max_length=128, description="The key the subscription was made with, base64; `toJSON()` omits it.")
    ]
    replaces: Annotated[
        Token | None,
        Meta(description="Sync token of the subscription that this one replaces."),
    ] = None
    identity: Annotated[
        IdentityToken | None,
        Meta(description="Identity token signed by the site, where somebody is logged in."),
    ] = None


class RegistrationReceipt(Struct, frozen=True):
    """What a registration is answered with."""

    id: Annotated[str, Meta(description="The subscription's UUID.")]
    short_id: Annotated[str, Meta(description="Eight characters for people.")]
    sync_token: Annotated[str, Meta(description="Authorises replacing and deleting this subscription. A secret.")]


class ServerRegistration(Struct, frozen=True, forbid_unknown_fields=True):
    """A subscription that the site's own server hands over."""

    subscription: Annotated[dict[str, AnyJson], Meta(description="`PushSubscription.toJSON()` as it is.")]
    application_server_key: Annotated[
        str, Meta(max_length=128, description="The key the subscription was made with, base64.")
    ]
    replaces: Annotated[
        Token | None,
        Meta(description="Sync token of the subscription that this one replaces."),
    ] = None
    contact: Annotated[str | None, Meta(description="The owner, by the site's own id.")] = None


class Recipients(Struct, frozen=True, forbid_unknown_fields=True):
    """Whom a notification is for: exactly one member."""

    all: Annotated[Literal[True] | UnsetType, Meta(description="Every active subscription.")] = UNSET
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


class NotificationRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """One request to tell somebody something: `content`, or a payload of your own worker's making."""

    to: Recipients
    content: NotificationContent | None = None
    payload: Annotated[
        str | None, Meta(description="Instead of `content`: the message as text; empty for a push without data.")
    ] = None
    payload_base64: Annotated[str | None, Meta(description="Instead of `content`: the message as octets.")] = None
    options: NotificationOptions = NotificationOptions()


class ServiceExplanation(Struct, frozen=True):
    """What a push service said about a message."""

    text: Annotated[str, Meta(description="Its words, cleaned, at most 300 characters.")]
    code: Annotated[int | None, Meta(description="The code in its answer.")] = None
    errno: Annotated[int | None, Meta(description="Mozilla's error number.")] = None
    more_info: Annotated[str | None, Meta(description="Its link to an explanation.")] = None


class RecipientReport(Struct, frozen=True):
    """What became of a notification for one recipient."""

    id: Annotated[str | None, Meta(description="The subscription's UUID.")]
    short_id: str | None
    contact: Annotated[str | None, Meta(description="Its owner, by the site's own id.")]
    verdict: Annotated[
        str | None, Meta(description="What the push service's answer means; null where nothing was sent.")
    ]
    status: Annotated[int | None, Meta(description="The answer's HTTP status; null without an answer.")]
    explanation: ServiceExplanation | None
    retry_after: Annotated[float | None, Meta(description="Seconds the push service asked to wait.")]
    duration_ms: Annotated[float | None, Meta(description="How long the push service took, in milliseconds.")]
    action: Annotated[
        str | None,
        Meta(description="`done`: accepted; `dropped`: the subscription has ended; `kept`: it has not."),
    ]
    skipped: Annotated[str | None, Meta(description="Why nothing was sent; null where something was.")]


class NotificationReport(Struct, frozen=True):
    """What became of a notification."""

    id: Annotated[str, Meta(description="The notification's UUID.")]
    status: Annotated[Literal["sent"], Meta(description="All recipients have been answered for.")]
    targeted: Annotated[int, Meta(description="Recipients, the skipped ones included.")]
    counts: Annotated[dict[str, int], Meta(description="Recipients by verdict; only those that occur.")]
    skipped: Annotated[dict[str, int], Meta(description="Recipients nothing was sent to, by reason.")]
    results: list[RecipientReport]


class EndReport(Struct, frozen=True):
    """Why a subscription ended."""

    cause: str
    at: Annotated[str, Meta(description="RFC 3339.")]
    text: str | None
    status: int | None
    code: int | None
    errno: int | None
    more_info: str | None


class SubscriptionReport(Struct, frozen=True):
    """A stored subscription. Its endpoint and keys are never shown."""

    id: Annotated[str, Meta(description="UUID.")]
    short_id: Annotated[str, Meta(description="Eight characters for people.")]
    contact: Annotated[str | None, Meta(description="Its owner, by the site's own id; null while anonymous.")]
    push_service: Annotated[str, Meta(description="Origin of its endpoint.")]
    vendor: str
    state: Literal["active", "gone", "unsubscribed", "superseded"]
    created_at: Annotated[str, Meta(description="RFC 3339.")]
    last_seen_at: Annotated[str, Meta(description="When its browser last confirmed it; RFC 3339.")]
    last_accepted_at: Annotated[
        str | None, Meta(description="When a message was last accepted, to the hour; RFC 3339.")
    ]
    consecutive_failures: int
    ended: EndReport | None


class SubscriptionPage(Struct, frozen=True):
    """Some subscriptions, oldest first."""

    items: list[SubscriptionReport]
    next: Annotated[str | None, Meta(description="Give it as `after` for the next page; null at the end.")]


class ProblemDocument(Struct, frozen=True):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: Annotated[str, Meta(description="What is wrong, the limit and the remedy.")]
    code: Annotated[str, Meta(description="The stable word to program against.")]
    request_id: str
    field: Annotated[str | UnsetType, Meta(description="The offending input.")] = UNSET
    application_server_key: Annotated[
        str | UnsetType, Meta(description="With `conflict`: the key to subscribe with.")
    ] = UNSET
    retry_after: Annotated[
        int | UnsetType, Meta(description="With `rate_limited` and `unavailable`: seconds to wait.")
    ] = UNSET
    excess_bytes: Annotated[int | UnsetType, Meta(description="With `payload_too_large`: octets too many.")] = UNSET
    reason: Annotated[str | UnsetType, Meta(description="With `invalid_token`: why.")] = UNSET


class Health(Struct, frozen=True):
    """The server answers and its database does too."""

    status: Literal["ok"]


class ProblemDescription(Struct, frozen=True):
    """What a problem means."""

    code: str
    status: int
    title: str
    meaning: str
