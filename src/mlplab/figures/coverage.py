"""How often intervals contain the target, or sets the class: by level, and by parts of the test rows."""

from collections.abc import Sequence
from typing import Literal

import altair as alt
import numpy as np
from jaxtyping import Float64

from mlplab.console import in_digits, plural
from mlplab.data.splits.split import sample_rows
from mlplab.figures.scored_rows import MOST_PARTS, ColumnValues, PartRows, ScoredRows, worst_parts
from mlplab.figures.style import (
    FREE,
    HEIGHT,
    MARKER,
    NETWORK,
    REFERENCE,
    UNIT,
    WIDTH,
    Figure,
    bar_chart,
    by_series,
    chart_of,
    diagonal,
    framed,
    row_count,
)

MOST_INTERVALS = 60
"""Rows whose intervals are drawn at most."""

INSIDE, OUTSIDE = "target inside", "outside"

SMALLEST_PART = 30
"""Rows of a part at least: of fewer, the share that is covered says little."""

Kind = Literal["intervals", "sets", "quantiles"]

GOOD: dict[Kind, str] = {
    "intervals": "contain the target",
    "sets": "contain the class",
    "quantiles": "are above the target",
}
"""What they do as often as their level says."""

Inside = Float64[np.ndarray, " row"]


def intervals(scored: ScoredRows, bounds: Float64[np.ndarray, "row limit"], level: float) -> Figure:
    """The interval and the target of a few test rows, in the order of the predictions."""
    target, chosen = scored.target, sample_rows(np.arange(len(scored.rows)), MOST_INTERVALS)
    chosen = chosen[np.argsort(scored.predicted[chosen], kind="stable")]
    (lower, upper), actual = bounds[chosen].T, scored.actual[chosen]
    inside = (lower <= actual) & (actual <= upper)
    base = chart_of(
        place=np.arange(len(chosen)),
        row=scored.rows[chosen],
        lower=lower,
        upper=upper,
        actual=actual,
        target=np.where(inside, INSIDE, OUTSIDE),
    ).encode(
        x=alt.X("place:Q", title="test rows, by their predictions", axis=None),
        tooltip=["row:N", "lower:Q", "actual:Q", "upper:Q"],
    )
    bars = base.mark_rule(color=REFERENCE, strokeWidth=4, opacity=0.6).encode(
        y=alt.Y("lower:Q", title=target, scale=FREE), y2="upper:Q"
    )
    dots = base.mark_point(size=35, filled=True, opacity=1).encode(
        y="actual:Q", **by_series("target", [INSIDE, OUTSIDE])
    )
    return framed(
        *(bars, dots),
        title=f"Intervals of level {level:g} for {target}",
        subtitle=f"{row_count(len(chosen), scored.total)}, by their predictions; {inside.sum()} are inside",
        description=f"Bars: the intervals of {len(chosen)} test rows; points: the actual {target}",
        size=(WIDTH, HEIGHT),
    )


def coverage_over_level(
    kind: Kind, scored: ScoredRows, levels: Sequence[float], shares: Sequence[float]
) -> Figure:
    """The share of test rows whose target or class is inside, or below a quantile, over the level."""
    what = GOOD[kind]
    base = chart_of(level=levels, share=shares).encode(
        x=alt.X("level:Q", title=f"level of the {kind}", scale=UNIT),
        y=alt.Y("share:Q", title=f"share of {kind} that {what}", scale=UNIT),
        tooltip=["level:Q", "share:Q"],
    )
    marks = base.mark_line(color=NETWORK), base.mark_point(color=NETWORK, filled=True, size=50, opacity=1)
    return framed(
        *(diagonal(0.0, 1.0), *marks),
        title=f"How often {kind} {what}",
        subtitle=f"{scored.count()}; dashed: as often as the level says",
        description=f"Share of {kind} that {what}, over their level; the two should be equal",
        size=(HEIGHT, HEIGHT),
    )


def coverage_by_part(
    scored: ScoredRows, columns: Sequence[ColumnValues], level: float, inside: Inside, size: Inside
) -> Figure | None:
    """The parts of the test rows that are most clearly covered too seldom, as bars beside the level.

    They are those with the most standard errors below the level; of many parts, a few are below by chance.
    Of classes, those of each true class are parts, too. None if all parts are small.

    Args:
        inside: whether a row's target is in its interval, or its class in its set; `size` is how large it is.
    """
    kind: Kind = "sets" if scored.classes else "intervals"

    def sized(rows: PartRows | slice = slice(None)) -> str:
        mean = in_digits(scored.mean(size, rows), 3)
        return mean + (" wide" if not scored.classes else " class" if mean == "1" else " classes")

    def standard_errors(rows: PartRows) -> float:
        return (scored.mean(inside, rows) - level) * len(rows) ** 0.5

    if scored.classes:
        of_class = ColumnValues(scored.target, scored.actual.astype(np.float64), scored.classes)
        columns = [of_class, *columns]
    parts = worst_parts(scored, columns, SMALLEST_PART, standard_errors)
    if not parts:
        return None
    bars = [
        {
            "name": name,
            "inside": scored.mean(inside, rows),
            "note": f"{sized(rows)}, {plural(len(rows), 'row')}",
        }
        for name, rows in parts[:MOST_PARTS]
    ]
    overall = f"{scored.mean(inside):.1%}, {sized()}"
    return bar_chart(
        bars,
        alt.X("inside:Q", title=f"share of {kind} that {GOOD[kind]}", scale=UNIT, axis=alt.Axis(tickCount=6)),
        lambda bars: bars.mark_tick(**MARKER).encode(x=alt.datum(level)),
        title=f"Where {kind} of level {level:g} {GOOD[kind]} least often",
        subtitle=f"{scored.count()}; all: {overall}; {len(parts)} parts; marked: the level",
        description=f"Bars: the {len(bars)} parts of the rows whose {kind} {GOOD[kind]} least often",
    )
