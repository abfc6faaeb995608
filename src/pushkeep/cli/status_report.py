"""The state of an installation for programs: JSON, with the API's own words where the API has them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pushkeep.app.overview import Overview
from pushkeep.domain.moment import write_moment
from pushkeep.web.notification_reports import notification_report


def status_report(found: Overview) -> Mapping[str, object]:
    """One JSON object; times in UTC, waits and ages in seconds."""
    return {
        "at": write_moment(found.at),
        "messages_per_second": round(found.rate, 1),
        "notifications": [msgspec.to_builtins(notification_report(one)) for one in found.notifications],
        "more_notifications": found.more,
        "backlog": {
            priority.name.lower(): {
                "recipients": waiting.recipients,
                "shards": waiting.shards,
                "leased": waiting.leased,
                "plans": waiting.plans,
                "set_aside": waiting.set_aside,
                "oldest_seconds": round(waiting.oldest_seconds, 3),
            }
            for priority, waiting in found.backlog.items()
        },
        "workers": [
            {
                "owner": worker.owner,
                "kind": worker.kind,
                "host": worker.host,
                "pid": worker.pid,
                "started_at": write_moment(worker.started_at),
                "seen_at": write_moment(worker.seen_at),
                "stopping": worker.stopping,
                "figures": dict(worker.figures),
            }
            for worker in found.workers
        ],
        "resting": [{"origin": origin, "seconds": round(seconds, 3)} for origin, seconds in found.rests.items()],
        "circuits": [
            {
                "origin": circuit.origin,
                "signing_key": circuit.signing_key,
                "state": circuit.state.value,
                "refusals": circuit.refusals,
                "probe_seconds": round(circuit.probe_seconds, 3),
            }
            for circuit in found.circuits
        ],
    }
