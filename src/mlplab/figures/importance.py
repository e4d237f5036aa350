"""Which columns matter for predictions, and how predictions depend on them."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from mlplab.figures.style import NETWORK, REFERENCE, SERIES, WIDTH, Figure, rows_of

MAX_COLUMNS = 20
"""The most columns in a figure of importance."""

BAR = 18
"""Pixels of a bar and the gap below it."""

MAX_TARGETS = 4
"""The most targets in a figure of partial dependence; of classes, as many as there are colours."""

SHAPES = ("circle", "square", "triangle-up", "diamond")
"""Points of classes, which take turns."""

PANEL_WIDTH, PANEL_HEIGHT = 230, 150
"""Pixels of one of several small charts."""

ALIGNED = alt.Axis(minExtent=45)
"""A vertical axis with room for labels of five digits, so that charts below each other are aligned."""

FEW = 4
"""The most categories whose names are written horizontally."""

Dependence = Mapping[str, Any]
"""A partial dependence as in importance.json: `column`, `kind`, `values` and `predictions`."""


def importance(columns: Sequence[tuple[str, float, float]], error: str, basis: Sequence[str]) -> Figure:
    """Bars of the increase of the error, with whiskers of a standard deviation.

    Args:
        columns: name, mean and standard deviation, the most important first.
        error: the name of the error, with its unit.
        basis: rows and shuffles in words, and further notes: a line each.
    """
    shown = [
        {"column": name, "mean": mean, "low": mean - sd, "high": mean + sd}
        for name, mean, sd in columns[:MAX_COLUMNS]
    ]
    subtitle = ["increase of the error when the values of a column are shuffled", *basis]
    if len(columns) > len(shown):
        subtitle.append(f"the first {len(shown)} of {len(columns):,} columns")
    largest = ", ".join(f"{name} {mean:.3g}" for name, mean, _ in columns[:3])
    chart = alt.Chart(rows_of(shown)).encode(
        alt.Y(
            "column:N",
            sort=None,
            title="column",
            axis=alt.Axis(labelLimit=160),
            scale=alt.Scale(paddingInner=0.25),
        )
    )
    axis = f"increase of the {error} (mean ± SD)"
    bars = chart.mark_bar(color=NETWORK).encode(alt.X("mean:Q", title=axis, scale=alt.Scale(nice=False)))
    whiskers = chart.mark_rule(color=REFERENCE, strokeWidth=3).encode(alt.X("low:Q"), alt.X2("high:Q"))
    return alt.layer(bars, whiskers).properties(
        width=WIDTH,
        height=BAR * len(shown),
        title=alt.TitleParams("Permutation importance", subtitle=subtitle),
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
    if not of_classes:
        shown, groups = MAX_TARGETS, {f"mean prediction of {name}": [name] for name in names[:MAX_TARGETS]}
    elif len(names) == 2:
        shown, groups = 2, {f"mean probability of {names[1]}": names[1:]}
    else:
        shown, groups = len(SERIES), {"mean probability": _most_varying(dependences, names, len(SERIES))}
    if len(names) > shown:
        which = "classes, whose probabilities vary most" if of_classes else "targets"
        subtitle.append(f"{shown} of {len(names)} {which}")
    rows = []
    for title, outputs in groups.items():
        panels = [_panel(each, outputs, title, _range(dependences, outputs)) for each in dependences]
        rows.append(alt.concat(*panels, columns=2 if len(groups) == 1 else len(panels)))
    columns = ", ".join(each["column"] for each in dependences)
    return alt.vconcat(
        *rows,
        title=alt.TitleParams("Partial dependence", subtitle=subtitle),
        description=f"Small charts of the mean prediction at the values of one column each: {columns}.",
    )


def _most_varying(dependences: Sequence[Dependence], names: Sequence[str], most: int) -> list[str]:
    """The classes whose probabilities vary most, in their order."""

    def span(name: str) -> float:
        return max(max(each["predictions"][name]) - min(each["predictions"][name]) for each in dependences)

    return sorted(sorted(names, key=span, reverse=True)[:most], key=names.index)


def _range(dependences: Sequence[Dependence], outputs: Sequence[str]) -> list[float]:
    """The range of predictions in all charts of a row, so that their heights can be compared."""
    values = [value for each in dependences for name in outputs for value in each["predictions"][name]]
    low, high = min(values), max(values)
    pad = 0 if low < high else abs(low) / 10 or 1
    return [low - pad, high + pad]


def _panel(
    dependence: Dependence, outputs: Sequence[str], title: str, domain: list[float]
) -> alt.LayerChart | alt.FacetChart:
    """Mean predictions at the values of a column: points, and for numbers lines between them."""
    numeric, values, name = dependence["kind"] == "numeric", dependence["values"], dependence["column"]
    points = [
        {"value": value, "prediction": prediction, "output": output}
        for output in outputs
        for value, prediction in zip(values, dependence["predictions"][output], strict=True)
    ]
    if numeric:
        x = alt.X("value:Q", title=name, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5))
    else:
        angle, limit = (0, PANEL_WIDTH // FEW) if len(values) <= FEW else (-90, 80)
        axis = alt.Axis(labelAngle=angle, labelLimit=limit)
        x = alt.X("value:N", title=name, sort=None, axis=axis)
    y = alt.Y("prediction:Q", title=title, scale=alt.Scale(domain=domain, nice=True), axis=ALIGNED)
    chart = alt.Chart(rows_of(points)).encode(x, y)
    size = 30 if numeric else 60
    if len(outputs) == 1:
        lines = chart.mark_line(color=NETWORK)
        marks = chart.mark_point(color=NETWORK, filled=True, size=size, opacity=1)
    else:
        color = alt.Scale(domain=[*outputs], range=[*SERIES])
        shape = alt.Scale(domain=[*outputs], range=[*SHAPES])
        chart = chart.encode(alt.Color("output:N", title="class", sort=None, scale=color))
        lines, marks = chart.mark_line(), chart.mark_point(filled=True, size=size, opacity=1)
        marks = marks.encode(alt.Shape("output:N", title="class", sort=None, scale=shape))
    return alt.layer(*[lines] * numeric, marks).properties(width=PANEL_WIDTH, height=PANEL_HEIGHT)
