"""Writes the reference pages that are generated from the code; ``--check`` only says whether they are up to date."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path

import typer

from diagrams import DARK, LIGHT, Diagram
from paths import PATHS
from pushkeep.adapters.metrics import metrics_reference
from pushkeep.cli import app
from pushkeep.cli.common import Exit
from pushkeep.config import settings_reference
from pushkeep.domain.action import ALERT_WORDS
from pushkeep.domain.action_table import ACTION_TABLE
from pushkeep.domain.circuit import TRANSITIONS, CircuitState
from pushkeep.domain.project import KeyState
from pushkeep.domain.sending import NOTIFICATION_TRANSITIONS, NotificationState
from pushkeep.domain.shard import SHARD_TRANSITIONS, ShardState
from pushkeep.domain.signing_keys import KEY_TRANSITIONS
from pushkeep.domain.subscription import ENDED, LIVING, Event, State
from pushkeep.domain.subscription import TRANSITIONS as SUBSCRIPTION_TRANSITIONS
from pushkeep.protocol.vendors import VENDORS
from pushkeep.protocol.verdict import VERDICT_TABLE
from pushkeep.pushservice.personalities.strict_rules import RULES
from pushkeep.web.problems import problems_reference

DOCS = Path(__file__).parents[1] / "docs"
NOTE = "<!-- Written by `make docs` from the code. Change it there. -->\n\n"


def configuration() -> str:
    return (
        "# Configuration\n\n"
        + NOTE
        + "Settings come from `pushkeep.toml` in the data directory, then the environment, then the command line; "
        "later ones\nwin. An unknown or unreadable setting stops the start with the remedy.\n\n" + settings_reference()
    )


def problems() -> str:
    return (
        "# Problems\n\n"
        + NOTE
        + "Every error of the HTTP interface is `application/problem+json` (RFC 9457) with a `code` from this table,\n"
        "a `detail` that says what to do, and, where one field is to blame, its name in `field`. The whole interface\n"
        "is described in OpenAPI at `/v1/openapi.json` of a running server.\n\n" + problems_reference()
    )


def metrics() -> str:
    return (
        "# Metrics\n\n"
        + NOTE
        + "What the server shows at `/metrics`, to who has an API key, and each worker process on its own port; how "
        "to\nhave them fetched stands in [Operating](operating.md). Labels have few values, known beforehand: `vendor` "
        "is `fcm`,\n`mozilla`, `apple`, `wns`, or `other` for all push services that nobody knows; no label names an "
        "origin, a project\nor a notification. Beside these are the figures of the process itself "
        "(`process_cpu_seconds_total`,\n`process_resident_memory_bytes`, …).\n\n" + metrics_reference()
    )


def verdicts() -> str:
    lines = [
        "# Verdicts\n",
        NOTE.rstrip("\n") + "\n",
        "What a push service's answer means. The rows are read from the top, the first that matches wins. What is done",
        "about it stands in [Actions](actions.md): nothing but `gone` ends a subscription at once.\n",
        "| verdict | push service | status | and | because |",
        "|---|---|---|---|---|",
    ]
    for row in VERDICT_TABLE:
        vendors = ", ".join(VENDORS[name].title for name in sorted(row.vendors)) if row.vendors else "any"
        conditions = []
        if row.body:
            conditions.append("body has " + " or ".join(f"“{text}”" for text in _phrases(row.body.pattern.decode())))
        if row.header:
            conditions.append(f"`{row.header[0]}` has “{_words(row.header[1].pattern)}”")
        status = (
            "no answer: " + ", ".join(sorted(row.failures)) if row.failures else _ranges(row.statuses or frozenset())
        )
        lines.append(f"| `{row.verdict}` | {vendors} | {status} | {'; '.join(conditions)} | {row.because} |")
    lines += [
        "",
        "Any other status is `transient`.",
        "",
        "## Push services",
        "",
        "| push service | hosts | largest body | longest TTL |",
        "|---|---|---|---|",
    ]
    for vendor in VENDORS.values():
        hosts = ", ".join(f"`{host}`" for host in vendor.hosts) or "by the operator's choice"
        ttl = f"{vendor.ttl_seconds_max // 86400} days" if vendor.ttl_seconds_max else "not documented"
        lines.append(f"| {vendor.title} | {hosts} | {vendor.body_bytes_max} octets | {ttl} |")
    return "\n".join(lines) + "\n"


def _words(pattern: str) -> str:
    return pattern.replace(" ?", " ").replace("|", "” or “")


def actions() -> str:
    lines = [
        "# Actions\n",
        NOTE.rstrip("\n") + "\n",
        "What is done about a push service's answer. Its [verdict](verdicts.md) says what it means; this table adds",
        "what is known of the subscription, the message and the push service. For each verdict the rows are read from",
        "the top, and the first whose condition holds is taken. Nothing is sent again before `Retry-After` or after",
        "the deadline. Nothing ends a subscription at once but `gone`.\n",
        "`fail`, `quarantine` and `needs_renewal` are written into the subscription, with the days of doubt and the",
        "failed probes. What is in `quarantine` or needs renewal is not sent to; what becomes of its messages is",
        "`skipped_quarantined` or `skipped_renewal`. A probe is a real message that is due anyway: browsers punish a",
        "push that shows nothing, so none is sent only to find out. The first may go a day after the quarantine began,",
        "the second 3 days after the first has failed, the third 7 days later; one that is accepted ends the "
        "quarantine.",
        "What rests, and which circuits are open, a process knows as long as it runs.\n",
        "| verdict | if | action | that is | alert |",
        "|---|---|---|---|---|",
    ]
    for row in ACTION_TABLE:
        alert = f"`{row.alert}`" if row.alert else ""
        lines.append(f"| `{row.verdict}` | {row.when or 'otherwise'} | `{row.action}` | {row.so} | {alert} |")
    lines += [
        "",
        "## Alerts",
        "",
        "Once for a notification and push service, in the log.",
        "",
        "| alert | says |",
        "|---|---|",
    ]
    lines += [f"| `{alert}` | {words} |" for alert, words in ALERT_WORDS.items()]
    lines += [
        "",
        "## The circuit of a key at a push service",
        "",
        "A cool-down is 60 s, doubled each time a probe is refused, at most an hour. Then one message goes as a probe.",
        "",
        "| state | what happens | state after |",
        "|---|---|---|",
    ]
    lines += [f"| `{before}` | `{event}` | `{after}` |" for (before, event), after in TRANSITIONS.items()]
    return "\n".join(lines) + "\n"


def _phrases(pattern: str) -> list[str]:
    return [phrase.replace("\\", "") for phrase in pattern.split("|")]


def _ranges(statuses: frozenset[int]) -> str:
    if not statuses:
        return "any"
    parts, numbers = [], sorted(statuses)
    start = previous = numbers[0]
    for number in [*numbers[1:], 0]:
        if number != previous + 1:
            parts.append(str(start) if start == previous else f"{start}–{previous}")
            start = number
        previous = number
    return ", ".join(parts)


def commands() -> str:
    lines = [
        "# Commands\n",
        NOTE.rstrip("\n") + "\n",
        "Exit statuses, the same for every command:\n",
        "| status | meaning |",
        "|---|---|",
    ]
    meanings = {
        Exit.DONE: "done; a message was accepted",
        Exit.FAILED: "something unforeseen",
        Exit.USAGE: "an option, file or setting is wrong",
        Exit.GONE: "the subscription has ended",
        Exit.KEY_OR_TOKEN: "the push service refused the key or the token",
        Exit.TRY_LATER: "throttled, or a fault that passes",
        Exit.NOT_ACCEPTED: "not accepted for any other reason",
    }
    lines += [f"| {status.value} | {meanings[status]} |" for status in Exit]
    for path, command in _walk(typer.main.get_command(app), "pushkeep"):
        lines += ["", f"## `{path}`", "", (command.help or "").strip()]
        rows = [_option(parameter) for parameter in command.params if parameter.name not in ("help", "version")]
        if rows:
            lines += ["", "| argument or option | meaning |", "|---|---|", *rows]
        if command.epilog:
            example = command.epilog.replace("[bold]Example[/bold]", "").strip()
            lines += ["", "```", *(line.strip() for line in example.splitlines() if line.strip()), "```"]
    return "\n".join(lines) + "\n"


def strict() -> str:
    lines = [
        "# The strict push service\n",
        NOTE.rstrip("\n") + "\n",
        "`pushkeep pushservice --strict`, `PushService(strict=True)` or `--push-strict` of the pytest plugin:",
        "refused is also what only some vendor or RFC forbids, or what a good sender avoids. The first rule that a",
        "request breaks is answered in one sentence, `strict: NAME: …`, with the header `X-Pushkeep-Rule: NAME`,",
        "and stands in the `refused` event as `rule`. What only the vendor can know (signature, key, whether the",
        'subscription lives) is still answered in its own words. `PushService(strict_except=("NAME",))` leaves',
        "rules out.\n",
        "| rule | status | what it says | source |",
        "|---|---|---|---|",
        *(f"| `{rule.name}` | {rule.status} | {rule.says} | {rule.source} |" for rule in RULES),
    ]
    return "\n".join(lines) + "\n"


def _walk(command, path):  # typer does not export the types of its commands
    children = getattr(command, "commands", None)
    if not children:
        return [(path, command)]
    found = [found for name, child in children.items() for found in _walk(child, f"{path} {name}")]
    # A group that does something when no command of it is named is a command, too.
    return [(path, command), *found] if command.invoke_without_command and path != "pushkeep" else found


def _option(parameter) -> str:
    names = (
        ", ".join(f"`{name}`" for name in parameter.opts)
        if parameter.param_type_name == "option"
        else f"`{parameter.name.upper()}`"
    )
    text = str(getattr(parameter, "help", "") or "").replace("|", "\\|")
    return f"| {names} | {text} |"


PAGES: dict[str, Callable[[], str]] = {
    "configuration.md": configuration,
    "strict.md": strict,
    "verdicts.md": verdicts,
    "actions.md": actions,
    "problems.md": problems,
    "metrics.md": metrics,
    "cli.md": commands,
}


class Whole(StrEnum):
    """The living states as one, for the picture of the ends: each of them has the same ones."""

    LIVING = "living"


def _between_living() -> dict[tuple[StrEnum, StrEnum], StrEnum]:
    """The moves between living states; what only confirms one is none."""
    moves = SUBSCRIPTION_TRANSITIONS.items()
    return {
        move: after
        for move, after in moves
        if move[0] in LIVING and after in LIVING and after is not move[0] and move[1] is not Event.ENTERED
    }


def _ends() -> dict[tuple[StrEnum, StrEnum], StrEnum]:
    """The moves into tombstones and out of them.

    Raises:
        ValueError: not every living state can end so: the picture would be wrong.
    """
    ends: dict[tuple[StrEnum, StrEnum], StrEnum] = {}
    for (before, event), after in SUBSCRIPTION_TRANSITIONS.items():
        if before in LIVING and after in ENDED:
            if any(SUBSCRIPTION_TRANSITIONS.get((state, event)) is not after for state in LIVING):
                raise ValueError(f"{event.value} does not end every living state")
            ends[Whole.LIVING, event] = after
        elif before in ENDED and after in LIVING:
            ends[before, event] = Whole.LIVING
    return ends


DIAGRAMS: dict[str, Diagram] = {
    "subscription": Diagram(
        "The living states of a subscription",
        _between_living(),
        {
            State.ACTIVE: (0.2, 0.9),
            State.FAILING: (1.5, 0),
            State.QUARANTINED: (2.8, 0.9),
            State.NEEDS_RENEWAL: (1.5, 2.9),
        },
        State.ACTIVE,
    ),
    "subscription-end": Diagram(
        "How a subscription ends, and what brings it back",
        _ends(),
        {Whole.LIVING: (1.2, 0), State.GONE: (0, 1.4), State.UNSUBSCRIBED: (1.2, 1.4), State.SUPERSEDED: (2.4, 1.4)},
        Whole.LIVING,
    ),
    "shard": Diagram(
        "The states of a shard",
        SHARD_TRANSITIONS,
        {
            ShardState.READY: (0.2, 0),
            ShardState.LEASED: (1.4, 0),
            ShardState.SET_ASIDE: (0.2, 1.2),
            ShardState.CLOSED: (1.4, 1.2),
        },
        ShardState.READY,
    ),
    "notification": Diagram(
        "The states of a notification",
        NOTIFICATION_TRANSITIONS,
        {
            NotificationState.PLANNING: (0.2, 0),
            NotificationState.SENDING: (1.2, 0),
            NotificationState.DONE: (2.2, 0),
            NotificationState.CANCELLED: (0.7, 0.8),
        },
        NotificationState.PLANNING,
    ),
    "signing-key": Diagram(
        "The states of a signing key",
        KEY_TRANSITIONS,
        {
            KeyState.NEXT: (0.2, 0),
            KeyState.ACTIVE: (1.2, 0),
            KeyState.RETIRING: (2.2, 0),
            KeyState.RETIRED: (1.2, 1),
        },
        KeyState.NEXT,
    ),
    "circuit": Diagram(
        "The states of a circuit",
        TRANSITIONS,
        {CircuitState.CLOSED: (0.2, 0), CircuitState.OPEN: (1.5, 0), CircuitState.HALF_OPEN: (1.5, 1)},
        CircuitState.CLOSED,
    ),
}


def _files() -> dict[Path, Callable[[], str]]:
    """Everything that is written, and how it is made."""
    files = {DOCS / name: make for name, make in PAGES.items()}
    for name, diagram in DIAGRAMS.items():
        for shade, palette in (("light", LIGHT), ("dark", DARK)):
            files[DOCS / "images" / f"{name}-states-{shade}.svg"] = partial(diagram.svg, palette)
    for name, sequence in PATHS.items():
        for shade, palette in (("light", LIGHT), ("dark", DARK)):
            files[DOCS / "images" / f"path-{name}-{shade}.svg"] = partial(sequence.svg, palette)
    return files


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if a page is not up to date")
    arguments = parser.parse_args()
    stale = []
    for path, make in _files().items():
        name, text = str(path.relative_to(DOCS)), make()
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if not arguments.check:
            path.write_text(text)
            sys.stdout.write(f"wrote docs/{name}\n")
    if arguments.check and stale:
        sys.stderr.write(f"docs/{', docs/'.join(stale)} not up to date: run `make docs`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
