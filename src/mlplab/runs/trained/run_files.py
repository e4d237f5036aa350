"""A run that has ended, as its folder holds it."""

import shutil
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from mlplab.config.run import METRICS
from mlplab.data.schema import Schema
from mlplab.figures import Curve
from mlplab.figures.files import read_figures
from mlplab.files import Plain
from mlplab.imports import heavy_imports
from mlplab.runs.discovery import TEST_PREDICTIONS, read_config, read_metrics, read_schema
from mlplab.runs.loggers.read_curves import read_curves

if TYPE_CHECKING:
    from mlplab.runs.trained.ensemble import Ensemble

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
