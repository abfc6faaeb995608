"""What a sender has to change, by the reason for which the local push service refused its message.

The vendors' own words are often one word ("BadJwtToken"); the service knows which of its checks failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pushkeep.protocol.verdict import Verdict
from pushkeep.pushservice.personalities import Refusal

REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        Refusal.UNKNOWN_ENDPOINT: "Post to the endpoint exactly as the subscription has it, nothing decoded or cut.",
        Refusal.MISSING_TOKEN: "Sign the request: `Authorization: vapid t=<token>, k=<public key>` (RFC 8292).",
        Refusal.MISSING_QUERY: "Post to the endpoint with its query: `token=…` is what makes it one.",
        Refusal.METHOD: "A push resource takes POST.",
        Refusal.LENGTH_REQUIRED: "Send a Content-Length; this service takes no chunked body.",
        Refusal.MALFORMED_HEADER: "The header must be `Authorization: vapid t=<token>, k=<public key>` (RFC 8292).",
        Refusal.MALFORMED_TOKEN: "The token must be an ES256 JWT with `aud`, `exp` and `sub` (RFC 8292 section 2).",
        Refusal.BAD_KEY: "`k` must be base64url of the 65 octets of the uncompressed P-256 public key.",
        Refusal.BAD_SIGNATURE: "The token is not signed with the private half of `k`: the keys are no pair.",
        Refusal.WRONG_AUDIENCE: "`aud` must be the endpoint's origin: each push service needs a token of its own.",
        Refusal.EXPIRED_TOKEN: "`exp` has passed: make a new token, in seconds, and look at the clock of this machine.",
        Refusal.EXPIRES_TOO_LATE: "`exp` must be at most 24 hours ahead, in seconds.",
        Refusal.BAD_CONTACT: "`sub` must be a mailto: or https: address that exists; localhost and .invalid do not.",
        Refusal.KEY_MISMATCH: "Sign with the key the subscription was made with; in tests that is vapid_key.",
        Refusal.GONE: "The subscription has ended: delete it and do not send to it again.",
        Refusal.MISSING_TTL: "Send a TTL header, in seconds; 0 means now or never (RFC 8030 section 5.2).",
        Refusal.BAD_TTL: "TTL must be a whole number of seconds.",
        Refusal.NEGATIVE_TTL: "TTL must not be negative; 0 means now or never.",
        Refusal.TTL_CONFLICT: "`X-WNS-Cache-Policy` must be no-cache with TTL 0, or be left out.",
        Refusal.BAD_URGENCY: "Urgency must be very-low, low, normal or high.",
        Refusal.BAD_TOPIC: "Topic must be 1 to 32 characters of base64url, and at Apple not 1, 5, 9, … 29.",
        Refusal.BAD_ENCODING: "Encrypt with aes128gcm and say so: `Content-Encoding: aes128gcm` (RFC 8291).",
        Refusal.LEGACY_HEADERS: "Encryption and Crypto-Key belong to aesgcm; leave them out with aes128gcm.",
        Refusal.BAD_BODY: "The body is not what its Content-Encoding says; encrypt it as RFC 8291 does, in one record.",
        Refusal.TOO_LARGE: "Send less: 3993 octets of plaintext are the most that every service takes, 2800 are safe.",
        Refusal.THROTTLED: "Wait as long as Retry-After says and send again; keep the subscription.",
        Refusal.NO_SUBSCRIBER: "Nobody listens there for now: send again later; keep the subscription.",
        Refusal.OVERLOADED: "Wait as long as Retry-After says and send again; keep the subscription.",
        Refusal.FAILED: "Send again later; keep the subscription.",
        Refusal.STRICT: "The vendor itself might let it pass; docs/strict.md says how a rule is left out.",
    }
)

FOR_VERDICTS: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.GONE: "The subscription has ended: delete it and do not send to it again.",
        Verdict.SUSPECT: "Keep the subscription and send again another day; delete it only when this goes on.",
        Verdict.KEY_MISMATCH: REMEDIES[Refusal.KEY_MISMATCH],
        Verdict.BAD_TOKEN: "Look at the token: signature, aud, exp and the contact in sub.",
        Verdict.TOO_LARGE: REMEDIES[Refusal.TOO_LARGE],
        Verdict.BAD_REQUEST: "The request is wrong; sending it again does not help.",
        Verdict.THROTTLED: "Wait as long as Retry-After says and send again; keep the subscription.",
        Verdict.TRANSIENT: "Send again later; keep the subscription.",
    }
)
