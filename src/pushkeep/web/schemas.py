"""The shapes of the API's bodies, with the descriptions that its OpenAPI document shows."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from pushkeep.domain.ability import ABILITIES_MAX, ABILITY_CHARACTERS_MAX
from pushkeep.domain.consent_words import WORDS_MAX
from pushkeep.domain.registration import PREDECESSORS_MAX
from pushkeep.domain.subscription import State

AnyJson: TypeAlias = Annotated[object, Meta(extra_json_schema={"description": "Any JSON."})]
Token: TypeAlias = Annotated[str, Meta(max_length=512)]
Tokens: TypeAlias = Annotated[list[Token], Meta(max_length=PREDECESSORS_MAX)]
IdentityToken: TypeAlias = Annotated[str, Meta(max_length=4096)]
SEQUENCE_MAX = 2**53 - 1
"""The largest whole number that JSON readers agree about (RFC 8259 section 6)."""

Sequence: TypeAlias = Annotated[int, Meta(ge=0, le=SEQUENCE_MAX)]
Ability: TypeAlias = Annotated[str, Meta(max_length=ABILITY_CHARACTERS_MAX)]
Abilities: TypeAlias = Annotated[list[Ability], Meta(max_length=ABILITIES_MAX)]


class ClientConfig(Struct, frozen=True):
    """What a page needs before it can subscribe."""

    application_server_key: Annotated[str, Meta(description="The project's public VAPID key, unpadded base64url.")]
    site_url: Annotated[str, Meta(description="Where a click leads by default.")]
    secure: Annotated[bool, Meta(description="Whether the request came over https or from this machine.")]
    explanation: Annotated[str | None, Meta(description="What is wrong and what to do, where `secure` is false.")]


class SpokenWord(Struct, frozen=True, forbid_unknown_fields=True):
    """What a visitor says about a purpose."""

    purpose: Annotated[str, Meta(description="Its name.")]
    given: Annotated[bool, Meta(description="Whether they agree; false takes it back.")]
    method: Annotated[
        Literal["prompt", "settings"], Meta(description="In the page's own question, or among its preferences.")
    ]
    wording: Annotated[
        str | None, Meta(description="Digest of the wording that was shown, 64 hexadecimal digits; needed to agree.")
    ] = None
    page: Annotated[
        str | None, Meta(description="Where it was said; query and fragment are not kept. Up to 500 characters.")
    ] = None


SpokenWords: TypeAlias = Annotated[list[SpokenWord], Meta(max_length=WORDS_MAX)]
Holds: TypeAlias = Annotated[
    dict[str, bool],
    Meta(description="Whether they agree, by purpose, whoever said so last; without those nothing is known about."),
]
Since: TypeAlias = Annotated[
    dict[str, str], Meta(description="When that was said, by purpose; RFC 3339. Without those whose record is erased.")
]


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
        Token | Tokens | None,
        Meta(
            description="Sync token of the subscription that this one replaces, or a list of up to 8, the newest first."
        ),
    ] = None
    identity: Annotated[
        IdentityToken | None,
        Meta(description="Identity token signed by the site, where somebody is logged in. Left out: as it was."),
    ] = None
    detach: Annotated[
        bool, Meta(description="Nobody is logged in any more: the subscription becomes anonymous. Not with `identity`.")
    ] = False
    abilities: Annotated[
        Abilities | None,
        Meta(
            description="What the browser's worker can do, `deflate` for reading compressed messages; names that are "
            "not known are ignored. Left out: as it was."
        ),
    ] = None
    sequence: Annotated[
        Sequence | None, Meta(description="Rises with each intent of the browser; an older one is `stale`.")
    ] = None
    consents: Annotated[
        SpokenWords | None,
        Meta(
            description="What the visitor agrees to with it, or takes back: stored together with it, or neither is. "
            "With a `sequence` that was heard before, only what nothing is known about. Where it is there, be it "
            "empty, the answer says what holds."
        ),
    ] = None


class Heartbeat(Struct, frozen=True, forbid_unknown_fields=True):
    """A browser's word that it still has its subscription."""

    sequence: Annotated[
        Sequence | None, Meta(description="Rises with each intent of the browser; an older one is `stale`.")
    ] = None


class Standing(Struct, frozen=True):
    """How a browser's subscription stands."""

    id: Annotated[str, Meta(description="The subscription's UUID.")]
    short_id: Annotated[str, Meta(description="Eight characters for people.")]
    state: State
    renew: Annotated[
        bool,
        Meta(
            description="Make a new subscription with `application_server_key` beside this one, and register it with "
            "this one's sync token as `replaces`."
        ),
    ]
    application_server_key: Annotated[str, Meta(description="The project's public key that is in use now.")]
    grace_seconds: Annotated[
        int, Meta(description="How long to keep a subscription that was replaced: for what is on its way to it.")
    ]
    owned: Annotated[bool, Meta(description="Whether it belongs to a contact.")]
    sequence: Annotated[int, Meta(description="The highest sequence number its browser has shown.")]


class RegistrationReceipt(Standing, frozen=True):
    """What a registration is answered with."""

    sync_token: Annotated[str, Meta(description="Authorises replacing and deleting this subscription. A secret.")]


class BrowserReceipt(RegistrationReceipt, frozen=True):
    """What a browser's registration is answered with."""

    consents: Holds | UnsetType = UNSET
    since: Since | UnsetType = UNSET


class OwnHealth(Struct, frozen=True):
    """How a subscription is doing, judged from what is known."""

    score: Annotated[int, Meta(description="0 to 100.")]
    likely_dead: bool
    reasons: Annotated[list[str], Meta(description="Why it is likely dead, one sentence each.")]


class ShownWording(Struct, frozen=True):
    """What a visitor is asked, word for word."""

    digest: Annotated[str, Meta(description="64 hexadecimal digits; by this a page says what it has shown.")]
    locale: Annotated[str, Meta(description="Language tag of the text.")]
    version: Annotated[str, Meta(description="The site's own name for this version of the text.")]
    policy_version: Annotated[str, Meta(description="Of the privacy policy that it refers to; may be empty.")]
    text: str


class ShownPurpose(Struct, frozen=True):
    """What the site sends for."""

    name: str
    description: Annotated[str, Meta(description="In words for visitors.")]
    basis: Annotated[str, Meta(description="Only for `consent` somebody has to agree.")]
    wording: Annotated[ShownWording | None, Meta(description="What to ask; null where none is declared.")]


class ShownPurposes(Struct, frozen=True):
    """Every purpose, in the order in which they were declared."""

    purposes: list[ShownPurpose]


class Words(Struct, frozen=True, forbid_unknown_fields=True):
    """What a visitor says."""

    consents: SpokenWords
    sequence: Annotated[
        Sequence | None, Meta(description="Rises with each intent of the browser; an older one is `stale`.")
    ] = None


class WordsHeard(Struct, frozen=True):
    """What holds by now."""

    consents: Holds
    since: Since


class OwnConsent(Struct, frozen=True):
    """What holds of what a visitor has said about a purpose."""

    purpose: str
    given: bool
    at: Annotated[str | None, Meta(description="When it was said; RFC 3339.")]
    method: Annotated[str | None, Meta(description="How: `prompt`, `settings`, `unsubscribed`, `api` or `import`.")]
    wording: Annotated[
        ShownWording | None, Meta(description="What they were shown; null where nothing was, as to take it back.")
    ]


class StoryLine(Struct, frozen=True):
    """A sentence of a subscription's story."""

    at: Annotated[str, Meta(description="RFC 3339.")]
    words: str


class OwnReport(Struct, frozen=True):
    """What a visitor may know about the subscription of their own browser."""

    id: Annotated[str, Meta(description="The subscription's UUID.")]
    short_id: Annotated[str, Meta(description="Eight characters for people.")]
    state: State
    reason: Annotated[str | None, Meta(description="What brought it there; null while it is active.")]
    created_at: Annotated[str, Meta(description="RFC 3339.")]
    last_seen_at: Annotated[str, Meta(description="When its browser last confirmed it; RFC 3339.")]
    last_accepted_at: Annotated[str | None, Meta(description="When a message was last accepted; RFC 3339.")]
    last_displayed_at: Annotated[str | None, Meta(description="When a message was last shown, to the day; RFC 3339.")]
    renew: Annotated[bool, Meta(description="As in the answer to a registration.")]
    health: OwnHealth
    consents: Annotated[
        list[OwnConsent], Meta(description="What holds of what the visitor has said, in the order of names.")
    ]
    story: Annotated[list[StoryLine], Meta(description="What happened to it, oldest first.")]


class ServerRegistration(Struct, frozen=True, forbid_unknown_fields=True):
    """A subscription that the site's own server hands over."""

    subscription: Annotated[dict[str, AnyJson], Meta(description="`PushSubscription.toJSON()` as it is.")]
    application_server_key: Annotated[
        str, Meta(max_length=128, description="The key the subscription was made with, base64.")
    ]
    replaces: Annotated[
        Token | Tokens | None,
        Meta(
            description="Sync token of the subscription that this one replaces, or a list of up to 8, the newest first."
        ),
    ] = None
    contact: Annotated[str | None, Meta(description="The owner, by the site's own id.")] = None


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
    state: State
    created_at: Annotated[str, Meta(description="RFC 3339.")]
    last_seen_at: Annotated[str, Meta(description="When its browser last confirmed it; RFC 3339.")]
    last_accepted_at: Annotated[
        str | None, Meta(description="When a message was last accepted, to the hour; RFC 3339.")
    ]
    consecutive_failures: int
    reason: Annotated[str | None, Meta(description="What brought it into its state; null while it is active.")]
    ended: Annotated[EndReport | None, Meta(description="Why it ended; null while it is living.")]


class SubscriptionPage(Struct, frozen=True):
    """Some subscriptions, oldest first."""

    items: list[SubscriptionReport]
    next: Annotated[str | None, Meta(description="Give it as `after` for the next page; null at the end.")]


class ContactTags(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be stored of a contact."""

    tags: Annotated[
        list[str] | None,
        Meta(description="Exactly these from now on: up to 100. Default: it keeps those it has."),
    ] = None


class ContactReport(Struct, frozen=True):
    """A contact: somebody the site knows."""

    external_id: Annotated[str, Meta(description="The site's own id.")]
    tags: Annotated[list[str], Meta(description="In alphabetical order.")]
    active_subscriptions: Annotated[int, Meta(description="Browsers that it is reached on.")]
    created_at: Annotated[str, Meta(description="RFC 3339.")]


class TagCount(Struct, frozen=True):
    """A tag."""

    tag: str
    contacts: Annotated[int, Meta(description="How many have it.")]


class TagList(Struct, frozen=True):
    """Every tag of the project."""

    items: Annotated[list[TagCount], Meta(description="In alphabetical order.")]


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
    reason: Annotated[
        str | UnsetType, Meta(description="With `invalid_token` and `conflict`: which of the cases it is.")
    ] = UNSET
    sequence: Annotated[
        int | UnsetType, Meta(description="With `conflict`, `stale`: the number the browser has shown already.")
    ] = UNSET


class Health(Struct, frozen=True):
    """The server answers and its database does too."""

    status: Literal["ok"]


class ProblemDescription(Struct, frozen=True):
    """What a problem means."""

    code: str
    status: int
    title: str
    meaning: str
