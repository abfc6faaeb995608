"""What was measured of the engine, raw, and what it comes to."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.installation import Broadcast


@dataclass
class EngineLine:
    """Broadcasts by one server, one number for each round; processor time in microseconds for a message.

    Attributes:
        latency_ms: round trip to the push service.
        workers: worker processes.
        worker_us: of all of them, all threads.
        loop_us: of these, the threads that run event loops; the rest reads and writes the database.
        web_us: of the process that accepted.
        per_second: messages a second, from acceptance to the last one's being written down.
        first_send_ms: from acceptance to the first message's arrival.
    """

    latency_ms: int
    workers: int
    worker_us: list[float] = field(default_factory=list)
    loop_us: list[float] = field(default_factory=list)
    web_us: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)
    first_send_ms: list[float] = field(default_factory=list)

    def add(self, done: Broadcast) -> None:
        """One more round."""
        each = 1e6 / done.recipients
        self.worker_us.append(done.spent.workers * each)
        self.loop_us.append(done.spent.loops * each)
        self.web_us.append(done.spent.web * each)
        self.per_second.append(done.recipients / done.seconds)
        self.first_send_ms.append(done.first_send_seconds * 1000)

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"{self.workers} worker process{'es' if self.workers > 1 else ''}"

    @property
    def database_us(self) -> list[float]:
        """Of the threads that read and write, round by round."""
        return [all_of_it - loop for all_of_it, loop in zip(self.worker_us, self.loop_us, strict=True)]

    def per_second_middle(self) -> float:
        """Messages a second in the middle round."""
        return statistics.median(self.per_second)


@dataclass
class Sizes:
    """Broadcasts to audiences of several sizes, each by a new server with one worker process.

    Attributes:
        recipients: the sizes.
        worker_mb, web_mb: the largest resident set the processes came to, in megabytes.
        per_second, first_send_ms, worker_us, web_us: as for :class:`EngineLine`.
    """

    recipients: list[int] = field(default_factory=list)
    worker_mb: list[float] = field(default_factory=list)
    web_mb: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)
    first_send_ms: list[float] = field(default_factory=list)
    worker_us: list[float] = field(default_factory=list)
    web_us: list[float] = field(default_factory=list)

    def add(self, done: Broadcast, peak_mb: tuple[float, float]) -> None:
        """One more size."""
        self.recipients.append(done.recipients)
        self.web_mb.append(peak_mb[0])
        self.worker_mb.append(peak_mb[1])
        self.per_second.append(done.recipients / done.seconds)
        self.first_send_ms.append(done.first_send_seconds * 1000)
        self.worker_us.append(done.spent.workers / done.recipients * 1e6)
        self.web_us.append(done.spent.web / done.recipients * 1e6)


@dataclass
class Waits:
    """How long single transactional messages took, in milliseconds from the beginning of the request.

    Attributes:
        accepted_ms: to the 202.
        arrived_ms: to the arrival at the push service.
        done_ms: to the answer that says it is done.
    """

    accepted_ms: list[float] = field(default_factory=list)
    arrived_ms: list[float] = field(default_factory=list)
    done_ms: list[float] = field(default_factory=list)


@dataclass
class Receipts:
    """What the server took in.

    Attributes:
        count: receipts sent, each by a request of its own.
        kept: in the database afterwards.
        per_second: by the clock, with the browsers on the same machine.
        per_core_second: for each second of the server's processor time, all threads.
    """

    count: int
    kept: int
    per_second: float
    per_core_second: float


@dataclass
class Asked:
    """One kind of request of a browser.

    Attributes:
        per_second: answered, by the clock, with the browsers on the same machine.
        cpu_us: the server's processor time for one, all threads, in microseconds.
    """

    per_second: float
    cpu_us: float


@dataclass
class Life:
    """What keeping subscriptions costs beside so many of them.

    Attributes:
        living: subscriptions in the database before.
        requests: registrations, re-syncs and heartbeats, each by a request of its own.
        register, sync, beat: of each kind.
        survey_seconds: a sweep that only counts (``--dry-run``).
        sweep_seconds: one that acts.
        sweep_cpu_seconds, sweep_mb: of its whole process: processor time, largest resident memory.
        quarantined, purged: what it did.
    """

    living: int
    requests: int
    register: Asked
    sync: Asked
    beat: Asked
    survey_seconds: float
    sweep_seconds: float
    sweep_cpu_seconds: float
    sweep_mb: float
    quarantined: int
    purged: int


@dataclass
class Sealing:
    """What the encryption of stored subscriptions costs, in microseconds of processor time.

    Attributes:
        open_us: of a message: opening its recipient, beyond reading the same from JSON.
        seal_us: of a registration: sealing.
        hash_us: of a registration: the keyed hashes of endpoint and keys.
    """

    open_us: float
    seal_us: float
    hash_us: float


@dataclass
class Command:
    """A command over all that is stored.

    Attributes:
        seconds: by the clock, start of the process included.
        cpu_seconds, peak_mb: of its process: processor time, largest resident memory.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float


@dataclass
class Move:
    """What it takes to bring so many subscriptions in, out, aside, and under another key.

    Attributes:
        subscriptions: how many.
        commands: by name, in the order in which they ran.
        file_mb: of the export, of the backup.
    """

    subscriptions: int
    commands: dict[str, Command] = field(default_factory=dict)
    file_mb: dict[str, float] = field(default_factory=dict)


@dataclass
class EngineResults:
    """One run.

    Attributes:
        base: processor microseconds of a message: by contender (``curve``, ``libcurl``, ``send_many``) and round trip,
            one number for each round.
        lines: broadcasts, by distance and worker processes.
        sizes: by audience.
        alone, beside: transactional messages by themselves and beside a broadcast.
        receipts: None where they were not measured.
        lives: by how many subscriptions there are.
        sealing: None where it was not measured.
        moves: by how many subscriptions there are.
    """

    base: dict[str, dict[int, list[float]]] = field(default_factory=dict)
    lines: list[EngineLine] = field(default_factory=list)
    sizes: Sizes = field(default_factory=Sizes)
    alone: Waits = field(default_factory=Waits)
    beside: Waits = field(default_factory=Waits)
    receipts: Receipts | None = None
    lives: list[Life] = field(default_factory=list)
    sealing: Sealing | None = None
    moves: list[Move] = field(default_factory=list)

    def line(self, latency_ms: int, workers: int) -> EngineLine:
        """The line of these, made where there is none."""
        for line in self.lines:
            if (line.latency_ms, line.workers) == (latency_ms, workers):
                return line
        self.lines.append(EngineLine(latency_ms, workers))
        return self.lines[-1]

    def sender(self, latency_ms: int) -> list[float]:
        """The bare sender at that distance, round by round."""
        return self.base["send_many"][latency_ms]

    def floor(self, latency_ms: int) -> list[float]:
        """Curve and libcurl, round by round."""
        return [
            sum(pair) for pair in zip(self.base["curve"][latency_ms], self.base["libcurl"][latency_ms], strict=True)
        ]

    def of_sender(self, line: EngineLine) -> float:
        """The workers' cost to the bare sender's at the same distance: the median of the rounds' own ratios."""
        return _ratio(line.worker_us, self.sender(line.latency_ms))

    def of_floor(self, line: EngineLine) -> float:
        """And to the floor's."""
        return _ratio(line.worker_us, self.floor(line.latency_ms))


def engine_from(content: dict[str, object]) -> EngineResults:
    """Read what :func:`dataclasses.asdict` and JSON made of results."""
    text: dict = content  # type: ignore[type-arg]  # whatever JSON holds
    return EngineResults(
        {name: {int(latency): costs for latency, costs in by.items()} for name, by in text["base"].items()},
        [EngineLine(**line) for line in text["lines"]],
        Sizes(**text["sizes"]),
        Waits(**text["alone"]),
        Waits(**text["beside"]),
        None if text["receipts"] is None else Receipts(**text["receipts"]),
        [_life_from(life) for life in text.get("lives", [])],
        Sealing(**text["sealing"]) if text.get("sealing") else None,
        [_move_from(move) for move in text.get("moves", [])],
    )


def _life_from(life: dict) -> Life:  # type: ignore[type-arg]  # whatever JSON holds
    kinds = ("register", "sync", "beat")
    return Life(**{**life, **{kind: Asked(**life[kind]) for kind in kinds}})


def _move_from(move: dict) -> Move:  # type: ignore[type-arg]  # whatever JSON holds
    commands = {name: Command(**command) for name, command in move["commands"].items()}
    return Move(move["subscriptions"], commands, move["file_mb"])


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so many of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def _ratio(above: Sequence[float], below: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(above, below, strict=True))
