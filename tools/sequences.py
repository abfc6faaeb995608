"""Sequence diagrams, drawn from lists of steps; `tools/reference.py` writes them."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from diagrams import Palette, opening

COLUMN_MIN = 180
ROW = 34
HEAD_WIDTH, HEAD_HEIGHT = 150, 32
MARGIN = 24
LETTER = 6.7  # of 12 px text, on average
NOTE_PAD = 10


@dataclass(frozen=True)
class Step:
    """One arrow, or a note.

    Attributes:
        begin: who acts.
        end: whom it reaches; the same as ``begin`` for what somebody does alone.
        text: on the arrow.
        answer: drawn dashed.
        lost: the arrow does not arrive.
    """

    begin: str
    end: str
    text: str
    answer: bool = False
    lost: bool = False


@dataclass(frozen=True)
class Sequence:
    """One path.

    Attributes:
        title: what it shows, for those who cannot see it.
        actors: from left to right.
        steps: from top to bottom.
    """

    title: str
    actors: tuple[str, ...]
    steps: tuple[Step, ...]

    def svg(self, palette: Palette) -> str:
        """The picture.

        Raises:
            KeyError: a step is of somebody who is not among the actors.
        """
        places = {actor: MARGIN + HEAD_WIDTH / 2 + at * self._column() for at, actor in enumerate(self.actors)}
        alone = [step for step in self.steps if step.begin == step.end]
        reach = max((places[step.begin] + len(step.text) * LETTER / 2 + NOTE_PAD for step in alone), default=0.0)
        width = max(max(places.values()) + HEAD_WIDTH / 2, reach) + MARGIN
        top = MARGIN + HEAD_HEIGHT
        height = top + ROW * (len(self.steps) + 1)
        lines = opening(self.title, width, height, palette)
        for actor, x in places.items():
            lines += _actor(actor, x, height, palette)
        for number, step in enumerate(self.steps, 1):
            lines += _step(step, places, top + ROW * number, palette)
        return "\n".join([*lines, "</svg>", ""])

    def _column(self) -> float:
        """Wide enough for what stands between two neighbours."""
        numbers = {actor: number for number, actor in enumerate(self.actors)}
        spans = ((abs(numbers[step.end] - numbers[step.begin]), len(step.text)) for step in self.steps)
        return max(COLUMN_MIN, *((letters * LETTER + 3 * NOTE_PAD) / span for span, letters in spans if span))


def _actor(name: str, x: float, height: float, palette: Palette) -> list[str]:
    return [
        f'<path d="M{x:.0f} {MARGIN + HEAD_HEIGHT}V{height - MARGIN / 2:.0f}" stroke="{palette.edge}" '
        'stroke-width="1" opacity="0.5"/>',
        f'<rect x="{x - HEAD_WIDTH / 2:.0f}" y="{MARGIN}" width="{HEAD_WIDTH}" height="{HEAD_HEIGHT}" rx="8" '
        f'fill="{palette.box}" stroke="{palette.edge}" stroke-width="1.5"/>',
        f'<text x="{x:.0f}" y="{MARGIN + HEAD_HEIGHT / 2 + 5:.0f}" text-anchor="middle" font-size="14" '
        f'font-weight="600" fill="{palette.text}">{escape(name)}</text>',
    ]


def _step(step: Step, places: dict[str, float], y: float, palette: Palette) -> list[str]:
    begin, end = places[step.begin], places[step.end]
    width = len(step.text) * LETTER + 2 * NOTE_PAD
    if begin == end:
        left = max(begin - width / 2, MARGIN / 2)
        return [
            f'<rect x="{left:.0f}" y="{y - 11:.0f}" width="{width:.0f}" height="22" rx="6" fill="{palette.final}" '
            f'stroke="{palette.edge}" stroke-width="0.8"/>',
            _text(left + width / 2, y + 4, step.text, palette),
        ]
    stop = begin + (end - begin) * 0.6 if step.lost else end
    dash = ' stroke-dasharray="5 4"' if step.answer else ""
    lines = [
        f'<path d="M{begin:.0f} {y + 8:.0f}H{stop:.0f}" fill="none" stroke="{palette.edge}" stroke-width="1.5"{dash} '
        'marker-end="url(#head)"/>'
    ]
    if step.lost:
        lines.append(_text(stop + (10 if end > begin else -10), y + 12, "✕", palette))
    middle = (begin + end) / 2
    lines.append(
        f'<rect x="{middle - width / 2 + 6:.0f}" y="{y - 9:.0f}" width="{width - 12:.0f}" height="14" '
        f'fill="{palette.ground}"/>'
    )
    return [*lines, _text(middle, y + 3, step.text, palette)]


def _text(x: float, y: float, text: str, palette: Palette) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle" fill="{palette.text}">{escape(text)}</text>'
