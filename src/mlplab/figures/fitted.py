"""What a network has learned of one or two columns: a curve, a surface, or the borders of classes."""

from collections.abc import Sequence

import altair as alt
import numpy as np
from jaxtyping import Float64, Int64

from mlplab.data.class_labels import predicted_classes
from mlplab.data.splits.split import sample_rows
from mlplab.figures.scored_rows import ScoredRows
from mlplab.figures.style import BASELINE, FREE, MOST_POINTS, NETWORK, Figure, by_series, chart_of, framed

CURVE, SURFACE = 200, 50
"""Values of a column at which a curve is drawn, and of each of two columns for a surface."""

OVERLAP = 0.1
"""Of opaque cells, as a share of their size, or there would be thin gaps between them."""


Columns = Float64[np.ndarray, "row column"]
Grid = Float64[np.ndarray, "value column"]
Predicted = Float64[np.ndarray, "value output"]


def grid_over(x: Columns) -> Grid:
    """Evenly spaced values of one or two columns, from the lowest to the highest of each."""
    count = CURVE if x.shape[1] == 1 else SURFACE
    axes = np.linspace(np.nanmin(x, 0), np.nanmax(x, 0), count).T
    return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], 1)


def fitted(
    columns: Sequence[str], scored: ScoredRows, grid: Grid, predicted: Predicted, x: Columns
) -> Figure:
    """Predictions at evenly spaced values of one or two columns, and rows of the table.

    Classes need two columns.

    Args:
        columns: their names.
        predicted: the target at the values of the grid, or the probability of each class.
        x: the columns of the rows.
    """
    target, classes = scored.target, scored.classes

    def named(numbers: Int64[np.ndarray, " row"]) -> list[str]:
        return [classes[number] for number in numbers]

    rows = sample_rows(np.flatnonzero(~np.isnan(x).any(1)), MOST_POINTS)
    dots = chart_of(
        **dict(zip("xy", x[rows].T, strict=False)),
        target=named(scored.actual[rows]) if classes else scored.actual[rows],
    )
    tooltip = ["x:Q", f"target:{'N' if classes else 'Q'}", "y:Q"]
    if len(columns) == 1:
        line = chart_of(x=grid[:, 0], target=predicted[:, 0]).mark_line(color=NETWORK, strokeWidth=2.5)
        points = dots.mark_point(size=24, opacity=0.5, color=BASELINE).encode(tooltip=tooltip[:2])
        at = alt.X("x:Q", title=columns[0], scale=FREE), alt.Y("target:Q", title=target, scale=FREE)
        layers = [points.encode(*at), line.encode(*at)]
    elif classes:
        series = by_series("target", classes, legend=alt.Legend(title=target))
        share = alt.Opacity("share:Q", legend=None, scale=alt.Scale(range=[0.1, 0.5]))
        labels = named(predicted_classes(predicted, scored.threshold))
        cells = _cells(grid, columns, 0.0, target=labels, share=predicted.max(1))
        points = dots.mark_point(size=36, strokeWidth=1.5)
        points = points.encode(x="x:Q", y="y:Q", tooltip=tooltip, **series)
        layers = [cells.encode(series["color"], share), points]
    else:
        color = alt.Color("target:Q", title=target, scale=alt.Scale(scheme="viridis"))
        points = dots.mark_point(filled=True, size=32, stroke="white", strokeWidth=0.8, opacity=1)
        points = points.encode(color, x="x:Q", y="y:Q", tooltip=tooltip)
        layers = [_cells(grid, columns, OVERLAP, target=predicted[:, 0]).encode(color), points]
    over = " and ".join(columns)
    return framed(
        *layers,
        title=f"What the network has learned: {target} over {over}",
        subtitle="points: test rows",
        description=f"Predicted {target} over {over}, and the test rows",
    )


def _cells(grid: Grid, names: Sequence[str], overlap: float, **columns: object) -> alt.Chart:
    """A rectangle around each value of a grid of two columns."""
    edges: dict[str, Float64[np.ndarray, " value"]] = {}
    for axis, values in zip("xy", grid.T, strict=True):
        widths = np.diff(np.unique(values))
        half = (1 + overlap) * (widths[0] if len(widths) else 1) / 2
        edges |= {axis: values - half, f"{axis}2": values + half}
    scale = alt.Scale(zero=False, nice=False)
    x, y = alt.X("x:Q", title=names[0], scale=scale), alt.Y("y:Q", title=names[1], scale=scale)
    return chart_of(**edges, **columns).mark_rect(strokeWidth=0).encode(x, y, x2="x2:Q", y2="y2:Q")
