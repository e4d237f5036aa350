"""Figures of runs: the curves of one, and of many a curve and their score over a key."""

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from statistics import median
from typing import Any, NamedTuple

import altair as alt

from mlplab.figures import Curve
from mlplab.figures.style import (
    BASELINE,
    FREE,
    MOST_POINTS,
    NETWORK,
    REFERENCE,
    Figure,
    by_series,
    chart_of,
    framed,
    label_angle,
    rows_of,
)
from mlplab.files import Plain

Curves = Mapping[str, Curve]

LOSSES = ("train/loss", "val/loss")

FAR = 30
"""The ratio of the largest to the smallest value from which an axis is logarithmic."""


class RunPoint(NamedTuple):
    """A finished run, its value of a key, and its value of the monitored metric."""

    run: str
    value: float | int | str
    score: float


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


def _rounded(value: float) -> float:
    """A value with the digits that a chart can show: specifications hold many of them."""
    return float(f"{value:.5g}")


def _rows(name: str, curves: Mapping[Any, Curve]) -> list[Plain]:
    return [
        {name: key, "epoch": epoch, "value": _rounded(value)}
        for key, curve in curves.items()
        for epoch, value in curve
    ]


def learning_curves(curves: Curves, best_epoch: int | None = None) -> Figure:
    """The curves of a run in one chart, with the best epoch marked."""
    [first, *others] = curves
    title, series = "loss" if others else first, by_series("curve", list(curves), "strokeDash")
    x = _x(curves.values())
    lines = alt.Chart(rows_of(_rows("curve", curves))).mark_line(strokeWidth=1.8)
    lines = lines.encode(x, _y("value", title, _values(curves)), **series)
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
    lines = [
        base.transform_filter(f"datum.colour == '{colour}'").mark_line(color=colour, strokeWidth=width)
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


def score_over(key: str, runs: Sequence[RunPoint], metric: str, best: str) -> Figure:
    """The metric of each run over one key. The best run of the best configuration is large."""
    shown = random.Random(0).sample(runs, min(len(runs), MOST_POINTS))
    rows = [{**run._asdict(), "score": _rounded(run.score), "best": run.run == best} for run in shown]
    dots = alt.Chart(rows_of(rows)).mark_point(filled=True, color=NETWORK, opacity=0.8)
    dots = dots.encode(
        x_of_key(key, [run.value for run in runs]),
        _y("score", metric, [run.score for run in runs]),  # a few very bad runs would hide the others
        size=alt.condition("datum.best", alt.value(160), alt.value(45)),
        tooltip=["run:N", alt.Tooltip("value:N", title=key), alt.Tooltip("score:Q", title=metric)],
    )
    return framed(
        dots,
        title=f"{metric} over {key}",
        subtitle=[f"{len(shown):,} of {len(runs):,} finished runs", "the best one is large"],
        description=f"Points: {metric} of each finished run over its value of {key}",
    )


def x_of_key(key: str, values: Sequence[float | int | str]) -> alt.X:
    """The horizontal axis of the field `value`: of numbers, or with a name for each value in order.

    It is of numbers if there are many.
    """
    distinct = set(values)
    numbers = [float(value) for value in distinct if not isinstance(value, str)]
    # Up to eight values are likely to have been typed, not sampled.
    if len(numbers) > 8 and len(numbers) == len(distinct):
        # The median of numbers from a linear scale is in the middle, even if the smallest is near zero.
        is_log = spreads_far(numbers) and median(numbers) < (min(numbers) + max(numbers)) / 4
        kind: Plain = {"type": "log"} if is_log else {"type": "linear", "zero": False}
        scale = alt.Scale(**kind, nice=False, padding=15)
        return alt.X("value:Q", title=key, axis=alt.Axis(format=".6~g", tickCount=5), scale=scale)
    texts = sorted((text for text in distinct if isinstance(text, str)), key=lambda text: (len(text), text))
    order: list[Any] = [*sorted(numbers), *texts]
    scale = alt.Scale(domain=order)  # sort= takes either numbers or text
    return alt.X("value:N", title=key, scale=scale, axis=alt.Axis(labelAngle=label_angle(order)))
