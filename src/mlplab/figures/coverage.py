"""How often intervals contain the target, or sets the class, by level."""

from collections.abc import Sequence
from typing import Literal

import altair as alt

from mlplab.figures.scored_rows import ScoredRows
from mlplab.figures.style import (
    HEIGHT,
    NETWORK,
    UNIT,
    Figure,
    chart_of,
    diagonal,
    framed,
)

Kind = Literal["intervals", "sets", "quantiles"]

GOOD: dict[Kind, str] = {
    "intervals": "contain the target",
    "sets": "contain the class",
    "quantiles": "are above the target",
}
"""What they do as often as their level says."""


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
