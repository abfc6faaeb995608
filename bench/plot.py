"""The pictures of docs/performance.md, each once for light and once for dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt

IMAGES = Path(__file__).parents[1] / "docs" / "images"


@dataclass(frozen=True)
class Theme:
    """Colours that read well on one kind of page; its background shows through."""

    name: str
    text: str
    faint: str
    given: str
    ours: str
    peer: str


THEMES = (
    Theme("light", text="#1f2328", faint="#d1d9e0", given="#8c959f", ours="#0969da", peer="#bf5b04"),
    Theme("dark", text="#e6edf3", faint="#3d444d", given="#7d8590", ours="#4493f8", peer="#e08a3c"),
)

Bar = tuple[str, float, str, str]
"""Name, length in microseconds, what is written behind it, and whose it is: ``given``, ``ours`` or ``peer``."""


def bars(name: str, title: str, rows: Sequence[Bar]) -> None:
    """Horizontal bars with their numbers, into ``docs/images/<name>-<theme>.svg``.

    The files are the same for the same numbers: no date is in them and no random id.
    """
    for theme in THEMES:
        with mpl.rc_context(
            {
                "svg.hashsalt": name,
                "svg.fonttype": "none",  # text stays text: small, and in the reader's own font
                "font.family": "sans-serif",
                "font.size": 10,
                "text.color": theme.text,
                "xtick.color": theme.text,
                "ytick.color": theme.text,
            }
        ):
            figure, axes = plt.subplots(figsize=(9.2, 0.9 + 0.36 * len(rows)), layout="constrained")
            places = range(len(rows))
            colours = [getattr(theme, whose) for _, _, _, whose in rows]
            axes.barh(places, [length for _, length, _, _ in rows], height=0.66, color=colours)
            axes.set_yticks(places, [label for label, _, _, _ in rows])
            axes.invert_yaxis()
            longest = max(length for _, length, _, _ in rows)
            for place, (_, length, behind, _) in zip(places, rows, strict=True):
                axes.text(length + longest * 0.012, place, behind, va="center")
            axes.set_xlim(0, longest * 1.24)
            axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
            axes.xaxis.grid(visible=True, color=theme.faint, linewidth=0.8)
            axes.set_axisbelow(True)
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
            IMAGES.mkdir(parents=True, exist_ok=True)
            figure.savefig(IMAGES / f"{name}-{theme.name}.svg", transparent=True, metadata={"Date": None})
            plt.close(figure)
