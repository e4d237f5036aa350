"""Figures of runs: the curves of one, and a curve of each of many."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import altair as alt

from mlplab.figures import Curve
from mlplab.figures.style import (
    BASELINE,
    FREE,
    NETWORK,
    REFERENCE,
    Figure,
    by_series,
    chart_of,
    framed,
    rows_of,
)
from mlplab.files import Plain

Curves = Mapping[str, Curve]

LOSSES = ("train/loss", "val/loss")

MOST_TOOLTIPS = 6000  # points of the curves of many runs up to which each has a tooltip: they slow a page

FAR = 30
"""The ratio of the largest to the smallest value from which an axis is logarithmic."""


def spreads_far(values: Collection[float]) -> bool:
    """Whether values are positive and spread so far that a linear axis would hide the small ones."""
    return bool(values) and min(values) > 0 and max(values) > FAR * min(values)


def _x(curves: Iterable[Curve]) -> alt.X:
    """The epochs, at whole numbers: Vega keeps `tickMinStep` only if there are no more ticks than steps."""
    epochs = {epoch for curve in curves for epoch, _ in curve}
    steps = max(epochs, default=1) - min(epochs, default=1)
    axis = alt.Axis(format="d", tickCount=min(7, max(1, steps)))
    return alt.X("epoch:Q", title="epoch", axis=axis, scale=alt.Scale(zero=False, nice=False))


def _y(field: str, title: str, values: Collection[float]) -> alt.Y:
    scale = alt.Scale(type="log", nice=False) if spreads_far(values) else FREE
    return alt.Y(f"{field}:Q", title=title, scale=scale)


def _values(curves: Curves) -> list[float]:
    return [value for _, value in chain(*curves.values())]


def rounded(value: float) -> float:
    """A value with the digits that a chart can show: specifications hold many of them."""
    return float(f"{value:.5g}")


def _rows(name: str, curves: Mapping[Any, Curve]) -> list[Plain]:
    return [
        {name: key, "epoch": epoch, "value": rounded(value)}
        for key, curve in curves.items()
        for epoch, value in curve
    ]


def learning_curves(curves: Curves, best_epoch: int | None = None) -> Figure:
    """The curves of a run in one chart, with the best epoch marked."""
    [first, *others] = curves
    legend = alt.Legend(orient="top", title=None, symbolType="stroke")
    title, series = "loss" if others else first, by_series("curve", list(curves), "strokeDash", legend)
    x = _x(curves.values())
    points = {"opacity": 0, "size": 120}  # that show a tooltip: lines are thin
    lines = alt.Chart(rows_of(_rows("curve", curves))).mark_line(strokeWidth=1.8, point=points)
    tooltip = ["curve:N", "epoch:Q", "value:Q"]
    lines = lines.encode(x, _y("value", title, _values(curves)), tooltip=tooltip, **series)
    subtitle = f"{' and '.join(curves)} of each epoch" if others else "of each epoch; of ensembles, the mean"
    marks = []
    if best_epoch is not None:
        subtitle += f"; dashed: the best epoch, {best_epoch}"
        marks = [chart_of(epoch=[best_epoch]).mark_rule(color=REFERENCE, strokeDash=[4, 3]).encode(x)]
    return framed(
        *marks, lines, title="Loss" if others else first, subtitle=subtitle, description=f"{title} by epoch"
    )


def charts_of_run(curves: Curves, monitor: str, best_epoch: int | None) -> list[Any]:
    """The losses of a run, and the monitored metric if it is another."""
    groups = (LOSSES, tuple({monitor} - {*LOSSES}))
    shown = ({name: curves[name] for name in names if name in curves} for names in groups)
    return [learning_curves(group, best_epoch) for group in shown if group]


def curves_of_runs(
    metric: str, curves: Curves, best: Sequence[str] = (), pruned: Sequence[str] = ()
) -> Figure:
    """One curve of many runs, with those of the best configuration thick and in front."""
    colours = dict.fromkeys(pruned, BASELINE) | dict.fromkeys(best, NETWORK)
    names = [
        {"run": number, "name": name, "colour": colours.get(name, REFERENCE)}
        for number, name in enumerate(curves)
    ]
    rows = _rows("run", dict(enumerate(curves.values())))
    named = alt.LookupData(rows_of(names), key="run", fields=["name", "colour"])  # or rows would repeat names
    base = alt.Chart(rows_of(rows)).transform_lookup(lookup="run", from_=named)
    base = base.encode(_x(curves.values()), _y("value", metric, _values(curves)), alt.Detail("run:N"))
    base = base.encode(tooltip=[alt.Tooltip("name:N", title="run"), "epoch:Q", "value:Q"])
    points = sum(map(len, curves.values())) <= MOST_TOOLTIPS and {"opacity": 0, "size": 60}
    lines = [
        base.transform_filter(f"datum.colour == '{colour}'").mark_line(
            color=colour, strokeWidth=width, point=points
        )
        for colour, width in ((BASELINE, 1), (REFERENCE, 1), (NETWORK, 2))
        if any(name["colour"] == colour for name in names)  # Vega warns of a layer without rows
    ]
    subtitle = "by epoch" + "; pruned runs are orange" * bool(pruned)
    return framed(
        *lines,
        title=f"{metric} of every run",
        subtitle=subtitle + "; the best configuration is blue" * bool(best),
        description=f"Curves: {metric} of each run by epoch",
    )
