"""Figures, drawn by Altair: functions of arrays and plain values that return charts."""

from collections.abc import Sequence
from pathlib import Path

Curve = Sequence[tuple[int, float]]
"""Points: the epoch, counted from 1, and a finite value."""

FIGURES = "figures"
"""The folder of figures in the folder of a run or a sweep."""

SPECIFICATION = ".vl.json"
"""How the name of the specification of a figure ends."""

IMPORTANCE = "importance"
"""The figure that `evaluate.py importance=true` draws, not training."""

LEARNING_CURVES = "learning_curves"
"""The figure of which the report draws each chart."""


def is_drawn(folder: Path) -> bool:
    """Whether the figures of a run have been written."""
    paths = (folder / FIGURES).glob(f"*{SPECIFICATION}")
    return any(path.name != f"{IMPORTANCE}{SPECIFICATION}" for path in paths)
