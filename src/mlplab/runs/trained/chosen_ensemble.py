"""The file of a chosen ensemble, beside the runs of its sweep: the weight of each. Imports no torch."""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import FiniteFloat, TypeAdapter, ValidationError

from mlplab.errors import Fault, UserError, listed, refusal
from mlplab.figures import FIGURES
from mlplab.files import write_json
from mlplab.runs.discovery import REPORT_FILE, runs_below

ENSEMBLE_FILE = re.compile(r"ensemble-\d+\.json")
"""The name of the file: its number is that of the steps in which the ensemble was chosen."""

MODEL_FILES = re.compile(r"(model|ensemble-\d+)\.(onnx|md)")
"""What the command export writes."""

EVALUATION_FILE, IMPORTANCE_FILE = "evaluation.json", "importance.json"

REMEDY = "choose again: mlplab evaluate run=SWEEP select=N"


def is_written_later(name: str) -> bool:
    """Whether commands add a file or folder of this name to the folder of several runs."""
    is_known = name in (EVALUATION_FILE, IMPORTANCE_FILE, REPORT_FILE, FIGURES)
    return is_known or any(names.fullmatch(name) for names in (ENSEMBLE_FILE, MODEL_FILES))


@dataclass(frozen=True)
class ChosenEnsemble:
    """Runs of a sweep that predict together.

    Attributes:
        runs: the weight of each run, by the name of its folder; their sum is 1.
        scores: by metric, such as `val/mae` and `test/rmse`; None if one is not finite.
    """

    runs: Mapping[str, FiniteFloat]
    scores: Mapping[str, FiniteFloat | None]

    @classmethod
    def read(cls, path: Path) -> "ChosenEnsemble":
        """Reads the file of a chosen ensemble, which may come from a stranger.

        Raises:
            UserError: if it is damaged, or names other folders than those of runs beside it.
        """
        try:
            ensemble = TypeAdapter(cls).validate_json(path.read_bytes())
        except ValidationError as error:
            raise refusal("is not the file of a chosen ensemble", path, REMEDY) from error
        weights = ensemble.runs.values()
        if not all(weight > 0 for weight in weights) or not math.isclose(sum(weights), 1, rel_tol=1e-6):
            raise refusal("is damaged: it has no weights with the sum 1", path, REMEDY)
        beside = {run.name for run in runs_below(path.parent, depth=1)}
        if missing := [name for name in ensemble.runs if name not in beside]:
            what, found = "names runs that are not beside it", listed(missing, 3)
            raise UserError(Fault(what, str(path), found, remedy=f"put them there, or {REMEDY}"))
        return ensemble

    def write(self, path: Path) -> None:
        """Writes the file, or replaces an earlier one."""
        write_json(path, asdict(self))
