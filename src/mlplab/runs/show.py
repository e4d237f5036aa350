"""Scores as people read them."""

from collections.abc import Mapping

from rich.table import Table as Grid

SCORES = {"rmse": ".4g", "mae": ".4g", "r2": ".4f"}
"""The test scores that are shown, and how."""


def score_grid(rows: Mapping[str, Mapping[str, float | None]]) -> Grid:
    """A line for each title, with its test scores; a dash where there is no finite value."""
    grid = Grid("test", *SCORES)
    for title, scores in rows.items():
        values = ((scores[name], form) for name, form in SCORES.items())
        grid.add_row(
            title,
            *("–" if value is None or value != value else format(value, form) for value, form in values),
        )
    return grid
