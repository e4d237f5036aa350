"""Loads trained runs: of a run, a sweep, a chosen ensemble, or a file of runs."""

from dataclasses import replace
from pathlib import Path

from mlplab.runs.compare.select_runs import select_runs
from mlplab.runs.run_file import is_run_file, unpacked
from mlplab.runs.trained.chosen_ensemble import ChosenEnsemble
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.trained_run import TrainedRun


def load_runs(path: str | Path, runs: str | int = "best") -> Ensemble:
    """Loads a run's best checkpoint, or those of a sweep's finished runs as an ensemble.

    Args:
        path: the folder of a run or a sweep, or the file of a chosen ensemble or of saved runs, of which all
            are loaded.
        runs: which runs of a sweep to load, as in `select_runs`.

    Raises:
        UserError: if there is no finished run, or a checkpoint is damaged, contains code, or belongs to
            another run.
    """
    path = Path(path)
    with unpacked(path) as folder:
        chosen = next(folder.glob("ensemble-*.json"), None) if is_run_file(path) else path
        if chosen is None or not chosen.is_file():
            folders, weights = select_runs(folder, runs), None
        else:
            by_name = ChosenEnsemble.read(chosen).runs
            folders, weights = [chosen.parent / name for name in by_name], [*by_name.values()]
        loaded = [TrainedRun.read(each) for each in folders]
        if is_run_file(path):  # whose folders go
            loaded = [replace(run, folder=path) for run in loaded]
        return Ensemble(loaded, weights)
