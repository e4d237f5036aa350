"""A sweep or a search that has ended: its results, its best run, and ensembles of its runs."""

import shutil
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from mlplab.api.finished_run import FinishedRun
from mlplab.commands.results import read_runs, results_by_table
from mlplab.data.cache import DataCache
from mlplab.runs.compare.run_result import RUN, trials_in_order
from mlplab.runs.compare.select_runs import select_runs
from mlplab.runs.compare.varying_keys import varying_keys

if TYPE_CHECKING:
    from mlplab.runs.trained.ensemble import Ensemble


class FinishedSweep:
    """The runs of a sweep, with everything that its folder holds.

    Attributes:
        folder: of the sweep, which holds those of its runs; a temporary one is removed with this object.
    """

    def __init__(
        self, folder: Path, frame: pl.DataFrame | None = None, *, is_temporary: bool = False
    ) -> None:
        self.folder, self._frame = folder, frame
        if is_temporary:
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    @property
    def results(self) -> pl.DataFrame:
        """A row for each configuration, the best first: its keys, and means, standard deviations and standard
        errors of its scores over seeds and folds. Of a search, a row for each trial."""
        runs = read_runs([self.folder])
        by = [RUN, *varying_keys(runs)] if trials_in_order(runs) else None
        results = results_by_table(runs, by)[0].frame
        known = [column for column in results if column.null_count() < column.len()]
        name = pl.col(RUN).str.replace_all(f"{self.folder}/", "", literal=True)
        return pl.DataFrame(known).with_columns(name)

    @property
    def best(self) -> FinishedRun:
        """The run with the best validation metric."""
        [folder] = select_runs(self.folder, 1)
        return FinishedRun(folder, self._frame)

    def ensemble(self, runs: int = 5) -> "Ensemble":
        """Chooses so many runs, with repetition, whose mean predicts the validation rows best."""
        from mlplab.commands.select_ensemble import select_ensemble
        from mlplab.runs.trained.ensemble import load

        return load(select_ensemble(self.folder, runs, DataCache(self._frame)).file)

    def __repr__(self) -> str:
        return f"{self.folder}\n{self.results}"

    def _repr_html_(self) -> str:
        return self.results._repr_html_()
