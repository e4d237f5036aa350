"""Which columns matter for predictions, and how predictions depend on them."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from mlplab.figures.style import FREE, NETWORK, REFERENCE, SERIES, WIDTH, Figure, chart_of

MAX_COLUMNS = 20
"""The most columns in a figure of importance."""

MAX_TARGETS = 4
"""The most targets in a figure of partial dependence; of classes, as many as there are colours."""

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
    return alt.layer(
        chart.mark_bar(color=NETWORK).encode(x),
        whiskers.encode(x="low:Q", x2="high:Q"),
        width=WIDTH,
        height=18 * len(frame),  # a step would not do on pages
        title=alt.Title("Permutation importance", subtitle=subtitle),
        description=f"Bars: the increase of the {error} when a column is shuffled. Largest: {largest}.",
    )


def partial_dependence(
    dependences: Sequence[Dependence], *, of_classes: bool, notes: Sequence[str] = ()
) -> Figure:
    """Small charts, one for each column: mean predictions at its values.

    Several targets have a row of charts each. Classes share the charts; the second of two stands for both.

    Args:
        dependences: at least one.
        of_classes: whether the predictions are probabilities of classes.
        notes: lines about the rows.
    """
    names = list(dependences[0]["predictions"])
    subtitle = ["mean prediction if all rows had the same value", *notes]
    most = len(SERIES) if of_classes else MAX_TARGETS
    if len(names) > most:
        kind = "classes, whose probabilities vary most" if of_classes else "targets"
        subtitle.append(f"{most} of {len(names)} {kind}")
    if not of_classes:
        rows = {f"mean prediction of {name}": [name] for name in names[:most]}
    elif len(names) == 2:
        rows = {f"mean probability of {names[1]}": names[1:]}
    else:
        rows = {"mean probability": _most_varying(dependences, names, most)}
    columns = ", ".join(dependence["column"] for dependence in dependences)
    return alt.vconcat(
        *(
            alt.concat(
                *(_panel(dependence, outputs, title) for dependence in dependences),
                columns=2 if len(rows) == 1 else len(dependences),
            ).resolve_scale(y="shared")
            for title, outputs in rows.items()
        ),
        title=alt.Title("Partial dependence", subtitle=subtitle),
        description=f"Small charts of the mean prediction at the values of one column each: {columns}.",
    )


def _most_varying(dependences: Sequence[Dependence], names: Sequence[str], most: int) -> list[str]:
    """The classes whose probabilities vary most, in their order."""

    def span(name: str) -> float:
        of_name = [dependence["predictions"][name] for dependence in dependences]
        return max(max(values) - min(values) for values in of_name)

    return sorted(sorted(names, key=span, reverse=True)[:most], key=names.index)


def _panel(dependence: Dependence, outputs: Sequence[str], title: str) -> Any:
    """Mean predictions at the values of a column: points, and for numbers lines between them."""
    numeric, values, name = dependence["kind"] == "numeric", dependence["values"], dependence["column"]
    predictions = [prediction for output in outputs for prediction in dependence["predictions"][output]]
    classes = [output for output in outputs for _ in values]
    chart = chart_of(value=[*values] * len(outputs), prediction=predictions, output=classes)
    if numeric:
        x = alt.X("value:Q", title=name, scale=FREE, axis=alt.Axis(tickCount=5))
    else:
        x = alt.X("value:N", title=name, sort=None, axis=alt.Axis(labelLimit=80))
    several = len(outputs) > 1
    legend = alt.Legend(title="class") if several else None
    names = alt.Scale(domain=list(outputs))
    color, shape = (kind("output:N", scale=names, legend=legend) for kind in (alt.Color, alt.Shape))
    y = alt.Y("prediction:Q", title=title, scale=FREE, axis=ALIGNED)
    chart = chart.encode(
        x, y, color, tooltip=[f"value:{'Q' if numeric else 'N'}", "prediction:Q", *["output:N"] * several]
    )
    points = chart.mark_point(filled=True, size=30 if numeric else 60, opacity=1).encode(shape)
    lines = [chart.mark_line()] * numeric
    return alt.layer(*lines, points, width=PANEL_WIDTH, height=PANEL_HEIGHT)
