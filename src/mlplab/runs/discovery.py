"""Finds run folders, and reads their files and those of sweeps, which it names. Imports no torch."""

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
from mlplab.files import Plain, read_json, replacing, write_json
from mlplab.runs.versions import check_readable, converted

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
        raise _refused(folder, "contains no run: no folder with config.yaml and metrics.json in it")
    return runs


def _refused(folder: Path, what: str) -> UserError:
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "no such folder"
    return refusal(
        what, folder, "give the folder of a run or a sweep that mlplab train wrote, such as outputs/…"
    )


def read_config(folder: Path) -> Plain:
    """The content of a run's config.yaml, converted from an earlier version, but not validated.

    Raises:
        UserError: if the folder is not a run's, this version cannot read it, or the file is damaged.
    """
    path, text = folder / "config.yaml", _config_text(folder)
    try:  # it may come from a stranger
        events = yaml.parse(text, Loader=yaml.CSafeLoader) if b"&" in text else ()
        if len(text) > 2**20 or any(isinstance(event, yaml.AliasEvent) for event in events):
            raise ValueError("it is too large, or has aliases, which may expand a short text to a huge one")
        content = yaml.load(text, Loader=yaml.CSafeLoader)
        if not isinstance(content, dict):
            raise ValueError("it has no keys")
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = "it is not YAML" if isinstance(error, yaml.YAMLError) else str(error)
        raise refusal(f"is damaged: {reason}", path) from error
    version = read_version(folder)
    check_readable(version, str(path))
    return converted({"config": content}, version)["config"]


def read_version(folder: Path) -> str:
    """The version of mlplab (major, minor) that wrote a run: config.yaml begins with it; 0.1 wrote none.

    Raises:
        UserError: if the folder is not a run's.
    """
    found = re.match(rb"# mlplab (\d+\.\d+)", _config_text(folder))
    return found[1].decode() if found else "0.1"


def read_schema(folder: Path) -> Plain:
    """The content of a run's schema.json, converted from an earlier version; empty if damaged or absent.

    Raises:
        UserError: as `read_version`.
    """
    content = {"schema": read_json(folder / "schema.json")}
    return converted(content, read_version(folder))["schema"]


def _config_text(folder: Path) -> bytes:
    try:
        return (folder / "config.yaml").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise _refused(folder, "is not a run folder") from None


def read_metrics(folder: Path) -> Plain:
    """The content of a run's metrics.json, or the status `unknown` if there is none.

    Raises:
        UserError: if it is damaged.
    """
    path = folder / "metrics.json"
    # Before it is read, for its process may be writing it, or was killed while it created the file.
    if not path.exists() or not path.stat().st_size:
        return {"status": "unknown"}
    if not isinstance((content := read_json(path)).get("status"), str):
        raise UserError(Fault("is damaged", str(path), expected="the flat JSON that a run writes"))
    return content


def has_test_scores(metrics: Mapping[str, object]) -> bool:
    """Whether a run has test scores: those with `test=false` have none."""
    return any(name.startswith("test/") for name in metrics)


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
