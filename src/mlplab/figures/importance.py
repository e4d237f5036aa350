"""Which columns matter for predictions."""

from collections.abc import Sequence

import altair as alt

from mlplab.console import in_digits
from mlplab.figures.style import LETTER_PIXELS, NETWORK, REFERENCE, WIDTH, Figure, framed, rows_of
from mlplab.files import Plain

MAX_COLUMNS = 20
"""The most columns in a figure of importance."""

BAR_PIXELS, BAR_HEIGHT = 36, 12
"""Pixels of a bar with the line above it, and of the bar."""

BAR_OFFSET, NAME_OFFSET = 9, -7
"""Pixels between the middle of the two, and those of the bar and the line."""


def importance(columns: Sequence[tuple[str, float, float]], error: str, basis: Sequence[str]) -> Figure:
    """Bars of the increase of the error, with whiskers of a standard deviation.

    Names are above the bars, so that long ones fit on phones, too; they end before the numbers beside them.

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
            "place": place,
        }
        for place, (name, mean, sd) in enumerate(columns[:MAX_COLUMNS])
    ]
    subtitle = ["increase of the error when the values of a column are shuffled", *basis]
    if len(columns) > MAX_COLUMNS:
        subtitle.append(f"the first {MAX_COLUMNS} of {len(columns):,} columns")
    largest = ", ".join(f"{name} {in_digits(mean, 3)}" for name, mean, _ in columns[:3])
    chart = alt.Chart(rows_of(rows)).encode(alt.Y("place:O", axis=None))
    x = alt.X("mean:Q", title=f"increase of the {error} (mean ± SD)", scale=alt.Scale(nice=False))
    bars = chart.encode(x, tooltip=["name:N", "mean:Q", "low:Q", "high:Q", "note:N"])
    whiskers = bars.mark_rule(color=REFERENCE, strokeWidth=3, yOffset=BAR_OFFSET)
    text: Plain = {"yOffset": NAME_OFFSET, "fontSize": 11}
    beside = LETTER_PIXELS * max(len(str(row["note"])) for row in rows)
    names = chart.mark_text(align="left", limit={"expr": f"width - {beside:.0f}"}, **text)
    notes = chart.mark_text(align="right", opacity=0.7, **text)
    return framed(
        bars.mark_bar(color=NETWORK, height=BAR_HEIGHT, yOffset=BAR_OFFSET),
        names.encode(x=alt.value(0), text="name:N"),
        notes.encode(x=alt.value("width"), text="note:N"),
        whiskers.encode(x="low:Q", x2="high:Q"),
        title="Permutation importance",
        subtitle=subtitle,
        description=f"Bars: the increase of the {error} when a column is shuffled. Largest: {largest}.",
        size=(WIDTH, BAR_PIXELS * len(rows)),  # a step would not do on pages
    )
