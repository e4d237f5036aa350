"""The look of all figures: readable in black and white, and on dark pages."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import polars as pl
from jaxtyping import Float64, Int64

alt.data_transformers.consolidate_datasets = False  # rows stay where they are used

Figure = alt.TopLevelMixin
"""Any chart of Altair's."""

NETWORK, BASELINE, REFERENCE = "#2f74c0", "#d9822b", "#8a8a8a"
"""Colours of the network, of a baseline beside it, and of lines that guide the eye. All three stand out from
white and from black."""

SERIES = (NETWORK, BASELINE, "#3a9a6b", "#b05cc6", "#c44e52", "#7f7f7f", "#b59f00", "#1aa6b7")
"""Colours of several series; these also differ in shape or dash."""

WIDTH, HEIGHT = 420, 300
"""Pixels of a figure without its axes."""

MOST_POINTS = 1000
"""Points that a figure shows at most: more take longer to draw than to understand."""

FREE = alt.Scale(zero=False)
"""A scale that does not start at zero."""

UNIT = alt.Scale(domain=[0, 1])
"""A scale of shares and probabilities."""

ON_TOP = alt.Legend(orient="top", title=None)
"""A legend that leaves a figure its width."""

FACE: dict[str, Any] = {
    "font": "sans-serif",
    "title": {"fontSize": 14, "anchor": "start", "fontWeight": 600, "subtitleFontSize": 11},
    "axis": {"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": 500, "gridOpacity": 0.35},
    "legend": {"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": 500},
    "view": {"stroke": None},
    "range": {"category": list(SERIES)},
    "tooltipFormat": {"numberFormat": ".5~g"},
}
"""Vega-Lite's configuration, but for what a dark page replaces."""

ON_PAPER: dict[str, Any] = {**FACE, "background": "white"}
"""The configuration of images."""

_INK = "currentColor"  # which SVG takes from the page around it
ON_PAGE: dict[str, Any] = {
    **FACE,
    "background": None,
    "axis": {
        **FACE["axis"],
        **dict.fromkeys(("labelColor", "titleColor", "domainColor", "tickColor", "gridColor"), _INK),
        **{"gridOpacity": 0.12, "domainOpacity": 0.4, "tickOpacity": 0.4},
    },
    "legend": {**FACE["legend"], "labelColor": _INK, "titleColor": _INK},
    "title": {**FACE["title"], "color": _INK, "subtitleColor": _INK},
    "header": {"labelColor": _INK, "titleColor": _INK},
    "text": {"color": _INK},
    "rule": {"color": _INK},
}
"""The configuration on pages: text and lines have the colour of the page's text, on dark pages and light."""


def rows_of(values: Sequence[Mapping[str, Any]]) -> Any:
    """The data of a chart, which `alt.Data` would validate row by row."""
    return {"values": list(values)}


def chart_of(**columns: Any) -> alt.Chart:
    """A chart of columns: arrays, sequences, or a value for all rows."""
    return alt.Chart(rows_of(pl.DataFrame(columns).to_dicts()))


def diagonal(low: float, high: float) -> alt.Chart:
    """A line on which two quantities are equal."""
    line = chart_of(a=[low, high]).mark_line(color=REFERENCE, strokeDash=[5, 4])
    return line.encode(x="a:Q", y="a:Q")


def sample(rows: Int64[np.ndarray, " row"], count: int = MOST_POINTS) -> Int64[np.ndarray, " shown"]:
    """The rows, or a random part of them if there are too many to show."""
    if len(rows) <= count:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, count, replace=False))


def row_count(shown: int, total: int, weight: Float64[np.ndarray, " row"] | None = None) -> str:
    """How many of the test rows a figure shows, and whether what it shows depends on weights."""
    of_all = f"{total:,} test row{'s' * (total != 1)}"
    several = weight is not None and len(np.unique(weight)) > 1
    return (of_all if shown == total else f"{shown:,} of {of_all}") + ", by their weights" * several
