"""A run that has ended: its scores, curves, figures and predictions, from its folder."""

import tempfile
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import polars as pl
from jaxtyping import Float64

from mlplab.api.finished import Finished
from mlplab.config.run import METRICS
from mlplab.data.frames import FrameLike, to_polars
from mlplab.data.schema import Schema
from mlplab.errors import Fault, UserError
from mlplab.imports import check_installed, heavy_imports
from mlplab.runs.discovery import TEST_PREDICTIONS, is_run, read_config, read_metrics, read_schema
from mlplab.runs.run_file import SUFFIX, is_run_file, unpack

if TYPE_CHECKING:
    import altair as alt

    from mlplab.commands.importance import Importance
    from mlplab.runs.trained.ensemble import Ensemble, Values
    from mlplab.runs.trained.levels import AnyLevels

CURVES = ("train/loss", "train/lr", *METRICS)
"""Names of curves, as TensorBoard shows them."""


class FinishedRun(Finished):
    """A trained network, or the ensemble of one run, with everything that its folder holds.

    Attributes:
        folder: of the run; one that `is_temporary` is removed with this object.
        metrics: the content of its `metrics.json`: scores such as `test/rmse`, in units of the target.
        config: its whole configuration, nested, in which values replace `auto`.
    """

    def __post_init__(self) -> None:
        """Reads the scores and the configuration."""
        super().__post_init__()
        self.metrics, self.config = read_metrics(self.folder), read_config(self.folder)

    @cached_property
    def model(self) -> "Ensemble":
        """The networks that predict."""
        with heavy_imports():
            from mlplab.runs.trained.load import load

        return load(self.folder)

    @property
    def schema(self) -> Schema:
        """The columns: their kinds and categories, and the classes of the target."""
        return Schema.from_plain(read_schema(self.folder))

    @property
    def classes(self) -> np.ndarray:
        """The classes of the target in order; none for regression."""
        return self.model.classes

    @property
    def history(self) -> pl.DataFrame:
        """A row for each epoch, with the values of the curves; of an ensemble, means over its networks.

        Raises:
            UserError: if the run has no files of TensorBoard, from which they are read.
        """
        from mlplab.runs.loggers.read_curves import read_curves

        curves = read_curves(self.folder, CURVES, most=2**31)
        if not curves:
            raise self._lacks("learning curves", "train with logger=tensorboard")
        values = {name: dict(curve) for name, curve in curves.items()}
        epochs = sorted(set().union(*values.values()))
        columns = {name: [curve.get(epoch) for epoch in epochs] for name, curve in values.items()}
        return pl.DataFrame({"epoch": epochs, **columns}, strict=False)

    @property
    def test_predictions(self) -> pl.DataFrame:
        """The test rows, numbered from 1 as in the table: their targets and predictions.

        Raises:
            UserError: if they were not written.
        """
        path = self.folder / TEST_PREDICTIONS
        if not path.is_file():
            raise self._lacks("test predictions", "train with test=True and test_predictions=True")
        return pl.read_csv(path, infer_schema_length=None, glob=False)

    def _lacks(self, what: str, remedy: str) -> UserError:
        remedy = "load the folder of the run" if self.file else remedy
        return UserError(Fault(f"has no {what}", str(self.file or self.folder), remedy=remedy))

    @property
    def figures(self) -> "dict[str, alt.Chart]":
        """Altair's charts by name; none if the run was not drawn."""
        import altair as alt

        from mlplab.figures.files import read_figures

        return {name: alt.Chart.from_dict(chart) for name, chart in read_figures(self.folder).items()}

    @overload
    def predict(self, frame: FrameLike) -> "Values": ...

    @overload
    def predict(
        self, frame: FrameLike, interval: "AnyLevels | None" = None, sets: "AnyLevels | None" = None
    ) -> pl.DataFrame: ...

    def predict(
        self, frame: FrameLike, interval: "AnyLevels | None" = None, sets: "AnyLevels | None" = None
    ) -> "Values | pl.DataFrame":
        """As `Ensemble.predict`: the target of each row in its own units, or its class; with `interval` or
        `sets`, a frame with the limits around it, or the classes that it may be."""
        return self.model.predict(frame, interval, sets)

    def predict_proba(self, frame: FrameLike) -> Float64[np.ndarray, "row class"]:
        """As `Ensemble.predict_proba`: the probability of each of `classes`."""
        return self.model.predict_proba(frame)

    def predict_quantiles(self, frame: FrameLike) -> pl.DataFrame:
        """As `Ensemble.predict_quantiles`: of `loss=quantile`, the median, and all quantiles."""
        return self.model.predict_quantiles(frame)

    def predict_spread(self, frame: FrameLike) -> pl.DataFrame:
        """As `Ensemble.predict_spread`: how far the networks of an ensemble disagree."""
        return self.model.predict_spread(frame)

    def evaluate(self, frame: FrameLike | str | PathLike[str] = None) -> dict[str, Any]:
        """Scores rows of a frame or a file, as the command `evaluate`; by default, the run's own test rows.

        Rows that took part in training or validation are left out.

        Returns:
            Scores such as `test/rmse` and, of the baselines, `boosting/test/rmse`.

        Raises:
            UserError: if the rows do not match the network's columns, or none is left.
        """
        return self._evaluated(frame).plain()

    def importance(self, frame: FrameLike = None) -> pl.DataFrame:
        """How much the error grows when a column is shuffled: mean and standard deviation, largest first.

        Raises:
            UserError: as `evaluate`.
        """
        found: Importance = self._evaluated(frame, importance=True).importance
        return pl.DataFrame(found.columns).rename({"name": "column"})

    def _evaluated(self, frame: FrameLike, *, importance: bool = False) -> Any:
        with heavy_imports():
            from mlplab.commands.evaluate import score
            from mlplab.data.cache import DataCache

        rows, trained_on = _path_or_frame(frame), self.frame
        if trained_on is None and isinstance(rows, pl.DataFrame):  # which may be the same again
            trained_on = rows
        return score(self.model, DataCache(trained_on), rows, importance=importance)

    def export(
        self,
        path: str | Path,
        frame: FrameLike | str | PathLike[str] = None,
        *,
        interval: "AnyLevels | None" = None,
        sets: "AnyLevels | None" = None,
    ) -> Path:
        """Writes an ONNX model, as the command `export`, and a page about it: of `price.onnx`, `price.md`.

        Args:
            frame: rows on which the model is checked; None: those of the run's table.
            interval, sets: levels of intervals and prediction sets that are outputs, too.

        Raises:
            UserError: if there are no rows, or the model predicts otherwise than the run.
        """
        check_installed("export", "onnx", "onnx", "onnxruntime")
        with heavy_imports():
            from mlplab.commands.export import write_model
            from mlplab.runs.trained.levels import levels_given

        rows = self.frame if frame is None else _path_or_frame(frame)
        levels = levels_given("interval", interval), levels_given("sets", sets)
        return write_model(self.model, Path(path), rows, *levels).model

    def save(self, path: str | Path, *, seen: bool = False) -> Path:
        """Saves the run as one file, `price.mlplab`, or copies its folder if `path` has another ending.

        `mlplab.load` and all commands take both. The file holds the network, its configuration and scores,
        but no rows of the table; which of its values remain is in `model.md`, inside the file.

        Args:
            seen: whether the file has hashes of the rows in training and validation. Without them, `evaluate`
                cannot leave out such rows of other tables.

        Raises:
            UserError: if the file cannot be written, or to copy a folder, if there is anything at that path.
        """
        path = Path(path)
        if path.suffix != SUFFIX:
            return super().save(path)
        return self.model.save(path, seen=seen)

    def report(self) -> Path:
        """Writes a page about the run, and returns its path."""
        from mlplab.commands.report.report import report

        return report(self.file or self.folder)

    def __repr__(self) -> str:
        from mlplab.api.display import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from mlplab.api.display import as_html

        return as_html(self)


def _path_or_frame(rows: FrameLike | str | PathLike[str]) -> str | pl.DataFrame | None:
    if isinstance(rows, str | PathLike):
        return fspath(rows)
    return None if rows is None else to_polars(rows)


def load(path: str | Path, runs: str | int = "best") -> "FinishedRun | Ensemble":
    """Loads a run; or finished runs of a sweep, or a chosen ensemble, as an ensemble.

    Args:
        path: the folder of a run or a sweep, or the file of a chosen ensemble or of saved runs, of which all
            are loaded.
        runs: which runs of a sweep to load. `best`: all seeds and folds of the configuration with the best
            mean validation metric; a number: that many individual runs, best first; `all`: all runs.

    Raises:
        UserError: if there is no finished run, or a checkpoint is damaged, contains code, or belongs to
            another run.
    """
    with heavy_imports():
        from mlplab.runs.trained.load import load as load_runs

    path = Path(path)
    model = load_runs(path, runs)
    if is_run_file(path) and len(model.runs) == 1:
        folder = Path(tempfile.mkdtemp(prefix="mlplab-"))
        unpack(path, folder)
        run = FinishedRun(folder, is_temporary=True, file=path)
    elif is_run(path):
        run = FinishedRun(path)
    else:
        return model
    run.model = model
    return run
