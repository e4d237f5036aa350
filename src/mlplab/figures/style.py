"""The look of all figures: colours, sizes, axes; readable in black and white, and on dark pages."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

import altair as alt
import numpy as np
import polars as pl
from jaxtyping import Float64

from mlplab.console import plural
from mlplab.files import Plain

alt.data_transformers.consolidate_datasets = False  # rows stay where they are used

Figure = alt.TopLevelMixin
"""Any chart of Altair's."""

KeyValue = float | int | str
"""A value of a key in a chart."""

NETWORK, BASELINE, REFERENCE = "#2f74c0", "#d9822b", "#8a8a8a"
"""Colours of the network, of a baseline beside it, and of lines that guide the eye. All three stand out from
white and from black."""

SERIES = (NETWORK, BASELINE, "#3a9a6b", "#b05cc6", "#c44e52", "#7f7f7f", "#b59f00", "#1aa6b7")
"""Colours of several series; these also differ in shape or dash."""

WIDTH, HEIGHT = 420, 300
"""Pixels of a figure without its axes: TensorBoard shrinks wider images, and their texts, to 350 pixels."""

MOST_POINTS = 1000
"""Points that a figure shows at most: more take longer to draw than to understand."""

FREE = alt.Scale(zero=False)
"""A scale that does not start at zero."""

UNIT = alt.Scale(domain=[0, 1])
"""A scale of shares and probabilities."""

FAR = 30
"""The ratio of the largest to the smallest value from which an axis is logarithmic."""

FEW = 8
"""Different values up to which an axis names each: they are likely to have been typed, not sampled."""

PADDING = 15
"""Pixels beside the values of a key."""

LETTER_PIXELS, NARROW = 6.2, 260
"""Width of a letter of an axis, and of a figure on a phone, without its axes."""

ON_TOP = alt.Legend(orient="top", title=None)
"""A legend that leaves a figure its width."""

SHORT_LABELS = (
    "abs(datum.value) < 1e4 ? replace(datum.label, ',', '')"
    " : abs(datum.value) < 1e12 ? replace(format(datum.value, '~s'), 'G', 'B') : format(datum.value, '~e')"
)
"""Labels of numbers: 2019, 15k, 1.2M, 3B, 1e+15. An expression of Vega's."""

FACE: Plain = {
    "font": "sans-serif",
    "title": {"fontSize": 14, "anchor": "start", "fontWeight": 600, "subtitleFontSize": 11, "offset": 10},
    "axis": {
        **{"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": 500, "gridOpacity": 0.35},
        "titlePadding": 8,
    },
    "axisXQuantitative": {"tickCount": 7, "labelSeparation": 4, "labelBound": True},
    "axisQuantitative": {"labelExpr": SHORT_LABELS},
    "legend": {"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": 500},
    "view": {"stroke": None},
    "tick": {"color": "black", "opacity": 1},
    "range": {"category": list(SERIES)},
    "tooltipFormat": {"numberFormat": ".5~r"},
}
"""Vega-Lite's configuration, but for what a dark page replaces."""

ON_PAPER: Plain = {**FACE, "background": "white"}
"""The configuration of images."""

_INK = "currentColor"  # which SVG takes from the page around it
ON_PAGE: Plain = {
    **FACE,
    "background": None,
    "axis": {
        **FACE["axis"],
        **dict.fromkeys(("domainColor", "tickColor", "gridColor"), _INK),
        **{"gridOpacity": 0.12, "domainOpacity": 0.4, "tickOpacity": 0.4},
    },
    "style": {key: {"fill": _INK} for key in ("guide-label", "guide-title", "group-title", "group-subtitle")},
    **{mark: {**FACE.get(mark, {}), "color": _INK} for mark in ("text", "rule", "tick")},
}
"""The configuration on pages: text and lines have the colour of the page's text, on dark pages and light."""


def rows_of(values: Sequence[Mapping[str, object]]) -> Any:
    """The data of a chart, which `alt.Data` would validate row by row."""
    return {"values": list(values)}


def chart_of(**columns: object) -> alt.Chart:
    """A chart of columns: arrays, sequences, or a value for all rows."""
    return alt.Chart(rows_of(pl.DataFrame(columns).to_dicts()))


def framed(
    *layers: Any,
    title: str,
    subtitle: str | Sequence[str],
    description: str,
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> Figure:
    """Layers as one figure; the description is for people who do not see it."""
    words = alt.Title(title, subtitle=subtitle)
    return alt.layer(*layers, title=words, description=description, width=size[0], height=size[1])


def label_angle(names: Iterable[object]) -> int:
    """The angle of the labels of an axis: slanted if they would not fit side by side on a phone."""
    lengths = [len(str(name)) for name in names]
    return -45 if LETTER_PIXELS * max(lengths, default=0) * len(lengths) > NARROW else 0


def by_series(field: str, names: Sequence[str], mark: str = "shape", legend: Any = ON_TOP) -> Plain:
    """Channels that tell series apart by colour, and by `shape` or `strokeDash`; of one, without a legend."""
    same: Plain = {"scale": alt.Scale(domain=list(names)), "legend": legend if len(names) > 1 else None}
    other: Any = {"shape": alt.Shape, "strokeDash": alt.StrokeDash}[mark]
    return {"color": alt.Color(f"{field}:N", **same), mark: other(f"{field}:N", **same)}


def diagonal(low: float = 0.0, high: float = 1.0) -> alt.Chart:
    """A line on which two quantities are equal."""
    line = chart_of(a=[low, high]).mark_line(color=REFERENCE, strokeDash=[5, 4])
    return line.encode(x="a:Q", y="a:Q")


def row_count(shown: int, total: int, weight: Float64[np.ndarray, " row"] | None = None) -> str:
    """How many of the test rows a figure shows, and whether what it shows depends on weights."""
    rows = plural(total, "test row")
    is_weighted = weight is not None and len(np.unique(weight)) > 1
    return (rows if shown == total else f"{shown:,} of {rows}") + ", by their weights" * is_weighted


def rounded(value: float) -> float:
    """A value with the digits that a chart can show: specifications hold many of them."""
    return float(f"{value:.5g}")


def spreads_far(values: Collection[float]) -> bool:
    """Whether values are positive and spread so far that a linear axis would hide the small ones."""
    return bool(values) and min(values) > 0 and max(values) > FAR * min(values)


def x_of_key(key: str, values: Sequence[KeyValue]) -> alt.X:
    """The horizontal axis of the field `value`: of numbers, or with a name for each value in order.

    It is of numbers if there are many.
    """
    distinct = set(values)
    numbers = [float(value) for value in distinct if not isinstance(value, str)]
    if len(numbers) > FEW and len(numbers) == len(distinct):
        # The median of numbers from a linear scale is in the middle, even if the smallest is near zero.
        is_log = spreads_far(numbers) and median(numbers) < (min(numbers) + max(numbers)) / 4
        kind: Plain = {"type": "log"} if is_log else {"type": "linear", "zero": False}
        scale = alt.Scale(**kind, nice=False, padding=PADDING)
        return alt.X("value:Q", title=key, axis=alt.Axis(format=".6~g", tickCount=5), scale=scale)
    texts = sorted((text for text in distinct if isinstance(text, str)), key=lambda text: (len(text), text))
    order: list[Any] = [*sorted(numbers), *texts]
    scale = alt.Scale(domain=order)  # sort= takes either numbers or text
    return alt.X("value:N", title=key, scale=scale, axis=alt.Axis(labelAngle=label_angle(order)))
