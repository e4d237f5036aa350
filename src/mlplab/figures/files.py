"""The files of figures: for each a Vega-Lite specification, which pages draw, and a PNG."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import vl_convert

from mlplab.figures.style import ON_PAPER, Figure
from mlplab.files import replacing

FIGURES = "figures"
"""The folder of figures in the folder of a run or a sweep."""

SPECIFICATION, IMAGE = ".vl.json", ".png"
"""How the names of the two files of a figure end."""

SCALE = 1.5
"""Pixels of an image per pixel of a chart."""


def write_figures(folder: Path, charts: Mapping[str, Figure]) -> dict[str, bytes]:
    """Writes figures to `folder/figures`, instead of those that are there.

    Returns:
        The PNG of each figure by its name.
    """
    for path in (folder / FIGURES).glob("*"):
        if path.name.endswith((SPECIFICATION, IMAGE)):
            path.unlink()
    return add_figures(folder, charts)


def add_figures(folder: Path, charts: Mapping[str, Figure]) -> dict[str, bytes]:
    """Writes figures to `folder/figures`, beside those that are there, as `write_figures`."""
    place = folder / FIGURES
    place.mkdir(exist_ok=True)
    images = {}
    for name, chart in charts.items():
        specification = chart.to_dict(validate=False)  # the tests validate; here it would take half the time
        images[name] = image(specification)
        with replacing(place / f"{name}{SPECIFICATION}", synced=False) as partial:
            partial.write_text(json.dumps(specification, separators=(",", ":")), encoding="utf-8")
        with replacing(place / f"{name}{IMAGE}", synced=False) as partial:
            partial.write_bytes(images[name])
    return images


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
