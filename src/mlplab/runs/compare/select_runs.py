"""Which runs of a sweep predict: those of the best configuration, the best few, or all."""

import logging
from pathlib import Path

from mlplab.errors import Fault, UserError
from mlplab.runs.compare.labels import labelled
from mlplab.runs.compare.ranking import configurations, ranked
from mlplab.runs.compare.run_result import read_run
from mlplab.runs.compare.same_table import check_one_table
from mlplab.runs.compare.varying_keys import common_monitor, varying_keys, warn_of_ensembles, without_repeats
from mlplab.runs.discovery import finished_runs

log = logging.getLogger(__name__)


def select_runs(folder: Path, choice: str | int = "best") -> list[Path]:
    """A finished run's folder itself, or the chosen ones of a sweep's finished runs, which are logged.

    Args:
        choice: `best`: the runs of the configuration with the best mean validation metric over its seeds
            and folds; a number: that many individual runs, best first; `all`: all runs.

    Raises:
        UserError: if there is no finished run, the runs have different tables, or the choice is invalid.
    """
    folders = finished_runs(folder)
    number = _as_number(choice)
    if folders == [folder]:
        return folders
    runs = without_repeats([read_run(run) for run in folders])
    check_one_table(runs, folder)
    monitor, keys = common_monitor(runs), varying_keys(runs)
    warn_of_ensembles(keys)
    if number is not None:
        chosen = ranked(runs, monitor)[:number]
        what = f"the {len(chosen)} best of {len(runs)} runs by {monitor}"
    elif choice == "all" or not keys:
        chosen, what = runs, f"all {len(runs)} runs"
    else:
        groups = configurations(runs, keys, monitor)
        best, chosen = next(iter(groups.items()))
        which = f"those with {labelled(keys, best)}: the best of {len(groups)} configurations by {monitor}"
        what = f"{len(chosen)} of {len(runs)} runs, {which}"
    log.info("%s: %s", folder, what)
    return [run.folder for run in chosen]


def _as_number(choice: str | int) -> int | None:
    if choice in ("best", "all"):
        return None
    if (isinstance(choice, int) or (choice.isascii() and choice.isdigit())) and int(choice) > 0:
        return int(choice)
    raise UserError(Fault("invalid value", "runs", repr(choice), "best, all, or a number of runs"))
