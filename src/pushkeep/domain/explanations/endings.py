"""Explanations of answers about the subscription: taken, ended, doubted, made with another key."""

from __future__ import annotations

from pushkeep.domain.explanations.rows import (
    APPLE_PAGE,
    AUTOPUSH,
    FCM_REPORTS,
    UNIFIEDPUSH_PAGE,
    WNS_PAGE,
    ExplanationRow,
    only,
    status,
)
from pushkeep.protocol.verdict import Verdict

_NEW_PAIR = "the key pair was made anew, or differs between test and production, and browsers kept their subscription"
_OTHER_PAGE_KEY = "the page's applicationServerKey is not this private key's public key"

_ACCEPTED = (
    ExplanationRow(
        Verdict.ACCEPTED,
        "Apple took the message; that says nothing about whether the iPhone shows it.",
        (
            "the worker showed nothing for three pushes in all, or not within 30 s, and Safari dropped every "
            "subscription of the site without a word",
            "the site is open in a Safari tab and not from the Home Screen, where iOS keeps a separate subscription",
            "the device was away and the TTL was 0 or short; Apple keeps one undelivered message for an app",
            "the subscription has ended: Apple goes on to answer 201 for a while",
            "Focus, Scheduled Summary or the notification settings of the Home Screen app hide it",
        ),
        "Have the worker show a notification for every push at once, inside event.waitUntil, before any fetch; send "
        "with a TTL of at least a day; have the page check its subscription at each start.",
        f"{APPLE_PAGE}; WWDC22, Meet Web Push for Safari; WebKit WebPushDaemonConstants.h; Apple forums 769794, 802539",
        only("apple"),
    ),
    ExplanationRow(
        Verdict.ACCEPTED,
        "Microsoft took the message for the channel.",
        (
            "Edge is not running and the TTL was 0 or short",
            "Windows hides it: Focus Assist, or notifications switched off for Edge",
        ),
        "Send with a TTL of at least a day and look at the notification settings of Windows.",
        WNS_PAGE,
        only("wns"),
    ),
    ExplanationRow(
        Verdict.ACCEPTED,
        "Mozilla took the message; it also answers 201 when TTL is 0 and the browser is away, and drops it then.",
        (
            "Firefox is not running and the TTL was 0 or short",
            "the worker showed nothing too often: after 16 such pushes without a visit Firefox unsubscribes",
            "the keys do not fit, so that Firefox cannot decrypt and drops the message silently",
        ),
        "Send with a TTL of at least a day, show a notification for every push, and register the subscription anew if "
        "nothing arrives.",
        f"{AUTOPUSH}; Firefox PushRecord.sys.mjs",
        only("mozilla"),
    ),
    ExplanationRow(
        Verdict.ACCEPTED,
        "The push service took the message; whether it arrives, nobody but the browser knows.",
        (
            "the browser is away and the TTL was 0 or short",
            "the worker failed in its push handler: Chrome then shows that the site was updated in the background",
            "the keys do not fit, so that the browser cannot decrypt and drops the message silently",
            "notifications are off or hidden in the operating system",
        ),
        "Send with a TTL of at least a day, look at the worker's errors in the browser's developer tools, and register "
        "the subscription anew if nothing arrives.",
        "RFC 8030 section 5; Chromium push_messaging_service_impl.cc",
    ),
)

_GONE = (
    ExplanationRow(
        Verdict.GONE,
        "Apple does not know the path: this is no endpoint that Apple has given out.",
        ("the endpoint was cut, changed or joined wrongly when it was stored",),
        "Store endpoints whole and unchanged (2,048 characters); the browser brings it again at its next visit.",
        APPLE_PAGE,
        only("apple"),
        status(404),
    ),
    ExplanationRow(
        Verdict.GONE,
        "The subscription has ended at Apple.",
        (
            "the app was removed from the Home Screen, or notifications were taken away from it",
            "the worker showed nothing for three pushes in all and Safari dropped every subscription of the site",
        ),
        "Nothing to do: it is over. If many end at once, see that the worker shows a notification for every push.",
        APPLE_PAGE,
        only("apple"),
    ),
    ExplanationRow(
        Verdict.GONE,
        "Mozilla cannot read the endpoint (errno 102; the body of its 404 is empty).",
        ("the endpoint was cut or changed when it was stored", "it is of another autopush installation"),
        "Store endpoints whole and unchanged; the browser brings it again at its next visit.",
        AUTOPUSH,
        only("mozilla"),
        status(404),
    ),
    ExplanationRow(
        Verdict.GONE,
        "The subscription has ended at Mozilla (errno 106, 105 or 103).",
        (
            "the visitor took back the permission or removed the site's data",
            "Firefox unsubscribed because pushes showed nothing and the site was not visited",
            "the browser was offline for 60 days, or had more than 150 messages waiting",
        ),
        "Nothing to do: it is over. The page subscribes again at the visitor's next visit if they still want it.",
        f"{AUTOPUSH}; Firefox PushRecord.sys.mjs",
        only("mozilla"),
    ),
    ExplanationRow(
        Verdict.GONE,
        "The subscription has ended at Google.",
        (
            "the visitor took back the permission, removed the site's data or the browser profile",
            "Chrome took the permission away from a site that is not used or whose notifications annoy",
            "it is seconds old: Google may not know a new subscription yet",
        ),
        "Nothing to do: it is over. Of a subscription younger than two minutes ask again after some seconds.",
        f"{FCM_REPORTS}; web-push test/testBrowsers.js",
        only("fcm"),
    ),
    ExplanationRow(
        Verdict.GONE,
        "The channel has expired or never existed at Microsoft.",
        ("the visitor took back the permission or removed the site's data", "the endpoint was cut or changed"),
        "Nothing to do: it is over. Store endpoints whole and byte for byte; those of WNS exceed 500 characters.",
        WNS_PAGE,
        only("wns"),
    ),
    ExplanationRow(
        Verdict.GONE,
        "The push service says that the subscription has ended.",
        ("the visitor took back the permission", "the push app or its account was removed"),
        "Nothing to do: it is over.",
        f"RFC 8030 section 7.3; {UNIFIEDPUSH_PAGE}",
    ),
)

_SUSPECT = (
    ExplanationRow(
        Verdict.SUSPECT,
        "Google says that this is no valid endpoint, which it also says of living ones for a day at a time.",
        (
            "the browser has unsubscribed",
            "a fault at Google that passes",
            "the endpoint was cut or changed when it was stored",
        ),
        "Wait: send to it once a day, and believe it on the third day.",
        f"{FCM_REPORTS}; web-push-php issue 224",
        only("fcm"),
    ),
    ExplanationRow(
        Verdict.SUSPECT,
        "The push service does not know the endpoint's path.",
        (
            "the app or its account was removed",
            "the server was moved or set up anew",
            "something before the server answers in its place",
        ),
        "Open the push server's address in a browser and see whether it is there; send once a day, and believe it on "
        "the third day.",
        f"RFC 8030 section 7.3; {UNIFIEDPUSH_PAGE}",
    ),
)

_KEY_MISMATCH = (
    ExplanationRow(
        Verdict.KEY_MISMATCH,
        "The page subscribed with another key than this message was signed with (VapidPkHashMismatch).",
        (
            _NEW_PAIR,
            _OTHER_PAGE_KEY,
        ),
        "Sign with the key that the subscription was made with. If it is lost, have the page unsubscribe and subscribe "
        "again with the new one.",
        f"{APPLE_PAGE}; RFC 8292 section 4.2",
        only("apple"),
    ),
    ExplanationRow(
        Verdict.KEY_MISMATCH,
        "Google knows the subscription under another key than this message was signed with.",
        (
            _NEW_PAIR,
            _OTHER_PAGE_KEY,
            "the subscription is of a page that used a GCM sender id",
        ),
        "Sign with the key that the subscription was made with. If it is lost, have the page unsubscribe and subscribe "
        "again with the new one.",
        f"{FCM_REPORTS}; RFC 8292 section 4.2",
        only("fcm"),
    ),
    ExplanationRow(
        Verdict.KEY_MISMATCH,
        "Mozilla knows the subscription under another key than this message was signed with (errno 109).",
        (
            _NEW_PAIR,
            _OTHER_PAGE_KEY,
        ),
        "Sign with the key that the subscription was made with. If it is lost, have the page unsubscribe and subscribe "
        "again with the new one.",
        f"{AUTOPUSH}; RFC 8292 section 4.2",
        only("mozilla"),
    ),
    ExplanationRow(
        Verdict.KEY_MISMATCH,
        "The push service knows the subscription under another key than this message was signed with.",
        (
            _NEW_PAIR,
            _OTHER_PAGE_KEY,
        ),
        "Sign with the key that the subscription was made with. If it is lost, have the page unsubscribe and subscribe "
        "again with the new one.",
        "RFC 8292 section 4.2",
    ),
)

ENDINGS = _ACCEPTED + _GONE + _SUSPECT + _KEY_MISMATCH
"""In the order in which they are read."""
