"""Curves of training: those of one run, and one curve of many runs."""

from collections.abc import Mapping, Sequence

import altair as alt

from mlplab.figures.scales import rounded, scale_of
from mlplab.figures.style import HEIGHT, NETWORK, REFERENCE, SERIES, WIDTH, Figure, rows_of

Curve = Sequence[tuple[int, float]]
"""Points: the epoch, counted from 1, and a finite value."""

AXIS, EPOCHS = alt.Axis(format="d", tickMinStep=1), alt.Scale(zero=False, nice=False)
"""The axis and the scale of epochs."""


def learning_curves(curves: Mapping[str, Curve], best_epoch: int | None = None) -> Figure:
    """The curves of a run in one chart, with the best epoch marked. Hovering shows the nearest epoch."""
    rows = [
        {"epoch": epoch, "curve": name, "value": rounded(value)}
        for name, curve in curves.items()
        for epoch, value in curve
    ]
    legend = alt.Legend(title=None, orient="top", symbolType="stroke") if len(curves) > 1 else None
    scale = alt.Scale(domain=list(curves), range=list(SERIES[: len(curves)]))
    last = max(epoch for curve in curves.values() for epoch, _ in curve)
    base = alt.Chart(rows_of(rows)).encode(
        x=alt.X("epoch:Q", title="epoch", axis=AXIS, scale=EPOCHS),
        y=alt.Y(
            "value:Q",
            title=next(iter(curves)) if len(curves) == 1 else "loss",
            scale=scale_of([value for curve in curves.values() for _, value in curve]),
        ),
        color=alt.Color("curve:N", scale=scale, legend=legend),
    )
    near = alt.selection_point(nearest=True, on="pointerover", fields=["epoch"], empty=False)
    points = (
        base.mark_point(filled=True, size=50)
        .encode(
            opacity=alt.condition(near, alt.value(1), alt.value(0)),
            tooltip=[
                alt.Tooltip("curve:N"),
                alt.Tooltip("epoch:Q"),
                alt.Tooltip("value:Q", format=".4~g"),
            ],
        )
        .add_params(near)
    )
    lines = base.mark_line(strokeWidth=1.8).encode(
        strokeDash=alt.StrokeDash("curve:N", scale=alt.Scale(domain=list(curves)), legend=legend)
    )
    if len(curves) > 1:
        title = alt.Title("Loss", subtitle=f"{' and '.join(curves)} of each epoch")
    else:
        title = alt.Title(next(iter(curves)), subtitle="of each epoch; its best value decides")
    marks = _best_epoch(best_epoch, last)
    return alt.layer(*marks, lines, points, title=title, width=WIDTH, height=HEIGHT)


def _best_epoch(epoch: int | None, last: int) -> list[alt.Chart]:
    """A vertical line at the best epoch, with its number on the side that has more space."""
    if epoch is None:
        return []
    data = rows_of([{"epoch": epoch, "text": f"best epoch {epoch}"}])
    at = alt.Chart(data).encode(x=alt.X("epoch:Q", scale=EPOCHS))
    if 2 * epoch > last:
        text = at.mark_text(align="right", baseline="top", dx=-5, y=4, fontSize=11)
    else:
        text = at.mark_text(align="left", baseline="top", dx=5, y=4, fontSize=11)
    return [at.mark_rule(color=REFERENCE, strokeDash=[4, 3]), text.encode(text="text:N")]


def curves_of_runs(metric: str, curves: Mapping[str, Curve], best: Sequence[str] = ()) -> Figure:
    """One curve of many runs, with those of the best configuration in front."""
    chosen = set(best)
    names = [{"run": number, "name": name, "best": name in chosen} for number, name in enumerate(curves)]
    rows = [
        {"run": number, "epoch": epoch, "value": rounded(value)}
        for number, curve in enumerate(curves.values())
        for epoch, value in curve
    ]
    named = alt.LookupData(rows_of(names), key="run", fields=["name", "best"])
    base = (
        alt.Chart(rows_of(rows))
        .transform_lookup(lookup="run", from_=named)
        .encode(
            x=alt.X("epoch:Q", title="epoch", axis=AXIS, scale=EPOCHS),
            y=alt.Y(
                "value:Q",
                title=metric,
                scale=scale_of([value for curve in curves.values() for _, value in curve]),
            ),
            detail="run:N",
            tooltip=[
                alt.Tooltip("name:N", title="run"),
                alt.Tooltip("epoch:Q"),
                alt.Tooltip("value:Q", title=metric, format=".4~g"),
            ],
        )
    )
    subtitle = "by epoch; the best configuration is blue" if chosen else "by epoch"
    return alt.layer(
        base.transform_filter("!datum.best").mark_line(color=REFERENCE, strokeWidth=1, opacity=0.45),
        base.transform_filter("datum.best").mark_line(color=NETWORK, strokeWidth=2),
        title=alt.Title(f"{metric} of every run", subtitle=subtitle),
        width=WIDTH,
        height=HEIGHT,
    )
