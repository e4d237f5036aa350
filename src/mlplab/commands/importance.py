"""The command evaluate with `importance=true`: which columns matter for predictions, and how."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from mlplab.commands.evaluation_rows import EvaluationData
from mlplab.commands.render import NOT_A_TEST
from mlplab.console import counted_lines
from mlplab.data.schema import Schema
from mlplab.errors import Fault, UserError
from mlplab.files import replacing
from mlplab.runs.trained.chosen_ensemble import IMPORTANCE_FILE
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.greedy_selection import error_of
from mlplab.runs.trained.partial_dependence import PartialDependence, partial_dependence
from mlplab.runs.trained.permutation_importance import (
    ColumnImportance,
    affordable,
    permutation_importance,
    shuffles,
)
from mlplab.runs.trained.replaced_cells import ReplacedCells

MAX_DEPENDENCES = 4
"""The most columns with a partial dependence."""

DEPENDENCE_ROWS = 500
"""The most rows over which a partial dependence is averaged."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Importance:
    """What columns matter for the predictions of a run or an ensemble.

    Attributes:
        source: the rows in words.
        part: `test`, or `all` if some of the rows were in training or validation.
        targets: what is predicted.
        metric: the name of the error: `rmse` or `log_loss`.
        error: its value before any shuffling.
        rows: the number of rows that were used.
        repeats: the number of shuffles of each column.
        columns: the most important first.
        partial_dependence: of the most important columns.
        basis: rows and shuffles in words; then whether it is no test.
    """

    source: str
    part: str
    targets: tuple[str, ...]
    metric: str
    error: float
    rows: int
    repeats: int
    columns: tuple[ColumnImportance, ...]
    partial_dependence: tuple[PartialDependence, ...]
    basis: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """The content of importance.json, except the names of the runs."""
        return {name: value for name, value in asdict(self).items() if name != "basis"}


def check_shared_rows(data: Sequence[EvaluationData]) -> None:
    """Checks that all runs are evaluated on the same rows.

    Raises:
        UserError: otherwise.
    """
    if not all(rows.has_same_rows(data[0]) for rows in data):
        what = "the runs have different splits, so one run's test rows are another's training rows"
        remedy = "give one run, or a file with rows that are new to all: data.path=…"
        raise UserError(Fault(what, "importance=true", remedy=remedy))


def importance_of(ensemble: Ensemble, data: Sequence[EvaluationData], part: str) -> Importance:
    """The importance of each column for an ensemble, and the partial dependence on the most important ones.

    Rows with weight 0 are left out. Rows are drawn, and columns shuffled, by the seed of the first run.

    Args:
        data: the rows of each run; all runs have the same ones.
        part: `test`, or `all` if some of the rows were in training or validation.

    Raises:
        UserError: if all rows have weight 0, or a prediction is not finite.
    """
    schema, seed, first = ensemble.schema, ensemble.config[0].seed, data[0]
    rows = first.rows if first.weight is None else first.rows[first.weight[first.rows] > 0]
    if not len(rows):
        remedy = "give rows with a weight above 0: data.path=…"
        raise UserError(Fault("all rows have weight 0", first.source, remedy=remedy))
    weights = sum(tensor.numel() for run in ensemble.members for tensor in run.state.values())
    count, repeats = affordable(len(rows), len(schema.inputs), weights)
    source = np.random.default_rng(seed)
    rows = np.sort(source.choice(rows, count, replace=False))
    features = {id(each.x): each.x[rows] for each in data}
    replaced = ReplacedCells(ensemble, [features[id(each.x)] for each in data])
    weight = None if first.weight is None else first.weight[rows]
    metric = "log_loss" if schema.classes else "rmse"
    error = error_of(metric, first.y[rows], weight, len(schema.classes))
    some = np.sort(source.choice(count, min(count, DEPENDENCE_ROWS), replace=False))
    columns_in_all = len(schema.inputs)
    with counted_lines(
        log.info, lambda done: f"importance: {done:,} of {columns_in_all:,} columns"
    ) as counter:
        base, columns = permutation_importance(replaced, error, shuffles(count, repeats, seed), counter)
        dependences = _dependences(replaced, columns, features[id(first.x)], some, weight)
    of = f" of {len(first.rows):,}" if count < len(first.rows) else ""
    basis = [f"{first.source}: {count:,}{of} rows, each column shuffled {repeats} times"]
    basis += [NOT_A_TEST] if part != "test" else []
    found = first.source, part, schema.targets, metric, base, count, repeats
    return Importance(*found, tuple(columns), dependences, tuple(basis))


def _dependences(
    replaced: ReplacedCells,
    columns: Sequence[ColumnImportance],
    x: np.ndarray,
    rows: np.ndarray,
    weight: Float64[np.ndarray, " row"] | None,
) -> tuple[PartialDependence, ...]:
    """The partial dependence on the first of these columns that have one."""
    names, found = replaced.ensemble.schema.names, list[PartialDependence]()
    of_rows = None if weight is None else weight[rows]
    for column in columns:
        if one := partial_dependence(replaced, names.index(column.name), x, rows, of_rows):
            found.append(one)
        if len(found) == MAX_DEPENDENCES:
            break
    return tuple(found)


def write_importance(folder: Path, importance: Importance, ensemble: Ensemble) -> None:
    """Writes `importance.json` and figures to the folder of a run or a sweep, which contains the ensemble."""
    from mlplab.figures import importance as figures  # Altair takes most of a second to import
    from mlplab.figures.files import write_figures

    names = [_name(run.folder, folder) for run in ensemble.members]
    content = {"runs": names, **importance.plain()}
    with replacing(folder / IMPORTANCE_FILE) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    columns, error = [astuple(each) for each in importance.columns], _error_in_words(ensemble.schema)
    charts: dict[str, Any] = {"importance": figures.importance(columns, error, importance.basis)}
    if dependences := content["partial_dependence"]:
        of_classes = bool(ensemble.schema.classes)
        charts["partial_dependence"] = figures.partial_dependence(
            dependences, of_classes=of_classes, notes=importance.basis[1:]
        )
    write_figures(folder, charts, add=True)


def _name(run: Path, folder: Path) -> str:
    """The name of a run's folder within a sweep, as the report has it; of a run alone, its own."""
    return run.relative_to(folder).as_posix() if run != folder else run.resolve().name


def _error_in_words(schema: Schema) -> str:
    """The error with its unit."""
    if schema.classes:
        return "log loss in nats"
    if len(schema.targets) == 1:
        return f"RMSE in units of {schema.targets[0]}"
    return f"mean RMSE of {len(schema.targets)} targets"
