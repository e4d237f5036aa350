"""A run that has ended, as its folder holds it; its curves, from the event files that TensorBoard reads."""

import math
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event

from mlplab.config.run import METRICS
from mlplab.data.schema import Schema
from mlplab.figures import Curve
from mlplab.figures.write_figures import read_figures
from mlplab.files import Plain
from mlplab.imports import heavy_imports
from mlplab.runs.discovery import TEST_PREDICTIONS
from mlplab.runs.read_folder import read_config, read_metrics, read_schema

if TYPE_CHECKING:
    from mlplab.runs.trained.ensemble import Ensemble

MOST_POINTS = 300
"""Points of a curve that a chart shows at most."""

CURVES = ("train/loss", "train/lr", *METRICS)
"""Names of curves, as TensorBoard shows them."""


class RunFiles:
    """The files of a run: what `runs.in_memory.RunInMemory` is of one that was trained in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metrics, self.config = read_metrics(folder), read_config(folder)

    @property
    def schema(self) -> Schema:
        """The columns."""
        return Schema.from_plain(read_schema(self.folder))

    @cached_property
    def model(self) -> "Ensemble":
        """The networks that predict."""
        with heavy_imports():
            from mlplab.runs.trained.load import load_runs

        return load_runs(self.folder)

    @property
    def curves(self) -> dict[str, Curve]:
        """The finite points of its curves by epoch; none without files of TensorBoard."""
        return read_curves(self.folder, CURVES, most=2**31)

    @property
    def test_predictions(self) -> pl.DataFrame | None:
        """The test rows with their targets and predictions; None if they were not written."""
        path = self.folder / TEST_PREDICTIONS
        return pl.read_csv(path, infer_schema_length=None, glob=False) if path.is_file() else None

    @property
    def specifications(self) -> dict[str, Plain]:
        """Its figures by name, in Vega-Lite."""
        return read_figures(self.folder)

    def write(self, folder: Path) -> None:
        """Copies the folder."""
        shutil.copytree(self.folder, folder)


def read_curves(run: Path, names: Collection[str], most: int = MOST_POINTS) -> dict[str, Curve]:
    """The finite points of some curves by epoch, at most `most` of each; empty curves are left out.

    A run that was resumed has several files; of points of the same epoch, the last counts. What follows
    damage in a file is left out.
    """
    points: dict[str, dict[int, float]] = {name: {} for name in names}
    tags = [name.encode() for name in names]
    for path in sorted(run.rglob("events.out.tfevents.*")):
        with suppress(Exception):  # a damaged file may raise anything; what was read before is shown
            for record in RawEventFileLoader(str(path)).Load():
                if any(tag in record for tag in tags):  # parsing takes longer than reading
                    _add(Event.FromString(record), points)
    return thinned({name: sorted(curve.items()) for name, curve in points.items()}, most)


def thinned(curves: Mapping[str, Curve], most: int = MOST_POINTS) -> dict[str, Curve]:
    """At most `most` points of each curve, evenly spaced, with the first and the last; none of empty ones."""
    counts = {name: len(curve) for name, curve in curves.items() if curve}
    places = {name: np.linspace(0, count - 1, min(most, count)).round() for name, count in counts.items()}
    return {name: [curves[name][int(place)] for place in places[name]] for name in counts}


def _add(event: Event, points: dict[str, dict[int, float]]) -> None:
    for value in event.summary.value:
        is_point = value.tag in points and value.HasField("simple_value") and event.step > 0
        if is_point and math.isfinite(value.simple_value):
            points[value.tag][event.step] = value.simple_value
