"""The files of figures: for each a Vega-Lite specification, which pages draw, and a PNG."""

import json
from collections.abc import Mapping
from pathlib import Path

import vl_convert

from mlplab.figures import FIGURES, SPECIFICATION
from mlplab.figures.style import CONFIG, Figure
from mlplab.files import Plain, read_json, replacing

IMAGE = ".png"


def write_figures(folder: Path, charts: Mapping[str, Figure]) -> None:
    """Writes figures to `folder/figures`. All are drawn, which takes time, before any is written."""
    files = dict[str, bytes]()
    for name, chart in charts.items():
        specification = chart.to_dict(validate=False)  # which would take half the time; the tests validate
        files[f"{name}{SPECIFICATION}"] = json.dumps(specification, separators=(",", ":")).encode()
        files[f"{name}{IMAGE}"] = image(specification)
    (folder / FIGURES).mkdir(exist_ok=True)
    for name, content in files.items():
        with replacing(folder / FIGURES / name, synced=False) as partial:
            partial.write_bytes(content)


def figure_images(folder: Path) -> dict[str, Path]:
    """The images in `folder/figures` by name."""
    return {path.stem: path for path in sorted((folder / FIGURES).glob(f"*{IMAGE}"))}


def read_figures(folder: Path) -> dict[str, Plain]:
    """The Vega-Lite specifications in `folder/figures` by name; damaged files are left out."""
    paths = sorted((folder / FIGURES).glob(f"*{SPECIFICATION}"))
    figures = {path.name.removesuffix(SPECIFICATION): read_json(path) for path in paths}
    return {name: figure for name, figure in figures.items() if figure}


def image(specification: Plain) -> bytes:
    """A PNG of a figure on white paper, with 1.5 pixels per pixel of the chart."""
    return vl_convert.vegalite_to_png(specification, scale=1.5, config=CONFIG)
