"""What a page shows about chosen ensembles, from their ensemble.json."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlplab.commands.render import format_score
from mlplab.commands.report.parts.table import read_json
from mlplab.commands.report.parts.text_table import TextTable
from mlplab.runs.discovery import ENSEMBLE_FILE, is_ensemble
from mlplab.runs.selection import RunResult


@dataclass(frozen=True)
class ChosenEnsemble:
    """A chosen ensemble: the weights of its runs by name, and its scores by metric, such as `test/rmse`."""

    folder: Path
    weights: dict[str, float]
    scores: dict[str, float]

    @property
    def tables(self) -> list[TextTable]:
        """Its scores, and the weights of its runs."""
        scores = [(name, format_score(value, name)) for name, value in self.scores.items()]
        weights = [(name, f"{weight:.4g}") for name, weight in self.weights.items()]
        return [
            TextTable("Scores of the ensemble", ("metric", "score"), scores),
            TextTable("The runs in it", ("run", "weight"), weights),
        ]


def read_ensemble(folder: Path) -> ChosenEnsemble | None:
    """The chosen ensemble in a folder; None if the folder is something else, or its file is damaged."""
    if not is_ensemble(folder):
        return None
    saved = read_json(folder / ENSEMBLE_FILE)
    try:
        weights = {str(name): float(weight) for name, weight in saved.pop("runs").items()}
        scores = {name: float(value) for name, value in saved.items()}
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
    return ChosenEnsemble(folder, weights, scores)


def ensembles_of(runs: Sequence[RunResult]) -> list[ChosenEnsemble]:
    """The ensembles that were chosen among some runs, beside whose folders theirs are."""
    found = []
    for parent in sorted({run.folder.parent for run in runs}):
        names = {run.folder.name for run in runs if run.folder.parent == parent}
        ensembles = map(read_ensemble, sorted(parent.iterdir()))
        found += [each for each in ensembles if each and each.weights.keys() <= names]
    return found
