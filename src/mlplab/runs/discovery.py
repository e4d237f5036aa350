"""Finds run folders; names their files and those of sweeps. Imports no torch."""

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import FiniteFloat, TypeAdapter, ValidationError

from mlplab.errors import Fault, UserError, listed, refusal
from mlplab.figures import FIGURES
from mlplab.files import Plain, replacing, write_json
from mlplab.runs.read_folder import not_a_run, read_metrics

DEPTH = 3
"""Levels of folders that are searched: outputs, sweeps, runs. A run in a sweep may also be named `a/b`."""

TEST_PREDICTIONS, FILM_FILE = "test_predictions.csv", "film.html"
"""Files of a run: its test rows with predictions, and the page that shows how its networks learned."""

REPORT_FILE, BEST_TRIAL_FILE = "report.html", "best.yaml"
"""Files of a sweep: what the command report writes, and what a search says of its best trial."""

ENSEMBLE_FILE = re.compile(r"ensemble-\d+\.json")
"""The name of the file. Its number is that of the runs; in a sweep of 1.0, of the steps that chose them."""

LARGEST_ENSEMBLE_FILE = 2**26  # bytes

EVALUATION_FILE, IMPORTANCE_FILE = "evaluation.json", "importance.json"

AVERAGE_INSTEAD = "average the best runs of the sweep: run=SWEEP runs=N"

TRIAL = re.compile(r"trial-(\d{4,})")
"""The name of a trial's folder: its number is the order in which the search asked for the trials."""


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's."""
    return (folder / "config.yaml").is_file() and (
        (folder / "metrics.json").is_file() or (folder / "checkpoints").is_dir()
    )


def runs_below(folder: Path, depth: int = DEPTH) -> Iterator[Path]:
    """The run folders in a folder, at most `depth` levels down and sorted by name; or the folder itself."""
    if is_run(folder):
        yield folder
    elif depth:
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.is_dir() and not entry.name.startswith("."):
                yield from runs_below(Path(entry.path), depth - 1)


def runs_in(folder: Path, depth: int = DEPTH) -> list[Path]:
    """The run folders in a folder, as `runs_below`.

    Raises:
        UserError: if there is none.
    """
    if not (runs := list(runs_below(folder, depth)) if folder.is_dir() else []):
        raise not_a_run(folder, "contains no run: no folder with config.yaml and metrics.json in it")
    return runs


def finished_runs(folder: Path) -> list[Path]:
    """A finished run's folder itself, or the finished runs of a sweep's folder.

    Raises:
        UserError: if there is none.
    """
    statuses = {run: read_metrics(run)["status"] for run in runs_in(folder, depth=1)}
    done = [run for run, status in statuses.items() if status == "done"]
    if not done:
        found = listed(f"{run.name}: {status}" for run, status in statuses.items())
        raise UserError(Fault("contains no finished run", str(folder), found))
    return done


def finished_run(folder: Path, key: str) -> Path:
    """The folder, which the key `key` gave, if it is a finished run's.

    Raises:
        UserError: otherwise.
    """
    if finished_runs(folder) != [folder]:
        raise refusal("is the folder of a sweep", f"{key}={folder}", "give the folder of one of its runs")
    return folder


def is_written_later(name: str) -> bool:
    """Whether commands add a file or folder of this name to the folder of several runs."""
    is_known = name in (EVALUATION_FILE, IMPORTANCE_FILE, REPORT_FILE, FIGURES)
    is_model = re.fullmatch(r"(model|ensemble-\d+)\.(onnx|md)", name)  # of the command export
    return is_known or bool(is_model or ENSEMBLE_FILE.fullmatch(name))


@dataclass(frozen=True)
class ChosenEnsemble:
    """Runs of a sweep that predict together.

    Attributes:
        runs: the weight of each run, by the name of its folder; their sum is 1.
    """

    runs: Mapping[str, FiniteFloat]

    @classmethod
    def read(cls, path: Path) -> "ChosenEnsemble":
        """Reads the file of a chosen ensemble, which may come from a stranger.

        Raises:
            UserError: if it is damaged, or names other folders than those of runs beside it.
        """
        if path.stat().st_size > LARGEST_ENSEMBLE_FILE:
            what = f"is too large for a chosen ensemble: more than {LARGEST_ENSEMBLE_FILE // 2**20} MiB"
            raise refusal(what, path, AVERAGE_INSTEAD)
        try:
            ensemble = TypeAdapter(cls).validate_json(path.read_bytes())
        except ValidationError as error:
            raise refusal("is not the file of a chosen ensemble", path, AVERAGE_INSTEAD) from error
        weights = ensemble.runs.values()
        if not all(weight > 0 for weight in weights) or not math.isclose(sum(weights), 1, rel_tol=1e-6):
            raise refusal("is damaged: it has no weights with the sum 1", path, AVERAGE_INSTEAD)
        beside = {run.name for run in runs_below(path.parent, depth=1)}
        if missing := [name for name in ensemble.runs if name not in beside]:
            what, found = "names runs that are not beside it", listed(missing, 3)
            raise UserError(Fault(what, str(path), found, remedy=f"put them there, or {AVERAGE_INSTEAD}"))
        return ensemble

    def write(self, path: Path) -> None:
        """Writes the file, or replaces an earlier one."""
        write_json(path, asdict(self))


def trial_name(number: int) -> str:
    """The name of a trial's folder."""
    return f"trial-{number:04d}"


def write_best_trial(folder: Path, content: Plain) -> None:
    """Writes the file about the best trial to a sweep's folder, or replaces it: a line for each key."""
    options: Any = {"sort_keys": False, "default_flow_style": None, "allow_unicode": True, "width": 2**16}
    text = yaml.dump(content, Dumper=yaml.CSafeDumper, **options)
    with replacing(folder / BEST_TRIAL_FILE) as partial:
        partial.write_text(text, encoding="utf-8")
