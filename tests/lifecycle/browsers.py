"""Played browsers in a Node process, driven through a pipe: the shipped SDK files run in them, unchanged.

Node is the one that Playwright's driver carries. What a browser asks of the network is handed back as operations;
nothing in there waits or draws a number by itself, so a run is repeated exactly.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import playwright

import pushkeep

NODE = Path(playwright.__file__).parent / "driver" / "node"
FILES = Path(pushkeep.__file__).parent / "browser"
MAIN = Path(__file__).parent / "browser" / "main.mjs"

JsonObject = dict[str, Any]


class BrowserError(AssertionError):
    """A played browser, or the SDK in it, did what it must never do."""


@dataclass
class Call:
    """A method of the SDK that a page was told to call, or its start.

    Attributes:
        profile, tab: where.
        method: its name; ``init`` for the start.
        outcome: ``done``, ``failed``, or ``gone`` when its page ended before; None while it runs.
        value: what it gave.
        error: name, code and message of what it threw.
    """

    profile: str
    tab: str
    method: str
    outcome: str | None = None
    value: Any = None
    error: JsonObject | None = None


@dataclass
class Asked:
    """Something a browser asked of the network.

    Attributes:
        number: to be answered with.
        kind: ``fetch``, ``subscribe`` or ``unsubscribe``.
        profile: whose.
        details: of that kind.
    """

    number: int
    kind: str
    profile: str
    details: JsonObject


@dataclass
class Browsers:
    """The process. Start it once; :meth:`begin` puts fresh profiles into it."""

    process: subprocess.Popen[str]
    calls: list[Call] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    told: list[JsonObject] = field(default_factory=list)
    pages: list[tuple[str, str]] = field(default_factory=list)
    next: float | None = None

    @classmethod
    def start(cls, files: Path = FILES) -> Browsers:
        """Start it, with the files of the SDK from that directory."""
        command = [str(NODE), "--experimental-vm-modules", "--no-warnings", str(MAIN), str(files)]
        return cls(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))

    def stop(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=10)
        self.process.stdout.close()

    def begin(self, *, seed: int, now: float, browsers: Sequence[Mapping[str, str]]) -> None:
        """Forget everything, and have these profiles, each with ``name``, ``kind``, ``site`` and ``server``."""
        self.calls, self.asked, self.told, self.pages = [], [], [], []
        self.command("begin", seed=seed, now=_milliseconds(now), browsers=list(browsers))

    def open(self, profile: str, tab: str, options: JsonObject) -> Call:
        """Open a page, which starts the SDK."""
        call = self._call(profile, tab, "init")
        self.pages.append((profile, tab))
        self.command("open", profile=profile, tab=tab, options=options, call=len(self.calls) - 1)
        return call

    def call(self, profile: str, tab: str, method: str, *given: object) -> Call:
        """Have a page call a method of its Pushkeep object."""
        call = self._call(profile, tab, method)
        self.command("call", profile=profile, tab=tab, method=method, given=list(given), call=len(self.calls) - 1)
        return call

    def ready(self, profile: str) -> list[str]:
        """The open pages in which the SDK has started."""
        started = {(call.profile, call.tab) for call in self.calls if (call.method, call.outcome) == ("init", "done")}
        return [tab for name, tab in self.pages if name == profile and (name, tab) in started]

    def tabs(self, profile: str) -> list[str]:
        """The open pages."""
        return [tab for name, tab in self.pages if name == profile]

    def answer(self, asked: Asked, **answer: object) -> None:
        """Answer what was asked of the network."""
        self.command("answer", op=asked.number, answer=answer)

    def look(self, profile: str) -> JsonObject:
        """Permission, subscriptions, registrations, tabs and stored state."""
        self.command("look", profile=profile)
        return next(self.told.pop(at) for at, one in enumerate(self.told) if one["type"] == "look")

    def pass_until(self, now: float) -> float:
        """Let time pass, up to the first thing asked of the network; the time reached, in epoch seconds."""
        answer = self.command("pass", now=_milliseconds(now))
        return float(answer["now"]) / 1000

    def command(self, what: str, **given: object) -> JsonObject:
        """Do something, and let everything inside go on until nothing can."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": what, **given}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise BrowserError(f"the Node process has ended with {self.process.wait(timeout=10)} at {what}")
        answer: JsonObject = json.loads(line)
        if answer["error"] is not None:
            raise BrowserError(f"{what}: {answer['error']['stack']}")
        self.next = None if answer["next"] is None else answer["next"] / 1000
        for one in answer["told"]:
            self._take(one)
        return answer

    def _call(self, profile: str, tab: str, method: str) -> Call:
        call = Call(profile, tab, method)
        self.calls.append(call)
        return call

    def _take(self, one: JsonObject) -> None:
        match one["type"]:
            case "op":
                self.asked.append(Asked(one["op"], one["kind"], one["profile"], one))
            case "done":
                self.calls[one["call"]].outcome, self.calls[one["call"]].value = "done", one["value"]
            case "failed":
                self.calls[one["call"]].outcome, self.calls[one["call"]].error = "failed", one["error"]
            case "end":
                self.pages = [page for page in self.pages if page != (one["profile"], one["tab"])]
                for call in self.calls:
                    if (call.profile, call.tab) == (one["profile"], one["tab"]) and call.outcome in (None, "done"):
                        call.outcome = "gone"
            case "unhandled":
                raise BrowserError(f"nobody caught: {one['error']['stack']}")
            case _:
                self.told.append(one)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
