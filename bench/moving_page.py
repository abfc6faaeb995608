"""What a run has found about sealing, and about bringing subscriptions in and out."""

from __future__ import annotations

import statistics

from bench.engine_results import EngineResults
from bench.tables import table


def findings(engine: EngineResults) -> list[str]:
    """One sentence each."""
    return [*_of_sealing(engine), *_of_moves(engine)]


def _of_sealing(engine: EngineResults) -> list[str]:
    cost = engine.sealing
    if cost is None:
        return []
    message = [statistics.median(line.worker_us) for line in engine.lines if (line.latency_ms, line.workers) == (0, 1)]
    of_message = f", {cost.open_us / message[0]:.1%} of a broadcast's message" if message else ""
    stored = cost.seal_us + cost.hash_us
    of_registration = f", {stored / engine.lives[-1].register.cpu_us:.1%} of one" if engine.lives else ""
    return [
        f"That subscriptions are stored sealed costs a message {cost.open_us:.1f} µs of processor time{of_message}, "
        f"and a registration {cost.seal_us:.1f} µs for sealing and {cost.hash_us:.1f} µs for two keyed hashes"
        f"{of_registration}."
    ]


def _of_moves(engine: EngineResults) -> list[str]:
    if not engine.moves:
        return []
    last = engine.moves[-1]
    rates = {title: f"{last.subscriptions / done.seconds:,.0f}" for title, done in last.commands.items()}
    return [
        f"Of {last.subscriptions:,} subscriptions, {rates['export']} a second are exported and {rates['import']} "
        f"imported ({rates['import, web-push']} from another program's file); a new data key has sealed all "
        f"of them anew after {last.commands['data key'].seconds:.0f} s."
    ]


def moves_table(engine: EngineResults) -> str:
    """Each command over so many subscriptions."""
    headings = ("subscriptions, command", "s", "a second", "CPU s", "MB")
    body = [
        (
            f"{move.subscriptions:,}: {title}",
            f"{done.seconds:.1f}",
            f"{move.subscriptions / done.seconds:,.0f}",
            f"{done.cpu_seconds:.1f}",
            f"{done.peak_mb:.0f}",
        )
        for move in engine.moves
        for title, done in move.commands.items()
    ]
    return table(headings, body)
