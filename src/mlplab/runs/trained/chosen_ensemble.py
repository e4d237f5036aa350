"""The folder of a chosen ensemble: copies of runs' folders, and the weight of each. Imports no torch."""

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlplab.errors import Fault, UserError, listed
from mlplab.figures import FIGURES
from mlplab.runs.discovery import ENSEMBLE_FILE, REPORT_FILE, is_ensemble

COPIED = ("config.yaml", "metrics.json", "schema.json", "environment.json", "checkpoints/best.ckpt")
"""The files of a run that its copy has."""

EVALUATION_FILE, IMPORTANCE_FILE = "evaluation.json", "importance.json"

WRITTEN_LATER = {EVALUATION_FILE, IMPORTANCE_FILE, REPORT_FILE, FIGURES}
"""What commands add to the folder of several runs."""


def run_weights(folder: Path, runs: Sequence[Path]) -> list[float] | None:
    """The weights of the runs of a chosen ensemble; None if the folder is something else.

    Raises:
        UserError: if its file is damaged, or does not fit the runs.
    """
    if not is_ensemble(folder):
        return None
    weights = _weights(folder)
    if differing := sorted({run.name for run in runs} ^ weights.keys()):
        raise _damaged(folder, f"does not fit the runs in its folder: {listed(differing)}")
    return [weights[run.name] for run in runs]


def _weights(folder: Path) -> dict[str, float]:
    try:
        runs = json.loads((folder / ENSEMBLE_FILE).read_bytes())["runs"]
        weights = {str(name): float(weight) for name, weight in runs.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        weights = {}
    positive = all(0 < weight <= 1 for weight in weights.values())
    if not positive or not math.isclose(sum(weights.values()), 1, rel_tol=1e-6):
        raise _damaged(folder, "is damaged: it has no weights with the sum 1")
    return weights


def _damaged(folder: Path, what: str) -> UserError:
    remedy = f"remove {folder}, then choose again: evaluate.py run=SWEEP select=N"
    return UserError(Fault(what, str(folder / ENSEMBLE_FILE), remedy=remedy))


def check_replaceable(folder: Path) -> None:
    """Checks that a folder does not exist, is empty, or holds nothing but a chosen ensemble.

    Raises:
        UserError: otherwise.
    """
    known = WRITTEN_LATER | ({ENSEMBLE_FILE, *_weights(folder)} if is_ensemble(folder) else set())
    others = sorted({entry.name for entry in folder.iterdir()} - known) if folder.is_dir() else []
    if folder.is_file() or others:
        found = f"in it: {listed(others, 3)}" if others else "a file"
        raise UserError(Fault("is not only a chosen ensemble", str(folder), found, remedy="move this away"))


def write_ensemble(folder: Path, runs: Mapping[Path, float], scores: Mapping[str, Any]) -> None:
    """Writes the folder of a chosen ensemble, or replaces an earlier one.

    Args:
        runs: the weight of each run.
        scores: further content of its file.
    """
    with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as name:
        new = Path(name) / folder.name
        for run in runs:
            for file in COPIED:
                (new / run.name / file).parent.mkdir(parents=True, exist_ok=True)
                if (run / file).exists():
                    shutil.copyfile(run / file, new / run.name / file)
        content = {"runs": {run.name: weight for run, weight in runs.items()}, **scores}
        (new / ENSEMBLE_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            folder.replace(Path(name) / "replaced")
        new.replace(folder)
