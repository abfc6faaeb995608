"""State diagrams, drawn from the transition tables of the code; `tools/reference.py` writes them.

Where a state stands is chosen here, and nothing else: boxes, arrows and words come from the table, so a state or an
event that is added is drawn, or stops the build for want of a place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from html import escape

BOX_WIDTH, BOX_HEIGHT = 128, 40
COLUMN, ROW = 250, 130
MARGIN_X, MARGIN_Y = 40, 60
LETTER = 6.6  # of 12 px text, on average
LINE = 15

Place = tuple[float, float]


@dataclass(frozen=True)
class Palette:
    """Colours of one of the two pictures."""

    ground: str
    box: str
    edge: str
    text: str
    final: str


LIGHT = Palette(ground="#ffffff", box="#e8eef7", edge="#5a6b82", text="#1b2430", final="#dff2e3")
DARK = Palette(ground="#0d1117", box="#1f2b3d", edge="#8fa3bd", text="#e6edf3", final="#1d3a27")


def opening(title: str, width: float, height: float, palette: Palette) -> list[str]:
    """What every picture begins with: its size, its title, the head of its arrows (``#head``), its ground."""
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" aria-label="{escape(title)}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        f'orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" fill="{palette.edge}"/></marker></defs>',
        f'<rect width="100%" height="100%" rx="8" fill="{palette.ground}"/>',
    ]


@dataclass(frozen=True)
class Diagram:
    """One table with the places of its states.

    Attributes:
        title: what it shows, for those who cannot see it.
        table: from state and event to state.
        places: column and row of each state.
        start: where it begins.
    """

    title: str
    table: Mapping[tuple[StrEnum, StrEnum], StrEnum]
    places: Mapping[StrEnum, Place]
    start: StrEnum

    def svg(self, palette: Palette) -> str:
        """The picture.

        Raises:
            KeyError: a state has no place.
        """
        states = list(dict.fromkeys(state for (before, _), after in self.table.items() for state in (before, after)))
        centres = {state: _centre(self.places[state]) for state in states}
        width = max(x for x, _ in centres.values()) + BOX_WIDTH / 2 + MARGIN_X
        low = any(before is after and self.places[before][1] > 0 for (before, _), after in self.table.items())
        height = max(y for _, y in centres.values()) + BOX_HEIGHT / 2 + (MARGIN_Y + 10 if low else MARGIN_Y / 2)
        arrows: dict[tuple[StrEnum, StrEnum], list[str]] = {}
        for (before, event), after in self.table.items():
            arrows.setdefault((before, after), []).append(event.value.replace("_", " "))
        ends = {state for state in states if all(before is not state for before, _ in self.table)}
        lines = opening(self.title, width, height, palette)
        for (before, after), events in arrows.items():
            both = (after, before) in arrows
            lines += _arrow(centres[before], centres[after], events, palette, bent=both and before is not after)
        x, y = centres[self.start]
        lines.append(
            f'<path d="M{x - BOX_WIDTH / 2 - 30:.1f} {y:.1f}H{x - BOX_WIDTH / 2 - 2:.1f}" fill="none" '
            f'stroke="{palette.edge}" stroke-width="1.5" marker-end="url(#head)"/>'
            f'<circle cx="{x - BOX_WIDTH / 2 - 32:.1f}" cy="{y:.1f}" r="4" fill="{palette.edge}"/>'
        )
        for state, centre in centres.items():
            lines += _box(centre, state.value.replace("_", " "), palette, final=state in ends)
        return "\n".join([*lines, "</svg>", ""])


def _centre(place: Place) -> Place:
    return MARGIN_X + BOX_WIDTH / 2 + place[0] * COLUMN, MARGIN_Y + BOX_HEIGHT / 2 + place[1] * ROW


def _box(centre: Place, name: str, palette: Palette, *, final: bool) -> list[str]:
    x, y = centre
    return [
        f'<rect x="{x - BOX_WIDTH / 2:.1f}" y="{y - BOX_HEIGHT / 2:.1f}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" '
        f'rx="8" fill="{palette.final if final else palette.box}" stroke="{palette.edge}" stroke-width="1.5"/>',
        f'<text x="{x:.1f}" y="{y + 5:.1f}" text-anchor="middle" font-size="14" font-weight="600" '
        f'fill="{palette.text}">{escape(name)}</text>',
    ]


def _arrow(begin: Place, end: Place, events: list[str], palette: Palette, *, bent: bool) -> list[str]:
    if begin == end:
        way = -1 if begin[1] < MARGIN_Y + ROW / 2 else 1  # above in the first row, below in the others
        x, y = begin[0], begin[1] + way * BOX_HEIGHT / 2
        path = f"M{x - 22:.1f} {y:.1f}c-12 {way * 34} 56 {way * 34} 44 {way * 2}"
        return _drawn(path, (x, y + way * (32 + LINE * (len(events) - 1) / 2)), events, palette)
    along_x, along_y = end[0] - begin[0], end[1] - begin[1]
    length = math.hypot(along_x, along_y)
    side_x, side_y = -along_y / length, along_x / length  # to the right of the way, as one sees it
    apart = 13.0 if bent else 0.0
    start = _rim(begin, along_x, along_y, side_x * apart, side_y * apart)
    stop = _rim(end, -along_x, -along_y, side_x * apart, side_y * apart)
    if bent:
        bend = 18.0
        middle = ((start[0] + stop[0]) / 2 + side_x * bend, (start[1] + stop[1]) / 2 + side_y * bend)
        path = f"M{start[0]:.1f} {start[1]:.1f}Q{middle[0]:.1f} {middle[1]:.1f} {stop[0]:.1f} {stop[1]:.1f}"
        wide = max(len(event) for event in events) * LETTER / 2
        off = 4 + abs(side_x) * wide + abs(side_y) * LINE * len(events) / 2
        at = (start[0] + stop[0]) / 2 + side_x * (bend / 2 + off), (start[1] + stop[1]) / 2 + side_y * (bend / 2 + off)
    else:
        path = f"M{start[0]:.1f} {start[1]:.1f}L{stop[0]:.1f} {stop[1]:.1f}"
        share = 0.5 if along_x == 0 or along_y == 0 else 0.36  # two that cross must not both write where they do
        at = start[0] + (stop[0] - start[0]) * share, start[1] + (stop[1] - start[1]) * share
    return _drawn(path, at, events, palette)


def _rim(centre: Place, along_x: float, along_y: float, shift_x: float, shift_y: float) -> Place:
    """Where a line from a box's middle, shifted, leaves the box."""
    share = min(
        (math.copysign(BOX_WIDTH / 2 + 2, along_x) - shift_x) / along_x if along_x else math.inf,
        (math.copysign(BOX_HEIGHT / 2 + 2, along_y) - shift_y) / along_y if along_y else math.inf,
    )
    return centre[0] + along_x * share + shift_x, centre[1] + along_y * share + shift_y


def _drawn(path: str, at: Place, events: list[str], palette: Palette) -> list[str]:
    width = max(len(event) for event in events) * LETTER + 6
    height = LINE * len(events)
    top = at[1] - height / 2
    lines = [
        f'<path d="{path}" fill="none" stroke="{palette.edge}" stroke-width="1.5" marker-end="url(#head)"/>',
        f'<rect x="{at[0] - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height}" '
        f'fill="{palette.ground}"/>',
    ]
    for number, event in enumerate(events):
        lines.append(
            f'<text x="{at[0]:.1f}" y="{top + LINE * number + 11.5:.1f}" text-anchor="middle" '
            f'fill="{palette.text}">{escape(event)}</text>'
        )
    return lines
