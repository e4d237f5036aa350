"""Which columns matter for predictions, and how predictions depend on them."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from mlplab.figures.style import FREE, NETWORK, REFERENCE, SERIES, WIDTH, Figure, by_series, chart_of, framed

MAX_COLUMNS = 20
"""The most columns in a figure of importance."""

PANEL_WIDTH, PANEL_HEIGHT = 230, 150
"""Pixels of one of several small charts."""

ALIGNED = alt.Axis(minExtent=45)
"""A vertical axis with room for labels of five digits, so that charts below each other are aligned."""

Dependence = Mapping[str, Any]
"""A partial dependence as in importance.json: `column`, `kind`, `values` and `predictions`."""


def importance(columns: Sequence[tuple[str, float, float]], error: str, basis: Sequence[str]) -> Figure:
    """Bars of the increase of the error, with whiskers of a standard deviation.

    Args:
        columns: name, mean and standard deviation, the most important first.
        error: the name of the error, with its unit.
        basis: rows and shuffles in words, and further notes: a line each.
    """
    frame = pl.DataFrame(columns, ["column", "mean", "sd"], orient="row").head(MAX_COLUMNS)
    low, high = frame["mean"] - frame["sd"], frame["mean"] + frame["sd"]
    subtitle = ["increase of the error when the values of a column are shuffled", *basis]
    if len(columns) > MAX_COLUMNS:
        subtitle.append(f"the first {MAX_COLUMNS} of {len(columns):,} columns")
    largest = ", ".join(f"{name} {mean:.3g}" for name, mean, _ in columns[:3])
    chart = chart_of(column=frame["column"], mean=frame["mean"], low=low, high=high).encode(
        alt.Y("column:N", sort=None, title="column", axis=alt.Axis(labelLimit=160)),
        tooltip=["column:N", "mean:Q", "low:Q", "high:Q"],
    )
    x = alt.X("mean:Q", title=f"increase of the {error} (mean ± SD)", scale=alt.Scale(nice=False))
    whiskers = chart.mark_rule(color=REFERENCE, strokeWidth=3)
    return framed(
        chart.mark_bar(color=NETWORK).encode(x),
        whiskers.encode(x="low:Q", x2="high:Q"),
        title="Permutation importance",
        subtitle=subtitle,
        description=f"Bars: the increase of the {error} when a column is shuffled. Largest: {largest}.",
        size=(WIDTH, 18 * len(frame)),  # a step would not do on pages
    )


def partial_dependence(
    dependences: Sequence[Dependence], *, of_classes: bool, notes: Sequence[str] = ()
) -> Figure:
    """Small charts, one for each column: mean predictions at its values.

    They show the first target, or probabilities of classes; the second of two classes stands for both.

    Args:
        dependences: at least one.
        of_classes: whether the predictions are probabilities of classes.
        notes: lines about the rows.
    """
    names = list(dependences[0]["predictions"])
    subtitle = ["mean prediction if all rows had the same value", *notes]
    shown = names[:1] if not of_classes else names[1:] if len(names) == 2 else names[: len(SERIES)]
    if len(names) > len(shown) and len(names) != 2 * of_classes:
        kind = "classes" if of_classes else "targets"
        subtitle.append(f"the first of {len(names)} {kind}: importance.json has all")
    what = "mean probability" if of_classes else "mean prediction"
    title = f"{what} of {shown[0]}" if len(shown) == 1 else what
    columns = ", ".join(dependence["column"] for dependence in dependences)
    panels = (_panel(dependence, shown, title) for dependence in dependences)
    return alt.concat(
        *panels,
        columns=2,
        title=alt.Title("Partial dependence", subtitle=subtitle),
        description=f"Small charts of the mean prediction at the values of one column each: {columns}.",
    ).resolve_scale(y="shared")


def _panel(dependence: Dependence, outputs: Sequence[str], title: str) -> Any:
    """Mean predictions at the values of a column: points, and for numbers lines between them."""
    numeric, values, name = dependence["kind"] == "numeric", dependence["values"], dependence["column"]
    chart = chart_of(
        value=[*values] * len(outputs),
        prediction=[prediction for output in outputs for prediction in dependence["predictions"][output]],
        output=[output for output in outputs for _ in values],
    )
    if numeric:
        x = alt.X("value:Q", title=name, scale=FREE, axis=alt.Axis(tickCount=5))
    else:
        x = alt.X("value:N", title=name, sort=None, axis=alt.Axis(labelLimit=80))
    of_class = by_series("output", outputs, legend=alt.Legend(title="class"))
    y = alt.Y("prediction:Q", title=title, scale=FREE, axis=ALIGNED)
    chart = chart.encode(x, y, of_class["color"], tooltip=[x.shorthand, "prediction:Q", "output:N"])
    points = chart.mark_point(filled=True, size=30 if numeric else 60, opacity=1).encode(**of_class)
    lines = [chart.mark_line()] * numeric
    return alt.layer(*lines, points, width=PANEL_WIDTH, height=PANEL_HEIGHT)
