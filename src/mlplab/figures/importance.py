"""Which columns matter for predictions."""

from collections.abc import Sequence

import altair as alt

from mlplab.console import in_digits
from mlplab.figures.style import BAR_OFFSET, REFERENCE, Figure, bar_chart

MAX_COLUMNS = 20
"""The most columns in a figure of importance."""


def importance(columns: Sequence[tuple[str, float, float]], error: str, basis: Sequence[str]) -> Figure:
    """Bars of the increase of the error, with whiskers of a standard deviation.

    Args:
        columns: name, mean and standard deviation, the most important first.
        error: the name of the error, with its unit.
        basis: rows and shuffles in words, and further notes: a line each.
    """
    rows = [
        {
            "name": name,
            "mean": mean,
            "low": mean - sd,
            "high": mean + sd,
            "note": f"{in_digits(mean)} ± {in_digits(sd, 2)}",
        }
        for name, mean, sd in columns[:MAX_COLUMNS]
    ]
    subtitle = ["increase of the error when the values of a column are shuffled", *basis]
    if len(columns) > MAX_COLUMNS:
        subtitle.append(f"the first {MAX_COLUMNS} of {len(columns):,} columns")
    largest = ", ".join(f"{name} {in_digits(mean, 3)}" for name, mean, _ in columns[:3])
    return bar_chart(
        rows,
        alt.X("mean:Q", title=f"increase of the {error} (mean ± SD)", scale=alt.Scale(nice=False)),
        lambda bars: bars.mark_rule(color=REFERENCE, strokeWidth=3, yOffset=BAR_OFFSET).encode(
            x="low:Q", x2="high:Q"
        ),
        title="Permutation importance",
        subtitle=subtitle,
        description=f"Bars: the increase of the {error} when a column is shuffled. Largest: {largest}.",
    )
