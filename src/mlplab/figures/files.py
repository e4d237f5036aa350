"""The files of figures: for each a Vega-Lite specification, which pages draw, and a PNG."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import vl_convert

from mlplab.figures import FIGURES
from mlplab.figures.style import ON_PAPER, Figure
from mlplab.files import replacing

SPECIFICATION, IMAGE = ".vl.json", ".png"
"""How the names of the two files of a figure end."""

OF_COMMANDS = {"importance", "partial_dependence"}
"""Figures that training does not draw."""

SCALE = 1.5
"""Pixels of an image per pixel of a chart."""


def write_figures(folder: Path, charts: Mapping[str, Figure]) -> dict[str, bytes]:
    """Writes figures to `folder/figures`, instead of those that are there. `OF_COMMANDS` remain.

    Returns:
        The PNG of each figure by its name.
    """
    drawn = _drawn(charts)
    for path in (folder / FIGURES).glob("*"):
        if path.name.endswith((SPECIFICATION, IMAGE)) and path.name.partition(".")[0] not in OF_COMMANDS:
            path.unlink()
    return _write(folder, drawn)


def add_figures(folder: Path, charts: Mapping[str, Figure]) -> dict[str, bytes]:
    """Writes figures to `folder/figures`, beside those that are there, as `write_figures`."""
    return _write(folder, _drawn(charts))


def _drawn(charts: Mapping[str, Figure]) -> dict[str, tuple[str, bytes]]:
    """The specification and the PNG of each chart. All are drawn, which takes time, before any is written."""
    drawn = {}
    for name, chart in charts.items():
        specification = chart.to_dict(validate=False)  # the tests validate; here it would take half the time
        drawn[name] = json.dumps(specification, separators=(",", ":")), image(specification)
    return drawn


def _write(folder: Path, drawn: Mapping[str, tuple[str, bytes]]) -> dict[str, bytes]:
    place = folder / FIGURES
    place.mkdir(exist_ok=True)
    for name, (specification, png) in drawn.items():
        with replacing(place / f"{name}{SPECIFICATION}", synced=False) as partial:
            partial.write_text(specification, encoding="utf-8")
        with replacing(place / f"{name}{IMAGE}", synced=False) as partial:
            partial.write_bytes(png)
    return {name: png for name, (_, png) in drawn.items()}


def is_drawn(folder: Path) -> bool:
    """Whether the figures of a run or a sweep have been written."""
    names = {path.name.partition(".")[0] for path in (folder / FIGURES).glob(f"*{SPECIFICATION}")}
    return bool(names - OF_COMMANDS)


def read_figures(folder: Path) -> dict[str, dict[str, Any]]:
    """The Vega-Lite specifications in `folder/figures` by name; damaged files are left out."""
    found = {}
    for path in sorted((folder / FIGURES).glob(f"*{SPECIFICATION}")):
        try:
            content = json.loads(path.read_bytes())
        except ValueError:
            continue
        if isinstance(content, dict):
            found[path.name.removesuffix(SPECIFICATION)] = content
    return found


def image(specification: dict[str, Any]) -> bytes:
    """A PNG of a figure on white paper."""
    png: bytes = vl_convert.vegalite_to_png(specification, scale=SCALE, config=ON_PAPER)
    return png
