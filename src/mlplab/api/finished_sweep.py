"""A sweep or a search that has ended: its results, its best run, and ensembles of its runs."""

import shutil
import weakref
from io import BytesIO
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from mlplab.api.finished_run import FinishedRun
from mlplab.commands.results import read_runs, results_by_table
from mlplab.errors import Fault, UserError, refusal
from mlplab.files import check_absent
from mlplab.runs.compare.ranking import select_runs, varying_keys
from mlplab.runs.compare.run_result import RUN, trials_in_order
from mlplab.runs.run_archive import SUFFIX
from mlplab.runs.trained.run_files import RunFiles

if TYPE_CHECKING:
    from mlplab.runs.trained.ensemble import Ensemble


class FinishedSweep:
    """The runs of a sweep, with everything that its folder holds.

    Attributes:
        folder: of the sweep, which holds those of its runs.
        frame: the rows, if they are a frame in memory.
        is_temporary: whether the folder is removed with this object and its best run.
    """

    def __init__(self, folder: Path, frame: pl.DataFrame | None = None, is_temporary: bool = False) -> None:
        self.folder, self.frame, self.is_temporary = folder, frame, is_temporary
        if is_temporary:
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    @property
    def results(self) -> pl.DataFrame:
        """A row for each configuration, the best first: its keys, and means, standard deviations and standard
        errors of its scores over seeds and folds. Of a search, a row for each trial."""
        runs = read_runs([self.folder])
        keys = varying_keys(runs)
        by = [RUN] * bool(trials_in_order(runs)) + keys
        results = results_by_table(runs, by)[0].frame
        if keys:  # which are text
            text = results.select(keys).write_csv().encode()
            results = results.with_columns(pl.read_csv(BytesIO(text), infer_schema_length=None))
        known = pl.DataFrame([column for column in results if column.null_count() < column.len()])
        return known.with_columns(pl.col("^run$").str.replace(f"{self.folder}/", "", literal=True))

    @property
    def best(self) -> FinishedRun:
        """The run with the best validation metric."""
        [folder] = select_runs(self.folder, 1)
        return FinishedRun(RunFiles(folder), self.frame, sweep=self if self.is_temporary else None)

    def save(self, path: str | Path) -> Path:
        """Copies the folder, which all commands read.

        Raises:
            UserError: if there is a file or folder at that path.
        """
        if Path(path).suffix == SUFFIX:
            raise refusal("is one file, not a folder", path, "save its best run: sweep.best.save(path)")
        check_absent(Path(path))
        return Path(shutil.copytree(self.folder, path))

    def ensemble(self, runs: int = 5) -> "Ensemble":
        """Averages the runs with the best validation metric.

        Args:
            runs: how many; all if there are fewer.

        Raises:
            UserError: if the runs have different tables or targets, or the number is below 1.
        """
        if index(runs) < 1:
            raise UserError(Fault("is no number of runs", "ensemble", str(runs), "1 or more"))
        from mlplab.runs.trained.load import load_runs

        return load_runs(self.folder, index(runs))

    def __repr__(self) -> str:
        return f"{self.folder}\n{self.results}"

    def _repr_html_(self) -> str:
        return self.results._repr_html_()
