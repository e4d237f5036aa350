"""A figure of error over time: a point with its name for each contender, filled for mlplab's."""

from collections.abc import Mapping, Sequence
from math import log
from pathlib import Path
from typing import NamedTuple

import altair as alt
import pandas as pd  # type: ignore[import-untyped]

from benchmarks.quality.summary import Summary

WIDTH, HEIGHT = 560, 380
FONT, LETTER = 13, 7.5
"""The height of a name, and the width of a letter, about."""

RADIUS = 6
"""Of a point, with some space around it."""


class Box(NamedTuple):
    """A part of the figure, in pixels from the top left."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Box") -> bool:
        """Whether the two have an inner point in common."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def draw(path: Path, summaries: Mapping[str, Summary], base: str, ours: str) -> None:
    """Writes an SVG or PNG file.

    Args:
        base: the contender whose error is 1.
        ours: how the names of mlplab's contenders begin.
    """
    ratios = [each.ratio for each in summaries.values()]
    seconds = [each.fit_seconds for each in summaries.values()]
    space = (max(ratios) - min(ratios) or 1) / 12
    low, high = min(ratios) - space, max(ratios) + space
    fastest, slowest = min(seconds) / 2, max(seconds) * 2
    across = WIDTH / log(slowest / fastest)
    places = [
        (log(each.fit_seconds / fastest) * across, (high - each.ratio) / (high - low) * HEIGHT)
        for each in summaries.values()
    ]
    rows = [
        {"contender": name, "seconds": each.fit_seconds, "ratio": each.ratio, "ours": name.startswith(ours)}
        | {"left": box.left, "middle": (box.top + box.bottom) / 2}
        for (name, each), box in zip(summaries.items(), name_boxes([*summaries], places), strict=True)
    ]
    x = alt.X("seconds:Q").title("mean seconds of a fit, on one core")
    y = alt.Y("ratio:Q").title(f"mean error, relative to {base}")
    chart = alt.Chart(pd.DataFrame(rows))
    fill = alt.condition("datum.ours", alt.value("black"), alt.value("white"))
    points = chart.mark_point(size=70, stroke="black", strokeWidth=1.5, opacity=1).encode(
        x.scale(type="log", domain=[fastest, slowest], nice=False),
        y.scale(domain=[low, high], nice=False, zero=False),
        fill=fill,
    )
    names = chart.mark_text(align="left", baseline="middle", fontSize=FONT, color="black").encode(
        text="contender:N",
        x=alt.X("left:Q").scale(domain=[0, WIDTH], nice=False).axis(None),
        y=alt.Y("middle:Q").scale(domain=[HEIGHT, 0], nice=False).axis(None),
    )
    layers = alt.layer(points, names).resolve_scale(x="independent", y="independent")
    figure = layers.properties(width=WIDTH, height=HEIGHT, background="white")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.configure_axis(labelFontSize=FONT, titleFontSize=FONT, grid=False).save(str(path), ppi=144)


def name_boxes(names: Sequence[str], places: Sequence[tuple[float, float]]) -> list[Box]:
    """Where each name is written beside its point: where it covers least that is there already."""
    taken = [Box(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS) for x, y in places]
    boxes = []
    for name, (x, y) in zip(names, places, strict=True):
        width, half = len(name) * LETTER, FONT / 2
        beside, away = 1.5 * RADIUS, RADIUS + FONT / 2
        lefts = [
            (x + beside, y),
            (x - beside - width, y),
            (x - width / 2, y - away),
            (x - width / 2, y + away),
        ]
        options = [Box(left, middle - half, left + width, middle + half) for left, middle in lefts]
        inside = [each for each in options if each.left >= 0 and each.right <= WIDTH] or options
        best = min(inside, key=lambda box: sum(box.overlaps(other) for other in taken))
        taken.append(best)
        boxes.append(best)
    return boxes
