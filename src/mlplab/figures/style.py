"""The look of all figures: colours, sizes, axes; readable in black and white, and on dark pages."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from mlplab.files import Plain

alt.data_transformers.consolidate_datasets = False  # rows stay where they are used

Figure = alt.TopLevelMixin

NETWORK, BASELINE, REFERENCE = "#2f74c0", "#d9822b", "#8a8a8a"
"""Colours of the network, of a baseline beside it, and of lines that guide the eye. All three stand out from
white and from black."""

# Colours of several series; these also differ in shape or dash.
SERIES = (NETWORK, BASELINE, "#3a9a6b", "#b05cc6", "#c44e52", "#7f7f7f", "#b59f00", "#1aa6b7")

WIDTH, HEIGHT = 420, 300
"""Pixels of a figure without its axes."""

MOST_POINTS = 1000
"""Points that a figure shows at most: more take longer to draw than to understand."""

FREE, UNIT = alt.Scale(zero=False), alt.Scale(domain=[0, 1])

_TEXT: Plain = {"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": 500}

CONFIG: Plain = {
    "background": "white",
    "font": "sans-serif",
    "title": {"fontSize": 14, "anchor": "start", "fontWeight": 600, "subtitleFontSize": 11, "offset": 10},
    "axis": {**_TEXT, "gridOpacity": 0.35, "titlePadding": 8},
    "axisXQuantitative": {"tickCount": 7, "labelSeparation": 4, "labelBound": True},
    "axisQuantitative": {  # 2019, 15k, 1.2M, 3B, 1e+15
        "labelExpr": "abs(datum.value) < 1e4 ? replace(datum.label, ',', '')"
        " : abs(datum.value) < 1e12 ? replace(format(datum.value, '~s'), 'G', 'B')"
        " : format(datum.value, '~e')"
    },
    "legend": _TEXT,
    "view": {"stroke": None},
    "tick": {"color": "black", "opacity": 1},
    "range": {"category": list(SERIES)},
    "tooltipFormat": {"numberFormat": ".5~r"},
}
"""Vega-Lite's configuration of images. Pages replace what a dark page needs otherwise."""


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
    # A letter is 6.2 pixels wide, a figure without its axes 260.
    return -45 if 6.2 * max(lengths, default=0) * len(lengths) > 260 else 0


def by_series(field: str, names: Sequence[str], mark: str = "shape", legend: Any = None) -> Plain:
    """Channels that tell series apart by colour, and by `shape` or `strokeDash`; of one, without a legend."""
    legend = legend or alt.Legend(orient="top", title=None)  # which leaves a figure its width
    same: Plain = {"scale": alt.Scale(domain=list(names)), "legend": legend if len(names) > 1 else None}
    other: Any = {"shape": alt.Shape, "strokeDash": alt.StrokeDash}[mark]
    return {"color": alt.Color(f"{field}:N", **same), mark: other(f"{field}:N", **same)}


def diagonal(low: float = 0.0, high: float = 1.0) -> alt.Chart:
    """A line on which two quantities are equal."""
    line = chart_of(a=[low, high]).mark_line(color=REFERENCE, strokeDash=[5, 4])
    return line.encode(x="a:Q", y="a:Q")
