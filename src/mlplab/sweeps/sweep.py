"""A sweep: a grid of runs, or a search. Imports torch only when runs train."""

from contextlib import closing, suppress

from rich.console import Console

from mlplab.data.cache import DataCache
from mlplab.errors import RunFailed
from mlplab.files import FolderLock
from mlplab.sweeps.conclude import conclude, how_to_train, results_of, winner
from mlplab.sweeps.grid import grid, varying
from mlplab.sweeps.launch import ComposedSweep, SweepLauncher
from mlplab.sweeps.search.space import is_search
from mlplab.sweeps.sweep_folder import check_sweep_folder


def sweep(composed: ComposedSweep, cache: DataCache, console: Console, progress: Console) -> None:
    """Trains the runs of a sweep, and prints what came of them to `console`, with bars on `progress`.

    Raises:
        UserError: if a value, the table or the folder cannot be used.
        RunFailed: if some runs failed.
    """
    root = composed.root
    searches = is_search(composed.overrides, composed.settings)
    check_sweep_folder(root, searches=searches)
    created = [folder for folder in (root, *root.parents) if not folder.exists()]
    root.mkdir(parents=True, exist_ok=True)
    try:
        with FolderLock(root), closing(SweepLauncher(composed, cache, console, progress)) as launcher:
            if searches:
                from mlplab.sweeps.search.search_loop import search

                search(launcher)
            else:
                # If only the fold varies, that is a cross-validation of the network that a run alone trains.
                alone = varying(composed.overrides) == {"data.split.fold"}
                runs = grid(composed.overrides)
                comparisons = results_of(root, launcher.launch(runs, {}, alone=alone))
                best = () if alone or cache.frame is not None else winner(comparisons, runs)
                lines = how_to_train(composed.compose, best, cache) if best else []
                if failures := conclude(launcher, comparisons, lines):
                    raise RunFailed(failures)
    finally:
        for folder in created:
            with suppress(OSError):  # it is not empty
                folder.rmdir()
