"""Prometheus metrics: facts are counted as they are announced, and figures are read when somebody asks.

Every label has few values that are known beforehand: vendors by name and all strangers as ``other``, never an origin,
a project or a notification. Counting is plain arithmetic in the event loop's thread, about a microsecond for each
message; what Prometheus wants of names and types is added when the page is made.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from pushkeep.domain import event as facts
from pushkeep.domain.event import Event
from pushkeep.domain.shard import Kind
from pushkeep.errors import Unavailable
from pushkeep.ports.lanes import LaneStore
from pushkeep.protocol.vendors import label_of

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # our names are plain ones, which every version reads

ATTEMPT_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""From the local push service to the longest that one message may take."""

WRITE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""From a commit that shares its fsync to a disk that is in trouble."""

SWEEP_SECONDS = (0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0)
"""From a look at a few to millions with many to forget."""

Labels: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: what :data:`METRICS` is made of, and the table in the documentation.

    Attributes:
        name: as Prometheus knows it, but for the suffixes that types bring.
        type: counter, gauge or histogram.
        help: what it says.
        labels: names of its labels.
        buckets: of a histogram, in seconds.
        place: ``process``, or ``web`` for what is read from the database and so is the same for all processes.
    """

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    place: Literal["process", "web"] = "process"


METRICS: tuple[Metric, ...] = (
    Metric("pushkeep_notifications_accepted", "counter", "Notifications stored.", ("priority",)),
    Metric("pushkeep_notifications_replayed", "counter", "Requests that came again under their idempotency key."),
    Metric("pushkeep_notifications_refused", "counter", "Notifications refused, by the problem's code.", ("code",)),
    Metric("pushkeep_notifications_finished", "counter", "Notifications that ended, done or cancelled.", ("state",)),
    Metric("pushkeep_planned_recipients", "counter", "Recipients put into shards by planning audiences."),
    Metric("pushkeep_plan_page_seconds", "histogram", "Time to plan one page of an audience.", (), WRITE_SECONDS),
    Metric(
        "pushkeep_messages",
        "counter",
        "Recipients whose state became final, by what became of them.",
        ("vendor", "kind"),
    ),
    Metric("pushkeep_retries", "counter", "Recipients handed on to be tried again later.", ("vendor",)),
    Metric(
        "pushkeep_subscription_moves",
        "counter",
        "Subscriptions whose state or signing key answers have changed, by what happened to them.",
        ("vendor", "event"),
    ),
    Metric("pushkeep_attempts", "counter", "Messages posted, by what the answer meant.", ("vendor", "verdict")),
    Metric("pushkeep_attempt_seconds", "histogram", "Time from start to answer.", ("vendor",), ATTEMPT_SECONDS),
    Metric("pushkeep_in_flight", "gauge", "Messages posted and not yet answered.", ("vendor",)),
    Metric("pushkeep_window", "gauge", "Messages that lanes allow in flight at this moment.", ("vendor",)),
    Metric("pushkeep_rests", "counter", "Times a push service asked for patience.", ("vendor",)),
    Metric("pushkeep_circuits_opened", "counter", "Times a push service refused our token."),
    Metric("pushkeep_circuits_closed", "counter", "Times a push service took our token again."),
    Metric("pushkeep_shards_leased", "counter", "Shards lent to this process.", ("priority",)),
    Metric("pushkeep_takeovers", "counter", "Shards taken over from a worker that did not come back."),
    Metric("pushkeep_lease_losses", "counter", "Shards that this process lost to another one."),
    Metric("pushkeep_shards_set_aside", "counter", "Shards set aside because worker after worker lost them."),
    Metric("pushkeep_checkpoint_seconds", "histogram", "Time to write a checkpoint.", (), WRITE_SECONDS),
    Metric("pushkeep_receipts", "counter", "Receipts of browsers that were kept.", ("kind",)),
    Metric("pushkeep_receipts_dropped", "counter", "Receipts that were not kept.", ("reason",)),
    Metric("pushkeep_receipt_flush_seconds", "histogram", "Time to write a flush of receipts.", (), WRITE_SECONDS),
    Metric("pushkeep_sweeps", "counter", "Sweeps over everything stored.", ("scope",)),
    Metric("pushkeep_swept", "counter", "What sweeps did: quarantined, expired, purged.", ("event",)),
    Metric("pushkeep_sweeps_held", "counter", "Push services at which the breaker stopped a sweep."),
    Metric("pushkeep_signing_key_moves", "counter", "What happened to signing keys in this process.", ("event",)),
    Metric("pushkeep_sweep_seconds", "histogram", "Time of a whole sweep.", ("scope",), SWEEP_SECONDS),
    Metric(
        "pushkeep_recipient_lookups",
        "counter",
        "Recipients of small sends looked up, found opened in memory (hit) or not (miss).",
        ("result",),
    ),
    Metric(
        "pushkeep_backlog_recipients",
        "gauge",
        "Recipients without a final state, scheduled and paused ones too.",
        ("priority",),
        place="web",
    ),
    Metric("pushkeep_backlog_shards", "gauge", "Shards they are in.", ("priority",), place="web"),
    Metric("pushkeep_plans_waiting", "gauge", "Audiences that are still to be planned.", ("priority",), place="web"),
    Metric(
        "pushkeep_set_aside_recipients",
        "gauge",
        "Recipients in shards that were set aside, not among the backlog.",
        ("priority",),
        place="web",
    ),
    Metric(
        "pushkeep_queue_age_seconds",
        "gauge",
        "For how long the shard that is due for longest has been due.",
        ("priority",),
        place="web",
    ),
    Metric("pushkeep_workers", "gauge", "Processes at work, as they report themselves.", ("kind",), place="web"),
    Metric("pushkeep_origins_resting", "gauge", "Push services that rest.", place="web"),
    Metric("pushkeep_circuits_open", "gauge", "Circuits that are not closed.", place="web"),
)
"""Every metric of ours; beside them stand those of the process itself (``process_cpu_seconds_total``, …)."""

_BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}


class _Histogram:
    """Counts by bucket, and a sum."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        bounds = [*(str(bound) for bound in self._bounds), "+Inf"]
        return list(zip(bounds, map(float, accumulate(self._counts)), strict=True))


class Metrics(Collector):
    """Counts what is announced; :class:`pushkeep.ports.metrics.MetricsPage`.

    Args:
        store: read for what all processes share, where ``shared`` is set.
        shared: whether the page of this process shows that.
    """

    def __init__(self, store: LaneStore | None = None, *, shared: bool = False) -> None:
        self._store = store if shared else None
        self._counts: defaultdict[str, Counter[Labels]] = defaultdict(Counter)
        self._attempts: Counter[tuple[str, str]] = Counter()
        self._histograms: dict[tuple[str, Labels], _Histogram] = {}
        self._shown: dict[str, dict[Labels, float]] = {}
        self._lanes: Callable[[], Mapping[str, tuple[int, int]]] | None = None
        self._lookups: Callable[[], tuple[int, int]] | None = None
        self._listeners: Mapping[type, Callable[..., None]] = {
            facts.AttemptEnded: self._attempt_ended,
            facts.CheckpointWritten: self._checkpoint_written,
            facts.SubscriptionsMoved: self._subscriptions_moved,
            facts.NotificationAccepted: self._notification_accepted,
            facts.NotificationRefused: lambda event: self._count("pushkeep_notifications_refused", event.code),
            facts.NotificationFinished: lambda event: self._count("pushkeep_notifications_finished", event.state.value),
            facts.PagePlanned: self._page_planned,
            facts.ShardLeased: self._shard_leased,
            facts.LeaseWasLost: lambda event: self._count("pushkeep_lease_losses"),
            facts.ShardsSetAside: lambda event: self._count("pushkeep_shards_set_aside", by=event.count),
            facts.LaneRested: lambda event: self._count("pushkeep_rests", label_of(event.vendor)),
            facts.CircuitOpened: lambda event: self._count("pushkeep_circuits_opened"),
            facts.CircuitClosed: lambda event: self._count("pushkeep_circuits_closed"),
            facts.ReceiptsKept: self._receipts_kept,
            facts.ReceiptsDropped: lambda event: self._count("pushkeep_receipts_dropped", event.reason, by=event.count),
            facts.SweepEnded: self._sweep_ended,
            facts.SigningKeyMoved: lambda event: self._count("pushkeep_signing_key_moves", event.event.value),
        }
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def listen(self, event: Event) -> None:
        """Count a fact; to be given to :meth:`pushkeep.app.announcer.Announcer.listen`."""
        found = self._listeners.get(type(event))
        if found is not None:
            found(event)

    def watch_lanes(self, figures: Callable[[], Mapping[str, tuple[int, int]]]) -> None:
        """Read messages in flight and windows by label here: :meth:`pushkeep.app.lanes.Lanes.figures`."""
        self._lanes = figures

    def watch_lookups(self, figures: Callable[[], tuple[int, int]]) -> None:
        """Read hits and misses of looking recipients up here."""
        self._lookups = figures

    @property
    def media_type(self) -> str:
        """See the port."""
        return MEDIA_TYPE

    async def page(self) -> bytes:
        """See the port."""
        self._shown = {}
        if self._store is not None:
            try:
                await self._read(self._store)
            except Unavailable:
                self._shown = {}
        page: bytes = generate_latest(self._registry)
        return page

    def collect(self) -> Iterable[Family]:
        """Every family of metrics, as the registry asks for them."""
        self._look()
        for metric in METRICS:
            if metric.place == "process" or metric.name in self._shown:
                yield _family(metric, self._samples(metric))

    def _samples(self, metric: Metric) -> Iterator[tuple[Labels, float | _Histogram]]:
        if metric.type == "histogram":
            for (name, labels), histogram in self._histograms.items():
                if name == metric.name:
                    yield labels, histogram
        elif metric.type == "gauge":
            yield from self._shown.get(metric.name, {}).items()
        else:
            yield from self._counts[metric.name].items()
        if not metric.labels and metric.type == "counter" and not self._counts[metric.name]:
            yield (), 0.0  # counted from the start, so that the first one shows as a rise

    def _look(self) -> None:
        """Read what this process sees at this moment."""
        if self._lanes is not None:
            figures = self._lanes()
            self._shown["pushkeep_in_flight"] = {(label,): float(now) for label, (now, _) in figures.items()}
            self._shown["pushkeep_window"] = {(label,): float(size) for label, (_, size) in figures.items()}
        if self._lookups is not None:
            hits, misses = self._lookups()
            self._counts["pushkeep_recipient_lookups"] = Counter({("hit",): hits, ("miss",): misses})
        self._counts["pushkeep_attempts"] = Counter(
            {(vendor, verdict): count for (vendor, verdict), count in self._attempts.items()}
        )

    async def _read(self, store: LaneStore) -> None:
        """Read what all processes share."""
        backlog = {(priority.name.lower(),): waiting for priority, waiting in (await store.backlog()).items()}
        state, workers = await store.lane_state(), await store.workers()
        kinds = Counter((worker.kind,) for worker in workers if not worker.stopping)
        self._shown |= {
            "pushkeep_backlog_recipients": {labels: float(one.recipients) for labels, one in backlog.items()},
            "pushkeep_backlog_shards": {labels: float(one.shards) for labels, one in backlog.items()},
            "pushkeep_plans_waiting": {labels: float(one.plans) for labels, one in backlog.items()},
            "pushkeep_set_aside_recipients": {labels: float(one.set_aside) for labels, one in backlog.items()},
            "pushkeep_queue_age_seconds": {labels: one.oldest_seconds for labels, one in backlog.items()},
            "pushkeep_workers": {labels: float(count) for labels, count in kinds.items()},
            "pushkeep_origins_resting": {(): float(len(state.rests))},
            "pushkeep_circuits_open": {(): float(len(state.circuits))},
        }

    def _count(self, name: str, *labels: str, by: int = 1) -> None:
        self._counts[name][labels] += by

    def _observe(self, name: str, labels: Labels, seconds: float) -> None:
        found = self._histograms.get((name, labels))
        if found is None:
            found = self._histograms[name, labels] = _Histogram(_BY_NAME[name].buckets)
        found.observe(seconds)

    def _attempt_ended(self, event: facts.AttemptEnded) -> None:
        vendor = label_of(event.vendor)
        self._attempts[vendor, event.verdict] += 1
        self._observe("pushkeep_attempt_seconds", (vendor,), event.seconds)

    def _checkpoint_written(self, event: facts.CheckpointWritten) -> None:
        vendor = label_of(event.vendor)
        for kind, count in event.settled.items():
            if kind is Kind.MOVED:
                self._count("pushkeep_retries", vendor, by=count)
            else:
                self._count("pushkeep_messages", vendor, kind.value, by=count)
        self._observe("pushkeep_checkpoint_seconds", (), event.seconds)

    def _subscriptions_moved(self, event: facts.SubscriptionsMoved) -> None:
        for happened, count in event.events.items():
            self._count("pushkeep_subscription_moves", label_of(event.vendor), happened.value, by=count)

    def _notification_accepted(self, event: facts.NotificationAccepted) -> None:
        if event.replayed:
            self._count("pushkeep_notifications_replayed")
        else:
            self._count("pushkeep_notifications_accepted", event.priority.name.lower())

    def _page_planned(self, event: facts.PagePlanned) -> None:
        self._count("pushkeep_planned_recipients", by=event.recipients)
        self._observe("pushkeep_plan_page_seconds", (), event.seconds)

    def _shard_leased(self, event: facts.ShardLeased) -> None:
        self._count("pushkeep_shards_leased", event.priority.name.lower())
        if event.taken_over:
            self._count("pushkeep_takeovers")

    def _sweep_ended(self, event: facts.SweepEnded) -> None:
        self._count("pushkeep_sweeps", event.scope)
        self._observe("pushkeep_sweep_seconds", (event.scope,), event.seconds)
        self._count("pushkeep_sweeps_held", by=len(event.held))
        for happened, count in (
            ("quarantined", event.quarantined),
            ("expired", event.expired),
            ("purged", event.purged),
        ):
            self._count("pushkeep_swept", happened, by=count)

    def _receipts_kept(self, event: facts.ReceiptsKept) -> None:
        for kind, count in event.counts.items():
            self._count("pushkeep_receipts", kind, by=count)
        self._observe("pushkeep_receipt_flush_seconds", (), event.seconds)


def _family(metric: Metric, samples: Iterable[tuple[Labels, float | _Histogram]]) -> Family:
    if metric.type == "histogram":
        histograms = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, found in samples:
            if isinstance(found, _Histogram):
                histograms.add_metric(labels, found.buckets(), found.sum)
        return histograms
    family: CounterMetricFamily | GaugeMetricFamily
    if metric.type == "counter":
        family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    else:
        family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, found in samples:
        if not isinstance(found, _Histogram):
            family.add_metric(labels, found)
    return family


def metrics_reference() -> str:
    """The metrics as a Markdown table, for the documentation."""
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for metric in METRICS:
        suffix = "_total" if metric.type == "counter" else ""
        labels = ", ".join(f"`{name}`" for name in metric.labels) or "–"
        only = " Read from the database, on the server's page only." if metric.place == "web" else ""
        lines.append(f"| `{metric.name}{suffix}` | {metric.type} | {labels} | {metric.help}{only} |")
    return "\n".join(lines) + "\n"
