"""Figures of predicted classes and their probabilities."""

from typing import Any

import altair as alt
import numpy as np
import polars as pl
from jaxtyping import Float64

from mlplab.data.class_labels import confusion_matrix, predicted_classes
from mlplab.figures.predictions import THIS, ScoredRows, shares_chart
from mlplab.figures.style import (
    HEIGHT,
    REFERENCE,
    UNIT,
    Figure,
    by_series,
    chart_of,
    diagonal,
    framed,
    label_angle,
)

MOST_CLASSES = 20  # classes in a confusion matrix: those with the most rows

MOST_CURVES = 8  # classes with a curve of their own: those with the most rows

CURVE_POINTS = 200  # points of a curve at most


def _largest(scored: ScoredRows, count: int) -> list[int]:
    rows = np.bincount(scored.actual.astype(np.int64), minlength=len(scored.classes))
    return sorted(np.argsort(-rows, kind="stable")[:count].tolist())


def confusion(scored: ScoredRows) -> Figure:
    """Rows by actual and predicted class."""
    classes, chosen = scored.classes, _largest(scored, MOST_CLASSES)
    predicted = predicted_classes(scored.predicted, scored.threshold)
    counts = confusion_matrix(scored.actual, predicted, scored.weight, len(classes))[chosen]
    names, title = [classes[k] for k in chosen], "share of the actual class"
    below = alt.Axis(labelAngle=label_angle(names), labelLimit=110)  # pixels
    base = chart_of(
        actual=[name for name in names for _ in names],
        predicted=names * len(names),
        rows=counts[:, chosen].ravel().round(1),
        share=(counts[:, chosen] / counts.sum(1, keepdims=True).clip(min=1e-9)).ravel(),
    ).encode(
        x=alt.X("predicted:N", sort=None, title=f"predicted {scored.target}", axis=below),
        y=alt.Y("actual:N", sort=None, title=f"actual {scored.target}", axis=alt.Axis(labelLimit=110)),
        tooltip=["actual:N", "predicted:N", "rows:Q", alt.Tooltip("share:Q", title=title, format=".1%")],
    )
    color = alt.Color("share:Q", scale=alt.Scale(scheme="blues", domain=[0, 1]), legend=None)
    numbers = base.mark_text(fontSize=10 if len(names) > MOST_CURVES else 13).encode(
        text="rows:Q", color=alt.condition("datum.share > 0.5", alt.value("white"), alt.value("black"))
    )
    many = f"the {len(names)} largest of {len(classes)} classes; " * (len(names) < len(classes))
    size = max(30 * len(names), HEIGHT)  # numbers fit into the cells
    return framed(
        *(base.mark_rect().encode(color), numbers),
        title="Confusion",
        subtitle=f"{many}{scored.weighted_count()}; colour: the {title}",
        description=f"Matrix of the number of test rows by actual and predicted {scored.target}",
        size=(size, size),
    )


def roc_and_precision_recall(scored: ScoredRows) -> Figure | None:
    """ROC and precision-recall curves: of the second of two classes, or of each class against the others.

    Beside the name of each is the area below it: below the steps of precision over recall, it is the average
    precision. None if there is no class that some rows have and others have not.
    """
    from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

    if is_binary := len(scored.classes) == 2:
        series = [(name, 1, predicted) for name, predicted in scored.predictions.items()]
    else:
        series = [(scored.classes[k], k, scored.predicted) for k in _largest(scored, MOST_CURVES)]
    roc, recall, weight = [], [], scored.weight
    for name, number, predicted in series:
        is_class, probability = scored.actual == number, predicted[:, number]
        if 0 < is_class.sum() < len(is_class):
            false, true, _ = roc_curve(is_class, probability, sample_weight=weight)
            precision, recalled, _ = precision_recall_curve(is_class, probability, sample_weight=weight)
            mean = average_precision_score(is_class, probability, sample_weight=weight)
            roc.append(_curve(f"{auc(false, true):.3f}  {name}", false, true))
            recall.append(_curve(f"{mean:.3f}  {name}", recalled[::-1], precision[::-1]))
    if not roc:
        return None
    of = f" of '{scored.classes[1]}'" if is_binary else ""
    left = _lines(roc, "false positive rate", "true positive rate", diagonal(), area="AUC", steps=False)
    title, rules = alt.Title(f"Precision and recall{of}", subtitle="each class against the others"), []
    if is_binary:
        rate = float(np.average(scored.actual, weights=weight))
        title.subtitle = f"dashed: the base rate, {rate:.1%} of the rows"
        rules = [chart_of(rate=[rate]).mark_rule(color=REFERENCE, strokeDash=[5, 4]).encode(y="rate:Q")]
    return alt.vconcat(
        left.properties(title=alt.Title(f"ROC{of}", subtitle="dashed: chance")),
        _lines(recall, "recall", "precision", *rules, area="average precision").properties(title=title),
        title="ROC, and precision and recall",
        description=f"ROC curves and curves of precision over recall of {scored.target}",
    ).resolve_scale(color="independent", strokeDash="independent")


def threshold(scored: ScoredRows) -> Figure | None:
    """Precision and recall of the second of two classes over the threshold, with the network's as a line.

    None if there are more classes, or rows of only one.
    """
    from sklearn.metrics import precision_recall_curve

    is_second, second = scored.actual == 1, scored.classes[1]
    if len(scored.classes) > 2 or is_second.all() or not is_second.any():
        return None
    probability = scored.predicted[:, 1]
    precision, recall, cuts = precision_recall_curve(is_second, probability, sample_weight=scored.weight)
    # Above the highest probability, no row is predicted to be in the class: there is no precision.
    curves = [
        _curve("precision", np.append(0.0, cuts), np.append(precision[0], precision[:-1])),
        _curve("recall", np.concatenate([[0.0], cuts, [1.0]]), np.append(1.0, recall)),
    ]
    rule = chart_of(x=[scored.threshold]).mark_rule(color=REFERENCE, strokeDash=[5, 4]).encode(x="x:Q")
    lines = _lines(curves, f"threshold of the probability of '{second}'", "precision, recall", rule)
    own = f"dashed: the threshold of {THIS}, {scored.threshold:.3g}"
    return lines.properties(
        title=alt.Title("Precision and recall by threshold", subtitle=f"{scored.weighted_count()}; {own}"),
        description=f"Precision and recall of '{second}' over the threshold of its probability",
    )


def _curve(series: str, x: Float64[np.ndarray, " point"], y: Float64[np.ndarray, " point"]) -> pl.DataFrame:
    frame = pl.DataFrame({"series": series, "x": x, "y": y}).with_row_index("order")
    return frame[np.unique(np.linspace(0, len(frame) - 1, CURVE_POINTS).astype(int))]


def _lines(
    curves: list[pl.DataFrame], x: str, y: str, *behind: Any, area: str | None = None, steps: bool = True
) -> Any:
    """Curves; as steps, they have the value of each point since the point before.

    `area` is what the numbers in the names of the series are.
    """
    legend = alt.Legend(orient="bottom", title=area, columns=1 if len(curves) < 3 else 2, labelLimit=130)
    line = chart_of(**pl.concat(curves).to_dict())
    line = line.mark_line(strokeWidth=2, interpolate="step-before" if steps else "linear").encode(
        x=alt.X("x:Q", title=x, scale=UNIT),
        y=alt.Y("y:Q", title=y, scale=UNIT),
        order="order:Q",
        tooltip=["series:N", alt.Tooltip("x:Q", title=x), alt.Tooltip("y:Q", title=y)],
        **by_series("series", [curve["series"][0] for curve in curves], "strokeDash", legend),
    )
    return alt.layer(*behind, line, width=HEIGHT * 0.9, height=HEIGHT * 0.9)


def calibration(scored: ScoredRows) -> Figure:
    """How often predictions are correct, over their probability.

    Predictions are the second of two classes, or the most likely of several.
    """
    binary = len(scored.classes) == 2
    points, bins = [], min(10, len(scored.rows))
    for name, predicted in scored.predictions.items():
        chosen = np.ones(len(predicted), int) if binary else predicted.argmax(1)
        probability, right = predicted[np.arange(len(predicted)), chosen], scored.actual == chosen
        for rows in np.array_split(np.argsort(probability, kind="stable"), bins):
            means = (np.average(values[rows], weights=scored.weight[rows]) for values in (probability, right))
            points.append((name, *means, len(rows)))
    of, what = (f"'{scored.classes[1]}'",) * 2 if binary else ("the predicted class", "correct predictions")
    return shares_chart(
        pl.DataFrame(points, ["model", "x", "share", "rows"], orient="row"),
        x=f"probability of {of}",
        y=f"share of {what}",
        title="Calibration",
        subtitle=f"{bins} groups of {scored.weighted_count()}",
    )
