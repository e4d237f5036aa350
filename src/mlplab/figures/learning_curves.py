"""Curves of training: those of one run, and one curve of many runs."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import altair as alt

from mlplab.figures.scales import rounded, scale_of
from mlplab.figures.style import HEIGHT, NETWORK, ON_TOP, REFERENCE, WIDTH, Figure, chart_of, rows_of

Curve = Sequence[tuple[int, float]]
"""Points: the epoch, counted from 1, and a finite value."""

EPOCH = alt.X(
    "epoch:Q",
    title="epoch",
    axis=alt.Axis(format="d", tickMinStep=1),
    scale=alt.Scale(zero=False, nice=False),
)


def _y(title: str, curves: Iterable[Curve]) -> alt.Y:
    return alt.Y("value:Q", title=title, scale=scale_of([value for _, value in chain(*curves)]))


def learning_curves(curves: Mapping[str, Curve], best_epoch: int | None = None) -> Figure:
    """The curves of a run in one chart, with the best epoch marked. Hovering shows the nearest epoch."""
    rows = [
        {"epoch": epoch, "curve": name, "value": rounded(value)}
        for name, curve in curves.items()
        for epoch, value in curve
    ]
    [first, *others] = curves
    y, legend = _y("loss" if others else first, curves.values()), ON_TOP if others else None
    names = alt.Scale(domain=list(curves))
    base = alt.Chart(rows_of(rows)).encode(EPOCH, y, alt.Color("curve:N", scale=names, legend=legend))
    near = alt.selection_point(nearest=True, on="pointerover", fields=["epoch"], empty=False)
    points = base.mark_point(filled=True, size=50).add_params(near)
    points = points.encode(
        opacity=alt.condition(near, alt.value(1), alt.value(0)), tooltip=["curve:N", "epoch:Q", "value:Q"]
    )
    lines = base.mark_line(strokeWidth=1.8).encode(alt.StrokeDash("curve:N", scale=names, legend=legend))
    subtitle = f"{' and '.join(curves)} of each epoch" if others else "of each epoch; its best value decides"
    marks = []
    if best_epoch is not None:  # its number on the side that has more space
        is_late = 2 * best_epoch > max(epoch for epoch, _ in chain(*curves.values()))
        at = chart_of(epoch=[best_epoch], text=f"best epoch {best_epoch}").encode(EPOCH)
        dx = -5 if is_late else 5
        text = at.mark_text(align="right" if is_late else "left", baseline="top", dx=dx, y=4, fontSize=11)
        marks = [at.mark_rule(color=REFERENCE, strokeDash=[4, 3]), text.encode(text="text:N")]
    title = alt.Title("Loss" if others else first, subtitle=subtitle)
    return alt.layer(*marks, lines, points, title=title, width=WIDTH, height=HEIGHT)


def curves_of_runs(metric: str, curves: Mapping[str, Curve], best: Sequence[str] = ()) -> Figure:
    """One curve of many runs, with those of the best configuration in front."""
    names = [{"run": number, "name": name, "best": name in best} for number, name in enumerate(curves)]
    rows = [
        {"run": number, "epoch": epoch, "value": rounded(value)}
        for number, curve in enumerate(curves.values())
        for epoch, value in curve
    ]
    named = alt.LookupData(rows_of(names), key="run", fields=["name", "best"])  # or rows would repeat names
    base = alt.Chart(rows_of(rows)).transform_lookup(lookup="run", from_=named)
    base = base.encode(EPOCH, _y(metric, curves.values()), alt.Detail("run:N"))
    base = base.encode(tooltip=[alt.Tooltip("name:N", title="run"), "epoch:Q", "value:Q"])
    subtitle = "by epoch; the best configuration is blue" if best else "by epoch"
    return alt.layer(
        base.transform_filter("!datum.best").mark_line(color=REFERENCE, strokeWidth=1, opacity=0.45),
        base.transform_filter("datum.best").mark_line(color=NETWORK, strokeWidth=2),
        title=alt.Title(f"{metric} of every run", subtitle=subtitle),
        width=WIDTH,
        height=HEIGHT,
    )
