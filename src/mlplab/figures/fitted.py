"""What a network has learned of one or two columns: a curve, a surface, or the borders of classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
from jaxtyping import Float64, Int64

from mlplab.figures.style import HEIGHT, MOST_POINTS, NETWORK, REFERENCE, SERIES, WIDTH, Figure, rows_of

OVERLAP = 0.1
"""Of opaque cells, as a share of their size, or there would be thin gaps between them."""

CURVE, SURFACE = 200, 50
"""Values of a column at which a curve is drawn, and of each of two columns for a surface."""

OTHER = "(other classes)"

SHAPES = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "cross",
    "triangle-down",
    "triangle-left",
    "triangle-right",
    "stroke",
)


@dataclass(frozen=True)
class Fitted:
    """Predictions at evenly spaced values of one or two columns, and rows of the table.

    Args:
        columns: their names.
        target: the name of the target.
        classes: the classes of the target; empty for numbers.
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

    def largest(self) -> list[int]:
        """The numbers of the classes that are told apart: those with the most rows."""
        rows = np.bincount(self.y.astype(np.int64), minlength=len(self.classes))
        return sorted(np.argsort(-rows, kind="stable")[: len(SERIES)].tolist())

    def class_names(self) -> list[str]:
        """The name of each class, or `OTHER`."""
        largest = self.largest()
        return [name if k in largest else OTHER for k, name in enumerate(self.classes)]

    def shown_classes(self) -> list[str]:
        """The names that are shown, `OTHER` last."""
        largest = self.largest()
        return [self.classes[k] for k in largest] + [OTHER] * (len(largest) < len(self.classes))


def grid_over(x: Float64[np.ndarray, "row column"]) -> Float64[np.ndarray, "value column"]:
    """Evenly spaced values of one or two columns, from the lowest to the highest of each."""
    ends = np.nanmin(x, 0), np.nanmax(x, 0)
    count = CURVE if x.shape[1] == 1 else SURFACE
    axes = [np.linspace(low, high, count) for low, high in zip(*ends, strict=True)]
    return np.stack([each.ravel() for each in np.meshgrid(*axes, indexing="ij")], 1)


def fitted(values: Fitted) -> Figure:
    """The figure of one or two columns."""
    several = len(values.columns) == 2
    drawn = {
        (False, False): _curve,
        (False, True): _probabilities,
        (True, False): _surface,
        (True, True): _borders,
    }[several, bool(values.classes)](values)
    over = " and ".join(values.columns)
    return drawn.properties(
        width=WIDTH,
        height=HEIGHT,
        title=alt.Title(
            f"What the network has learned: {values.target} over {over}", subtitle="points: test rows"
        ),
        description=f"Predicted {values.target} over {over}, and the test rows",
    )


def _curve(values: Fitted) -> Figure:
    line = [
        {"x": float(x), "y": float(y)} for x, y in zip(values.grid[:, 0], values.predicted[:, 0], strict=True)
    ]
    dots = [{"x": float(values.x[i, 0]), "y": float(values.y[i])} for i in _shown(values)]
    x = alt.X("x:Q", title=values.columns[0], scale=alt.Scale(zero=False))
    y = alt.Y("y:Q", title=values.target, scale=alt.Scale(zero=False))
    return alt.layer(
        alt.Chart(rows_of(dots))
        .mark_point(size=24, opacity=0.5, color=SERIES[1])
        .encode(x=x, y=y, tooltip=["x:Q", "y:Q"]),
        alt.Chart(rows_of(line)).mark_line(color=NETWORK, strokeWidth=2.5).encode(x=x, y=y),
    )


def _probabilities(values: Fitted) -> Figure:
    largest = values.largest()
    lines = [
        {"x": float(x), "probability": float(each[k]), "class": values.classes[k]}
        for x, each in zip(values.grid[:, 0], values.predicted, strict=True)
        for k in largest
    ]
    color, dash = _class_scales(values)
    names = values.class_names()
    ticks = [{"x": float(values.x[i, 0]), "class": names[int(values.y[i])]} for i in _shown(values)]
    x = alt.X("x:Q", title=values.columns[0], scale=alt.Scale(zero=False))
    y = alt.Y("probability:Q", scale=alt.Scale(domain=[0, 1]), title="probability")
    return alt.layer(
        alt.Chart(rows_of(lines)).mark_line(strokeWidth=2).encode(x=x, y=y, color=color, strokeDash=dash),
        alt.Chart(rows_of(ticks))
        .mark_tick(opacity=0.4, height=8, yOffset=-4)
        .encode(x=x, y=alt.datum(0), color=color),
    )


def _surface(values: Fitted) -> Figure:
    color = alt.Color("z:Q", title=values.target, scale=alt.Scale(scheme="viridis"))
    cells = [
        {**cell, "z": float(z)}
        for cell, z in zip(_cells(values, OVERLAP), values.predicted[:, 0], strict=True)
    ]
    dots = [
        {"x": float(values.x[i, 0]), "y": float(values.x[i, 1]), "z": float(values.y[i])}
        for i in _shown(values)
    ]
    return alt.layer(
        _rectangles(values, cells).encode(color=color),
        alt.Chart(rows_of(dots))
        .mark_point(filled=True, size=32, stroke="white", strokeWidth=0.8, opacity=1)
        .encode(x="x:Q", y="y:Q", color=color, tooltip=["x:Q", "y:Q", "z:Q"]),
    )


def _borders(values: Fitted) -> Figure:
    color, _ = _class_scales(values)
    names, shown = values.class_names(), values.shown_classes()
    shape = alt.Shape(
        "class:N", title=values.target, scale=alt.Scale(domain=shown, range=list(SHAPES[: len(shown)]))
    )
    cells = [
        {**cell, "class": names[int(each.argmax())], "probability": float(each.max())}
        for cell, each in zip(_cells(values), values.predicted, strict=True)
    ]
    dots = [
        {
            "x": float(values.x[i, 0]),
            "y": float(values.x[i, 1]),
            "class": names[int(values.y[i])],
        }
        for i in _shown(values)
    ]
    opacity = alt.Opacity(
        "probability:Q", scale=alt.Scale(domain=[1 / len(values.classes), 1], range=[0.1, 0.5]), legend=None
    )
    return alt.layer(
        _rectangles(values, cells).encode(color=color, opacity=opacity),
        alt.Chart(rows_of(dots))
        .mark_point(size=36, strokeWidth=1.5)
        .encode(x="x:Q", y="y:Q", color=color, shape=shape, tooltip=["class:N", "x:Q", "y:Q"]),
    )


def _cells(values: Fitted, overlap: float = 0.0) -> list[dict[str, float]]:
    """The cell around each value of a grid."""
    widths = [np.diff(np.unique(each)) for each in values.grid.T]
    half = [(1 + overlap) * (each[0] if len(each) else 1) / 2 for each in widths]
    return [
        {
            "left": float(x - half[0]),
            "right": float(x + half[0]),
            "low": float(y - half[1]),
            "high": float(y + half[1]),
        }
        for x, y in values.grid
    ]


def _rectangles(values: Fitted, cells: Sequence[Any]) -> alt.Chart:
    one, other = values.columns
    scale = alt.Scale(zero=False, nice=False)
    return (
        alt.Chart(rows_of(cells))
        .mark_rect(strokeWidth=0)
        .encode(
            x=alt.X("left:Q", title=one, scale=scale),
            x2="right:Q",
            y=alt.Y("low:Q", title=other, scale=scale),
            y2="high:Q",
        )
    )


def _class_scales(values: Fitted) -> tuple[alt.Color, alt.StrokeDash]:
    names = values.shown_classes()
    colors = [*SERIES[: len(values.largest())], REFERENCE][: len(names)]
    return (
        alt.Color("class:N", title=values.target, scale=alt.Scale(domain=names, range=colors)),
        alt.StrokeDash("class:N", title=values.target, scale=alt.Scale(domain=names)),
    )


def _shown(values: Fitted) -> Int64[np.ndarray, " shown"]:
    """The rows without missing values, or a random part of them."""
    rows = np.flatnonzero(~np.isnan(values.x).any(1))
    return (
        rows
        if len(rows) <= MOST_POINTS
        else np.random.default_rng(0).choice(rows, MOST_POINTS, replace=False)
    )
