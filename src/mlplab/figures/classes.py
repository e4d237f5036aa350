"""Figures of predicted classes and their probabilities."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
from jaxtyping import Float64, Int64

from mlplab.figures.points import THIS
from mlplab.figures.style import (
    BASELINE,
    HEIGHT,
    NETWORK,
    RAMP,
    REFERENCE,
    SERIES,
    Figure,
    row_count,
    rows_of,
)

MOST_CLASSES = 20
"""Classes in a confusion matrix: those with the most rows."""

MOST_CURVES = 8
"""Classes with a curve of their own: those with the most rows."""

CURVE_POINTS = 200
"""Points of a curve at most."""

BINS = 10
"""Bins of a calibration curve, with equally many rows."""

CELL = 26
"""Pixels of a cell of the confusion matrix at least."""

Probabilities = Float64[np.ndarray, "row class"]


@dataclass(frozen=True)
class ClassPoints:
    """Test rows with a target that is a class.

    Args:
        target: its name.
        total: the number of all test rows.
        weight: the weight of each row.
        actual: the number of each row's class.
        predicted: the probability of each class.
        baseline: the probabilities of a baseline; None if there is none.
        baseline_name: its name.
    """

    target: str
    classes: Sequence[str]
    total: int
    weight: Float64[np.ndarray, " row"]
    actual: Int64[np.ndarray, " row"]
    predicted: Probabilities
    baseline: Probabilities | None = None
    baseline_name: str = ""

    def row_count(self) -> str:
        """How many rows there are."""
        return row_count(len(self.actual), self.total, self.weight)

    def models(self) -> Iterator[tuple[str, Probabilities]]:
        """The names of network and baseline, and their probabilities."""
        yield THIS, self.predicted
        if self.baseline is not None:
            yield self.baseline_name, self.baseline

    def largest(self, count: int) -> list[int]:
        """The numbers of the classes with the most rows, in the order of classes."""
        rows = np.bincount(self.actual, minlength=len(self.classes))
        return sorted(np.argsort(-rows, kind="stable")[:count].tolist())


def confusion(points: ClassPoints) -> Figure:
    """Rows by actual and predicted class."""
    chosen = points.largest(MOST_CLASSES)
    counts = np.zeros((len(points.classes), len(points.classes)))
    np.add.at(counts, (points.actual, points.predicted.argmax(1)), points.weight)
    names = [points.classes[each] for each in chosen]
    values = [
        {
            "actual": points.classes[i],
            "predicted": points.classes[j],
            "rows": round(float(counts[i, j]), 1),
            "share": float(counts[i, j] / (counts[i].sum() or 1)),
        }
        for i in chosen
        for j in chosen
    ]
    axis = alt.Axis(labelLimit=140)
    slanted = alt.Axis(labelLimit=140, labelAngle=-45)
    base = alt.Chart(rows_of(values)).encode(
        x=alt.X("predicted:N", sort=names, title=f"predicted {points.target}", axis=slanted),
        y=alt.Y("actual:N", sort=names, title=f"actual {points.target}", axis=axis),
        tooltip=[
            "actual:N",
            "predicted:N",
            "rows:Q",
            alt.Tooltip("share:Q", title="share of the actual class", format=".1%"),
        ],
    )
    cells = base.mark_rect().encode(
        color=alt.Color(
            "share:Q",
            title="share of the actual class",
            scale=alt.Scale(scheme=RAMP, domain=[0, 1]),
            legend=alt.Legend(format=".0%"),
        )
    )
    numbers = base.mark_text(fontSize=10 if len(chosen) > MOST_CURVES else 13).encode(
        text="rows:Q", color=alt.condition("datum.share > 0.5", alt.value("white"), alt.value("black"))
    )
    size = max(CELL * len(chosen), 220)
    shown = (
        ""
        if len(chosen) == len(points.classes)
        else f"the {len(chosen)} largest of {len(points.classes)} classes; "
    )
    return alt.layer(cells, numbers).properties(
        width=size,
        height=size,
        title=alt.Title("Confusion", subtitle=shown + points.row_count()),
        description=f"Matrix of the number of test rows by actual and predicted {points.target}",
    )


def roc_and_precision_recall(points: ClassPoints) -> Figure | None:
    """ROC and precision-recall curves: of the second of two classes, or of each class against the others.

    None if there is no class that some rows have and others have not.
    """
    from sklearn.metrics import precision_recall_curve, roc_curve

    binary = len(points.classes) == 2
    roc, recall = [], []
    for series, is_class, probability in _one_against_rest(points):
        fpr, tpr, _ = roc_curve(is_class, probability, sample_weight=points.weight)
        precision, found, _ = precision_recall_curve(is_class, probability, sample_weight=points.weight)
        roc += _curve(series, "false", fpr, "true", tpr)
        recall += _curve(series, "recall", found[::-1], "precision", precision[::-1])
    if not roc:
        return None
    names = list(dict.fromkeys(each["series"] for each in roc))
    of = f" of '{points.classes[1]}'" if binary else ""
    axes = {
        "false": "false positive rate",
        "true": "true positive rate",
        "recall": "recall",
        "precision": "precision",
    }
    charts = [
        _lines(roc, names, ("false", "true"), axes, f"ROC{of}"),
        _lines(recall, names, ("recall", "precision"), axes, f"Precision and recall{of}"),
    ]
    diagonal = alt.Chart(rows_of([{"a": 0}, {"a": 1}])).mark_line(color=REFERENCE, strokeDash=[5, 4])
    charts[0] = alt.layer(diagonal.encode(x="a:Q", y="a:Q"), charts[0])
    return alt.hconcat(*charts).properties(
        description=f"ROC curves and curves of precision over recall of {points.target}"
    )


def _one_against_rest(
    points: ClassPoints,
) -> Iterator[tuple[str, Int64[np.ndarray, " row"], Float64[np.ndarray, " row"]]]:
    """The name of a curve, which rows are of its class, and the probability of that."""
    if len(points.classes) == 2:
        chosen = [(name, 1, predicted) for name, predicted in points.models()]
    else:
        chosen = [(points.classes[each], each, points.predicted) for each in points.largest(MOST_CURVES)]
    for name, number, predicted in chosen:
        is_class = (points.actual == number).astype(np.int64)
        if 0 < is_class.sum() < len(is_class):
            yield name, is_class, predicted[:, number]


def _curve(
    series: str, x: str, xs: Float64[np.ndarray, " point"], y: str, ys: Float64[np.ndarray, " point"]
) -> list[dict[str, Any]]:
    thinned = np.unique(np.linspace(0, len(xs) - 1, CURVE_POINTS).astype(int))
    return [
        {"series": series, x: round(float(xs[i]), 4), y: round(float(ys[i]), 4), "order": int(i)}
        for i in thinned
    ]


def _lines(
    values: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    fields: tuple[str, str],
    axes: Mapping[str, str],
    title: str,
) -> Any:
    x, y = fields
    legend = alt.Legend(orient="bottom", title=None, columns=3, labelLimit=120)
    colors = [NETWORK, BASELINE] if THIS in names else list(SERIES)
    unit = alt.Scale(domain=[0, 1])
    return (
        alt.Chart(rows_of(values))
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X(f"{x}:Q", title=axes[x], scale=unit),
            y=alt.Y(f"{y}:Q", title=axes[y], scale=unit),
            order="order:Q",
            color=alt.Color(
                "series:N", scale=alt.Scale(domain=list(names), range=colors[: len(names)]), legend=legend
            ),
            strokeDash=alt.StrokeDash("series:N", scale=alt.Scale(domain=list(names)), legend=legend),
            tooltip=["series:N", f"{x}:Q", f"{y}:Q"],
        )
        .properties(width=HEIGHT * 0.9, height=HEIGHT * 0.9, title=title)
    )


def calibration(points: ClassPoints) -> Figure:
    """How often predictions are correct, over their probability.

    Predictions are the second of two classes, or the most likely of several.
    """
    rows = len(points.actual)
    values = []
    for name, predicted in points.models():
        if len(points.classes) == 2:
            probability, right = predicted[:, 1], points.actual == 1
        else:
            probability, right = predicted.max(1), points.actual == predicted.argmax(1)
        bins = np.array_split(np.argsort(probability, kind="stable"), min(BINS, len(probability)))
        values += [
            {
                "model": name,
                "probability": float(np.average(probability[b], weights=points.weight[b])),
                "share": float(np.average(right[b], weights=points.weight[b])),
                "rows": len(b),
            }
            for b in bins
        ]
    names = [name for name, _ in points.models()]
    legend = alt.Legend(orient="top", title=None) if len(names) > 1 else None
    binary = len(points.classes) == 2
    what = f"probability of '{points.classes[1]}'" if binary else "probability of the predicted class"
    share = f"share of '{points.classes[1]}'" if binary else "share of correct predictions"
    unit = alt.Scale(domain=[0, 1])
    base = alt.Chart(rows_of(values)).encode(
        x=alt.X("probability:Q", title=what, scale=unit),
        y=alt.Y("share:Q", title=share, scale=unit),
        color=alt.Color(
            "model:N", scale=alt.Scale(domain=names, range=[NETWORK, BASELINE][: len(names)]), legend=legend
        ),
        tooltip=[
            "model:N",
            alt.Tooltip("probability:Q", format=".3f"),
            alt.Tooltip("share:Q", format=".3f"),
            "rows:Q",
        ],
    )
    dots = base.mark_point(size=50, filled=True).encode(
        shape=alt.Shape(
            "model:N", scale=alt.Scale(domain=names, range=["circle", "square"][: len(names)]), legend=legend
        )
    )
    diagonal = alt.Chart(rows_of([{"a": 0}, {"a": 1}])).mark_line(color=REFERENCE, strokeDash=[5, 4])
    return alt.layer(diagonal.encode(x="a:Q", y="a:Q"), base.mark_line(opacity=0.6), dots).properties(
        width=HEIGHT,
        height=HEIGHT,
        title=alt.Title(
            "Calibration",
            subtitle=f"{min(BINS, rows)} groups of {points.row_count()}",
        ),
        description=f"{share} over {what}; on the diagonal, the two are equal",
    )
