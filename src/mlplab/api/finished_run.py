"""A run that has ended: its scores, curves, figures and predictions."""

import shutil
import weakref
from collections.abc import Sequence
from html import escape
from io import StringIO
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import polars as pl
from jaxtyping import Float64

from mlplab.commands.arguments import Evaluate
from mlplab.config.validation import validated
from mlplab.console import print_line
from mlplab.data.frames import FrameLike, to_polars
from mlplab.data.new_rows import MissingColumns
from mlplab.data.schema import Schema
from mlplab.errors import UserError, refusal
from mlplab.files import Plain, check_absent
from mlplab.imports import check_installed, heavy_imports
from mlplab.runs.discovery import REPORT_FILE, is_run
from mlplab.runs.run_archive import SUFFIX, is_run_file, unpack
from mlplab.runs.trained.run_files import RunFiles

if TYPE_CHECKING:
    import altair as alt

    from mlplab.commands.importance import Importance
    from mlplab.runs.in_memory import RunInMemory
    from mlplab.runs.predictions import AnyLevels
    from mlplab.runs.trained.ensemble import Ensemble, Predictions


class FinishedRun:
    """A trained network, or the ensemble of one run, with everything that is known of it.

    Args:
        source: the files of the run, or the run in memory.
        frame: the rows, if they are a frame in memory.
        file: the one from which the run was loaded.
        sweep: that of the run, if its folder is temporary.

    Attributes:
        metrics: scores such as `test/rmse`, in units of the target; the content of `metrics.json`.
        config: the whole configuration, nested, in which values replace `auto`.
        folder: of the run; None if it was trained in memory, or loaded from a file.
        is_temporary: whether the folder is removed with this object.
    """

    def __init__(
        self,
        source: "RunFiles | RunInMemory",
        frame: pl.DataFrame | None = None,
        *,
        file: Path | None = None,
        sweep: object = None,
    ) -> None:
        self._source, self._frame, self._file, self._sweep = source, frame, file, sweep
        self.metrics, self.config = source.metrics, source.config
        self.folder: Path | None = None if file else getattr(source, "folder", None)
        self.is_temporary = sweep is not None

    @property
    def schema(self) -> Schema:
        """The columns: their kinds and categories, and the classes of the target."""
        return self._source.schema

    @property
    def model(self) -> "Ensemble":
        """The networks that predict."""
        return self._source.model

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
        curves = self._source.curves
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
        if (predictions := self._source.test_predictions) is None:
            raise self._lacks("test predictions", "train with test=True and test_predictions=True")
        return predictions

    def _lacks(self, what: str, remedy: str) -> UserError:
        remedy = "load the folder of the run" if self._file else remedy
        return refusal(f"has no {what}", self._file or self.folder or "this run", remedy)

    @property
    def figures(self) -> "dict[str, alt.Chart]":
        """Altair's charts by name; none if the run was not drawn."""
        import altair as alt

        return {name: alt.Chart.from_dict(chart) for name, chart in self._source.specifications.items()}

    @overload
    def predict(self, frame: FrameLike, *, missing_columns: MissingColumns = ...) -> "Predictions": ...

    @overload
    def predict(
        self,
        frame: FrameLike,
        interval: "AnyLevels | None" = None,
        sets: "AnyLevels | None" = None,
        *,
        missing_columns: MissingColumns = ...,
    ) -> pl.DataFrame: ...

    def predict(
        self,
        frame: FrameLike,
        interval: "AnyLevels | None" = None,
        sets: "AnyLevels | None" = None,
        *,
        missing_columns: MissingColumns = "refuse",
    ) -> "Predictions | pl.DataFrame":
        """The target of each row in its own units, or its class; with `interval` or `sets`, a frame with the
        limits around it, or the classes that it may be: see `Ensemble.predict`.

        With `missing_columns="impute"`, as in all methods that predict, columns that the frame lacks are
        missing in all rows, instead of being refused.
        """
        return self.model.predict(frame, interval, sets, missing_columns=missing_columns)

    def predict_proba(
        self, frame: FrameLike, *, missing_columns: MissingColumns = "refuse"
    ) -> Float64[np.ndarray, "row class"]:
        """The probability of each of `classes`."""
        return self.model.predict_proba(frame, missing_columns=missing_columns)

    def predict_quantiles(
        self, frame: FrameLike, *, missing_columns: MissingColumns = "refuse"
    ) -> pl.DataFrame:
        """The median and all quantiles of `loss=quantile`: see `Ensemble.predict_quantiles`."""
        return self.model.predict_quantiles(frame, missing_columns=missing_columns)

    def predict_spread(self, frame: FrameLike, *, missing_columns: MissingColumns = "refuse") -> pl.DataFrame:
        """How far the networks of an ensemble disagree: see `Ensemble.predict_spread`."""
        return self.model.predict_spread(frame, missing_columns=missing_columns)

    def evaluate(
        self, frame: FrameLike | str | PathLike[str] = None, *, threshold: float | None = None
    ) -> Plain:
        """Scores rows of a frame or a file, as the command `evaluate`; by default, the run's own test rows.

        Rows that took part in training or validation are left out.

        Args:
            threshold: the probability from which the second of two classes is predicted; None: as in
                training.

        Returns:
            Scores such as `test/rmse` and, of the baselines, `boosting/test/rmse`.

        Raises:
            UserError: if the rows do not match the network's columns, or none is left; or if there are not
                two classes for the threshold.
        """
        validated({"run": "this", "threshold": threshold}, Evaluate)
        return self._evaluated(frame, threshold=threshold).plain()

    def importance(self, frame: FrameLike = None) -> pl.DataFrame:
        """How much the error grows when a column is shuffled: mean and standard deviation, largest first.

        Raises:
            UserError: as `evaluate`.
        """
        found: Importance = self._evaluated(frame, importance=True).importance
        return pl.DataFrame(found.columns).rename({"name": "column"})

    def _evaluated(
        self, frame: FrameLike, *, importance: bool = False, threshold: float | None = None
    ) -> Any:
        with heavy_imports():
            from mlplab.commands.evaluate import score
            from mlplab.data.cache import DataCache

        rows, trained_on = _path_or_frame(frame), self._frame
        if trained_on is None and isinstance(rows, pl.DataFrame):  # which may be the same again
            trained_on = rows
        return score(self.model, DataCache(trained_on), rows, importance=importance, threshold=threshold)

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
            from mlplab.runs.predictions import levels_given

        rows = self._frame if frame is None else _path_or_frame(frame)
        write_model(
            self.model, Path(path), rows, levels_given("interval", interval), levels_given("sets", sets)
        )
        return Path(path)

    def save(self, path: str | Path, *, seen: bool = False) -> Path:
        """Saves the run as one file, `price.mlplab`, or as a folder if `path` has another ending.

        `mlplab.load` and all commands take both. The file holds the network, its configuration and scores,
        but no rows of the table; `mlplab export` lists which of its values remain.

        Args:
            seen: whether the file has hashes of the rows in training and validation. Without them, `evaluate`
                cannot leave out such rows of other tables.

        Raises:
            UserError: if the file cannot be written, or for a folder, if there is anything at that path.
        """
        path = Path(path)
        if path.suffix == SUFFIX:
            return self.model.save(path, seen=seen)
        check_absent(path)
        self._source.write(path)
        return path

    def report(self, path: str | Path | None = None) -> Path:
        """Writes a page about the run, and returns its path.

        Args:
            path: of the page; None: `report.html` in the run's folder, or in the current one if it has none.
        """
        from mlplab.commands.report.report import report

        given = None if path is None else Path(path)
        if here := self._file or self.folder:
            return report(here, given)
        with TemporaryDirectory(prefix="mlplab-") as folder:
            self._source.write(Path(folder, "run"))
            return report(Path(folder, "run"), given or Path(REPORT_FILE))

    def __repr__(self) -> str:
        from rich.console import Console

        from mlplab.commands.train import print_scores

        text = StringIO()
        console = Console(file=text, width=80, force_jupyter=False, force_terminal=False)
        has_class_weights = self.config["data"]["class_weights"] != "none"
        print_scores(self.metrics, console, has_class_weights=has_class_weights)
        where = "temporary; run.save(path) copies it" if self.is_temporary else self.folder
        print_line(console, f"run folder: {where or 'none; run.save(path) writes one'}")
        return text.getvalue()

    def _repr_html_(self) -> str:
        import vl_convert

        from mlplab.figures import LEARNING_CURVES
        from mlplab.figures.style import CONFIG

        figure = self.figures.get(LEARNING_CURVES)
        picture = vl_convert.vegalite_to_svg(figure.to_dict(), config=CONFIG) if figure else ""
        return f'<pre style="font-family: monospace; line-height: 1.2">{escape(repr(self))}</pre>{picture}'


def _path_or_frame(rows: FrameLike | str | PathLike[str]) -> str | pl.DataFrame | None:
    if isinstance(rows, str | PathLike):
        return fspath(rows)
    return None if rows is None else to_polars(rows)


def load(
    path: str | PathLike[str] | Sequence[str | PathLike[str]], runs: str | int = "best"
) -> "FinishedRun | Ensemble":
    """Loads a run; or finished runs of a sweep, or a chosen ensemble, as an ensemble.

    Args:
        path: the folder of a run or a sweep, or the file of a chosen ensemble or of saved runs, of which all
            are loaded. Of a list, each has the same weight in one ensemble.
        runs: which runs of a sweep to load. `best`: all seeds and folds of the configuration with the best
            mean validation metric; a number: that many individual runs, best first; `all`: all runs.

    Raises:
        UserError: if there is no finished run, or a checkpoint is damaged, contains code, or belongs to
            another run.
    """
    with heavy_imports():
        from mlplab.runs.trained.load import load_runs, load_together

    if not isinstance(path, str | PathLike):
        return load_together([*map(Path, path)], runs)
    path = Path(path)
    model = load_runs(path, runs)
    if is_run_file(path) and len(model.runs) == 1:
        folder = Path(mkdtemp(prefix="mlplab-"))
        unpack(path, folder)
        files = RunFiles(folder)
        run = FinishedRun(files, file=path)
        weakref.finalize(run, shutil.rmtree, folder, ignore_errors=True)
    elif is_run(path):
        files = RunFiles(path)
        run = FinishedRun(files)
    else:
        return model
    files.model = model
    return run
