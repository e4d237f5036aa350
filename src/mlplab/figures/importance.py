"""Which columns matter for predictions."""

from collections.abc import Sequence

import altair as alt

from mlplab.console import in_digits
from mlplab.figures.style import NETWORK, REFERENCE, WIDTH, Figure, framed, rows_of

MAX_COLUMNS = 20


def importance(columns: Sequence[tuple[str, float, float]], error: str, basis: Sequence[str]) -> Figure:
    """Bars of the increase of the error, with whiskers of a standard deviation.

    Args:
        columns: name, mean and standard deviation, the most important first.
        error: the name of the error, with its unit.
        basis: rows and shuffles in words, and further notes: a line each.
    """
    shown = columns[:MAX_COLUMNS]
    rows = [{"name": name, "mean": mean, "low": mean - sd, "high": mean + sd} for name, mean, sd in shown]
    subtitle = ["when the values of a column are shuffled: mean ± SD", *basis]
    if len(columns) > MAX_COLUMNS:
        subtitle.append(f"the first {MAX_COLUMNS} of {len(columns):,} columns")
    largest = ", ".join(f"{name} {in_digits(mean, 3)}" for name, mean, _ in columns[:3])
    bars = alt.Chart(rows_of(rows)).encode(
        alt.X("mean:Q", title=f"increase of the {error}", scale=alt.Scale(nice=False)),
        alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=130)),
        tooltip=["name:N", "mean:Q", "low:Q", "high:Q"],
    )
    return framed(
        bars.mark_bar(color=NETWORK),
        bars.mark_rule(color=REFERENCE, strokeWidth=3).encode(x="low:Q", x2="high:Q"),
        title="Permutation importance",
        subtitle=subtitle,
        description=f"Bars: the increase of the {error} when a column is shuffled. Largest: {largest}.",
        size=(WIDTH, 22 * len(rows)),  # a step would not do on pages
    )
