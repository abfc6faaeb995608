"""What is counted, how it is named, and who may read it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pushkeep.adapters.metrics import METRICS, Metrics
from pushkeep.adapters.store import SqliteStore, open_store
from pushkeep.app.announcer import Announcer
from pushkeep.domain import event as facts
from pushkeep.domain.circuit import Circuit, CircuitState
from pushkeep.domain.sending import NotificationState, Priority
from pushkeep.domain.shard import Kind
from pushkeep.domain.signing_keys import KeyEvent
from pushkeep.domain.subscription import Event as Happened
from pushkeep.ports.lanes import WorkerReport
from pushkeep.protocol.vendors import VENDORS
from pushkeep.protocol.verdict import Verdict
from pushkeep.pushservice import PushService
from tests.store.doubles import MASTER_KEY, FakeClock, SeededEntropy
from tests.store.samples import new_project
from tests.web.conftest import Site

EVENTS: tuple[facts.Event, ...] = (
    facts.NotificationAccepted("n1", Priority.BULK, None),
    facts.NotificationAccepted("n1", Priority.BULK, None, replayed=True),
    facts.NotificationRefused("unavailable"),
    facts.NotificationFinished("n1", NotificationState.DONE, 3.5),
    facts.PagePlanned("n1", 5000, 5, 0.02, False),
    facts.ShardLeased("fcm", Priority.BULK, 1000, False),
    facts.ShardLeased("fcm", Priority.BULK, 400, True),
    facts.LeaseWasLost(3, "fcm", 12),
    facts.ShardsSetAside(2),
    facts.AttemptEnded("fcm", Verdict.ACCEPTED, 0.03),
    facts.AttemptEnded("unifiedpush", Verdict.THROTTLED, 7.0),
    facts.AttemptEnded("unknown", Verdict.THROTTLED, 40.0),
    facts.CheckpointWritten("fcm", Priority.BULK, {Kind.ACCEPTED: 90, Kind.GONE: 3, Kind.MOVED: 7}, 0.004),
    facts.SubscriptionsMoved("fcm", {Happened.SAID_GONE: 3}),
    facts.SubscriptionsMoved("unifiedpush", {Happened.QUARANTINED: 4, Happened.SAID_GONE: 1}),
    facts.LaneRested("https://wns2.notify.windows.com", "wns", 30.0),
    facts.CircuitOpened(1, "https://fcm.googleapis.com", 1, 60.0),
    facts.CircuitClosed(1, "https://fcm.googleapis.com"),
    facts.ReceiptsKept({"displayed": 40, "clicked": 2}, 0.003),
    facts.ReceiptsDropped("full", 9),
    facts.SweepEnded("all", 2.5, 1000, 3, 2, 7, 40, ("https://push.example",)),
    facts.SweepEnded("all", 0.5, 1000, 0, 0, 0, 40),
    facts.SigningKeyMoved("K7dpQ2vXs0aB", KeyEvent.ACTIVATED),
    facts.SigningKeyMoved("b3JtZXJseWFj", KeyEvent.REPLACED),
    facts.SigningKeyMoved("b3JtZXJseWFj", KeyEvent.LEAKED),
    facts.SigningKeyMoved("b3JtZXJseWFj", KeyEvent.RETIRED, 12),
    facts.SigningKeyMoved("Zm9ydGhlbmV4", KeyEvent.RETIRED),
    facts.WorkerStarted("box:1", "worker"),
    facts.WorkerStopped("box:1", "worker"),
)
"""One of each fact, and where it matters several."""


def samples(page: bytes) -> dict[str, float]:
    """Every sample of a page, by its name with labels as Prometheus writes them."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def counted(*events: facts.Event) -> Mapping[str, float]:
    metrics, announcer = Metrics(), Announcer()
    announcer.listen(metrics.listen)
    for event in events:
        announcer.announce(event)
    return samples(await metrics.page())


async def test_facts_are_counted_under_the_labels_they_are_documented_with() -> None:
    found = await counted(*EVENTS)
    expected = {
        "pushkeep_subscription_moves_total{event=said_gone,vendor=fcm}": 3,
        "pushkeep_signing_key_moves_total{event=activated}": 1,
        "pushkeep_signing_key_moves_total{event=replaced}": 1,
        "pushkeep_signing_key_moves_total{event=leaked}": 1,
        "pushkeep_signing_key_moves_total{event=retired}": 2,
        "pushkeep_sweeps_total{scope=all}": 2,
        "pushkeep_swept_total{event=quarantined}": 3,
        "pushkeep_swept_total{event=expired}": 2,
        "pushkeep_swept_total{event=purged}": 7,
        "pushkeep_sweeps_held_total": 1,
        "pushkeep_sweep_seconds_sum{scope=all}": 3.0,
        "pushkeep_notifications_accepted_total{priority=bulk}": 1,
        "pushkeep_notifications_replayed_total": 1,
        "pushkeep_notifications_refused_total{code=unavailable}": 1,
        "pushkeep_notifications_finished_total{state=done}": 1,
        "pushkeep_planned_recipients_total": 5000,
        "pushkeep_plan_page_seconds_count": 1,
        "pushkeep_messages_total{kind=accepted,vendor=fcm}": 90,
        "pushkeep_messages_total{kind=gone,vendor=fcm}": 3,
        "pushkeep_retries_total{vendor=fcm}": 7,
        "pushkeep_subscription_moves_total{event=quarantined,vendor=other}": 4,
        "pushkeep_subscription_moves_total{event=said_gone,vendor=other}": 1,
        "pushkeep_attempts_total{vendor=fcm,verdict=accepted}": 1,
        "pushkeep_attempts_total{vendor=other,verdict=throttled}": 2,
        "pushkeep_attempt_seconds_bucket{le=0.025,vendor=fcm}": 0,
        "pushkeep_attempt_seconds_bucket{le=0.05,vendor=fcm}": 1,
        "pushkeep_attempt_seconds_bucket{le=10.0,vendor=other}": 1,
        "pushkeep_attempt_seconds_bucket{le=+Inf,vendor=other}": 2,
        "pushkeep_attempt_seconds_sum{vendor=other}": 47.0,
        "pushkeep_rests_total{vendor=wns}": 1,
        "pushkeep_circuits_opened_total": 1,
        "pushkeep_circuits_closed_total": 1,
        "pushkeep_shards_leased_total{priority=bulk}": 2,
        "pushkeep_takeovers_total": 1,
        "pushkeep_lease_losses_total": 1,
        "pushkeep_shards_set_aside_total": 2,
        "pushkeep_checkpoint_seconds_count": 1,
        "pushkeep_checkpoint_seconds_sum": 0.004,
        "pushkeep_receipts_total{kind=displayed}": 40,
        "pushkeep_receipts_total{kind=clicked}": 2,
        "pushkeep_receipts_dropped_total{reason=full}": 9,
        "pushkeep_receipt_flush_seconds_count": 1,
    }
    assert {name: found.get(name) for name in expected} == expected


async def test_what_never_happened_is_zero_where_it_can_be_named() -> None:
    found = await counted()
    assert found["pushkeep_takeovers_total"] == 0
    assert found["pushkeep_lease_losses_total"] == 0
    assert found["process_open_fds"] > 0


async def test_labels_stay_few_whatever_push_services_there_are() -> None:
    """Strangers choose their names, and nothing of a notification or a project is a label."""
    events: list[facts.Event] = []
    for number in range(500):
        vendor = [*VENDORS, f"vendor{number}"][number % (len(VENDORS) + 1)]
        events += [
            facts.AttemptEnded(vendor, [*Verdict][number % len(Verdict)], 0.1),
            facts.LaneRested(f"https://push{number}.example.org", vendor, 10.0),
            facts.NotificationFinished(f"n{number}", NotificationState.DONE, 1.0),
        ]
    found = await counted(*events)
    vendors = {match[1] for name in found if (match := re.search(r"vendor=([^,}]+)", name))}
    assert vendors == {"fcm", "mozilla", "apple", "wns", "other"}
    assert not any("n1" in name or "example" in name for name in found)


async def test_every_metric_has_its_help_and_type_on_the_page() -> None:
    metrics = Metrics()
    for event in EVENTS:
        metrics.listen(event)
    page = (await metrics.page()).decode()
    for metric in METRICS:
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        here = f"# HELP {name} {metric.help}\n" in page and f"# TYPE {name} {metric.type}\n" in page
        seen_elsewhere = metric.place == "web" or metric.name in ("pushkeep_in_flight", "pushkeep_window")
        assert here or seen_elsewhere, metric.name


def test_names_are_unique_and_sentences_are_whole() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"pushkeep_[a-z_]+", metric.name)
        assert not metric.name.endswith("_total"), "the suffix comes with the type"
        assert metric.help.endswith(".")
        assert (metric.type == "histogram") == bool(metric.buckets)


async def test_lanes_and_lookups_are_read_when_the_page_is_made() -> None:
    metrics, lookups = Metrics(), [3, 1]
    metrics.watch_lanes(lambda: {"fcm": (17, 64), "other": (0, 4)})
    metrics.watch_lookups(lambda: (lookups[0], lookups[1]))
    await metrics.page()
    lookups[0] = 9
    found = samples(await metrics.page())
    assert found["pushkeep_in_flight{vendor=fcm}"] == 17
    assert found["pushkeep_window{vendor=other}"] == 4
    assert found["pushkeep_recipient_lookups_total{result=hit}"] == 9
    assert found["pushkeep_recipient_lookups_total{result=miss}"] == 1


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    store = await open_store(None, MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy())
    yield store
    await store.aclose()


async def test_what_processes_share_is_read_from_the_store(store: SqliteStore) -> None:
    project = await store.ensure_project(new_project())
    (key,) = await store.signing_keys(project)
    now = FakeClock().now()
    await store.rest_origin("https://wns2.notify.windows.com", now + 30)
    await store.keep_circuit(key.id, "https://fcm.googleapis.com", Circuit(CircuitState.OPEN, 1, now + 60))
    for number, stopping in enumerate((False, False, True)):
        await store.report_worker(WorkerReport(f"box:{number}", "worker", "box", number, now, now, stopping, {}))
    found = samples(await Metrics(store, shared=True).page())
    assert found["pushkeep_workers{kind=worker}"] == 2
    assert found["pushkeep_origins_resting"] == 1
    assert found["pushkeep_circuits_open"] == 1
    assert found["pushkeep_backlog_recipients{priority=transactional}"] == 0
    assert found["pushkeep_queue_age_seconds{priority=bulk}"] == 0
    alone = samples(await Metrics(store, shared=False).page())
    assert "pushkeep_circuits_open" not in alone, "the same of every process would be added up"


async def test_while_the_database_does_not_answer_the_page_shows_the_rest(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "pushkeep.db", MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy())
    metrics = Metrics(store, shared=True)
    assert "pushkeep_circuits_open" in samples(await metrics.page())
    await store.aclose()
    metrics.listen(EVENTS[0])
    found = samples(await metrics.page())
    assert found["pushkeep_notifications_accepted_total{priority=bulk}"] == 1
    assert not any(name.startswith(("pushkeep_backlog", "pushkeep_circuits_open{")) for name in found)


async def test_the_page_needs_an_api_key(site: Site) -> None:
    assert (await site.client.get("/metrics")).status_code == 401
    answer = await site.client.get("/metrics", headers=site.auth)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert samples(answer.content)["pushkeep_backlog_recipients{priority=normal}"] == 0


async def test_a_message_shows_on_the_page(sending_site: Site, push_service: PushService) -> None:
    receipt, _ = await sending_site.subscriber(push_service)
    await sending_site.notified(to={"subscriptions": [receipt["id"]]}, content={"title": "Hello"})
    found = samples((await sending_site.client.get("/metrics", headers=sending_site.auth)).content)
    assert found["pushkeep_notifications_accepted_total{priority=normal}"] == 1
    messages = {name: value for name, value in found.items() if name.startswith("pushkeep_messages_total")}
    assert list(messages.values()) == [1]
    assert "kind=accepted" in next(iter(messages))
    assert sum(value for name, value in found.items() if name.startswith("pushkeep_attempts_total")) == 1
    assert found["pushkeep_recipient_lookups_total{result=miss}"] == 1
