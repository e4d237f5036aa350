"""What a network has learned of one or two columns: a curve, a surface, or the borders of classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
from jaxtyping import Float64, Int64

from mlplab.figures.style import BASELINE, FREE, HEIGHT, NETWORK, UNIT, WIDTH, Figure, chart_of, sample

OVERLAP = 0.1
"""Of opaque cells, as a share of their size, or there would be thin gaps between them."""

CURVE, SURFACE = 200, 50
"""Values of a column at which a curve is drawn, and of each of two columns for a surface."""


@dataclass(frozen=True)
class Fitted:
    """Predictions at evenly spaced values of one or two columns, and rows of the table.

    Attributes:
        columns: their names.
        target: the name of the target.
        classes: the classes of the target; empty for regression.
        grid: the values of the columns.
        predicted: the target at these values, or the probability of each class.
        x: the columns of some rows.
        y: the target of these rows, or the number of the class.
    """

    columns: Sequence[str]
    target: str
    classes: Sequence[str]
    grid: Float64[np.ndarray, "value column"]
    predicted: Float64[np.ndarray, "value output"]
    x: Float64[np.ndarray, "row column"]
    y: Float64[np.ndarray, " row"]

    def dots(self) -> alt.Chart:
        """A chart of the rows without missing values, or of a random part of them."""
        rows = sample(np.flatnonzero(~np.isnan(self.x).any(1)))
        columns = {name: self.x[rows, k] for k, name in enumerate("xy"[: self.x.shape[1]])}
        target = self.names(self.y[rows].astype(np.int64)) if self.classes else self.y[rows]
        return chart_of(**columns, target=target)

    def names(self, numbers: Int64[np.ndarray, " row"]) -> list[str]:
        """The names of classes."""
        return [self.classes[number] for number in numbers]


def grid_over(x: Float64[np.ndarray, "row column"]) -> Float64[np.ndarray, "value column"]:
    """Evenly spaced values of one or two columns, from the lowest to the highest of each."""
    count = CURVE if x.shape[1] == 1 else SURFACE
    axes = np.linspace(np.nanmin(x, 0), np.nanmax(x, 0), count).T
    return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], 1)


def fitted(values: Fitted) -> Figure:
    """The figure of one or two columns."""
    draw = {
        (1, False): _curve,
        (1, True): _probabilities,
        (2, False): _surface,
        (2, True): _borders,
    }[len(values.columns), bool(values.classes)]
    over = " and ".join(values.columns)
    title = f"What the network has learned: {values.target} over {over}"
    return draw(values).properties(
        width=WIDTH,
        height=HEIGHT,
        title=alt.Title(title, subtitle="points: test rows"),
        description=f"Predicted {values.target} over {over}, and the test rows",
    )


def _curve(values: Fitted) -> Any:
    line = chart_of(x=values.grid[:, 0], y=values.predicted[:, 0]).mark_line(color=NETWORK, strokeWidth=2.5)
    x = alt.X("x:Q", title=values.columns[0], scale=FREE)
    dots = values.dots().mark_point(size=24, opacity=0.5, color=BASELINE)
    y = alt.Y("target:Q", title=values.target, scale=FREE)
    return alt.layer(dots.encode(x, y, tooltip=["x:Q", "target:Q"]), line.encode(x, alt.Y("y:Q", scale=FREE)))


def _probabilities(values: Fitted) -> Any:
    shape = values.predicted.shape
    lines = chart_of(
        x=np.repeat(values.grid[:, 0], shape[1]),
        probability=values.predicted.ravel(),
        target=[*values.classes] * shape[0],
    ).mark_line(strokeWidth=2)
    x, color = alt.X("x:Q", title=values.columns[0], scale=FREE), _color(values)
    dash = alt.StrokeDash("target:N", title=values.target, scale=alt.Scale(domain=[*values.classes]))
    ticks = values.dots().mark_tick(opacity=0.4, height=8, yOffset=-4)
    return alt.layer(
        lines.encode(x, alt.Y("probability:Q", scale=UNIT, title="probability"), color, dash),
        ticks.encode(x, alt.YDatum(0), color),
    )


def _surface(values: Fitted) -> Any:
    color = alt.Color("target:Q", title=values.target, scale=alt.Scale(scheme="viridis"))
    cells = _cells(values, OVERLAP, target=values.predicted[:, 0]).encode(color)
    dots = values.dots().mark_point(filled=True, size=32, stroke="white", strokeWidth=0.8, opacity=1)
    return alt.layer(cells, dots.encode(x="x:Q", y="y:Q", color=color, tooltip=["x:Q", "y:Q", "target:Q"]))


def _borders(values: Fitted) -> Any:
    color = _color(values)
    shape = alt.Shape("target:N", title=values.target, scale=alt.Scale(domain=[*values.classes]))
    scale = alt.Scale(domain=[1 / len(values.classes), 1], range=[0.1, 0.5])
    cells = _cells(values, target=values.names(values.predicted.argmax(1)), share=values.predicted.max(1))
    dots = values.dots().mark_point(size=36, strokeWidth=1.5)
    return alt.layer(
        cells.encode(color, alt.Opacity("share:Q", scale=scale, legend=None)),
        dots.encode(x="x:Q", y="y:Q", color=color, shape=shape, tooltip=["target:N", "x:Q", "y:Q"]),
    )


def _color(values: Fitted) -> alt.Color:
    return alt.Color("target:N", title=values.target, scale=alt.Scale(domain=[*values.classes]))


def _cells(values: Fitted, overlap: float = 0.0, **columns: object) -> alt.Chart:
    """A rectangle around each value of a grid of two columns."""
    edges: dict[str, Float64[np.ndarray, " value"]] = {}
    for axis, grid in zip("xy", values.grid.T, strict=True):
        widths = np.diff(np.unique(grid))
        half = (1 + overlap) * (widths[0] if len(widths) else 1) / 2
        edges |= {axis: grid - half, f"{axis}2": grid + half}
    one, other = values.columns
    scale = alt.Scale(zero=False, nice=False)
    x, y = alt.X("x:Q", title=one, scale=scale), alt.Y("y:Q", title=other, scale=scale)
    return chart_of(**edges, **columns).mark_rect(strokeWidth=0).encode(x, y, x2="x2:Q", y2="y2:Q")
