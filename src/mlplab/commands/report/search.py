"""What a page shows about a search: its best trial, and how it was found."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlplab.commands.render import format_score
from mlplab.commands.report.charts import Drawing
from mlplab.commands.report.comparison import Comparison
from mlplab.commands.report.tables import TextTable, text_table
from mlplab.commands.results_search import counts_of
from mlplab.config.metrics import sign_of
from mlplab.errors import UserError, reason_of
from mlplab.runs.best_trial import BestTrial
from mlplab.runs.selection import as_typed, in_brief

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SearchSection:
    """What a page shows about a search.

    Attributes:
        summary: its trials and the best of them, in sentences.
        notes: what is missing or damaged.
        command: trains the best configuration; empty if it is unknown.
        configuration: its values, and their importance; None if no trial has finished.
        charts: the history and the importance.
    """

    summary: str
    notes: Sequence[str]
    command: str
    configuration: TextTable | None
    charts: Sequence[Drawing]


def read_best_trial(comparison: Comparison) -> tuple[BestTrial | None, list[str]]:
    """What a search says of its best trial, and sentences about what is missing or damaged."""
    try:
        best = BestTrial.read(comparison.runs[0].folder.parent)
    except UserError as error:
        log.warning("%s", reason_of(error))
        return None, [reason_of(error)]
    if best is None:
        return None, ["The search has not ended, so its best trial has not been tested."]
    sign, found = sign_of(best.monitor), next(iter(comparison.best), None)
    if found and sign * found.metric(best.monitor) < sign * best.value:
        return best, [f"{found.folder.name} is better: the search has gone on since it chose {best.trial}."]
    return best, []


def search_section(
    comparison: Comparison, best: BestTrial | None, notes: Sequence[str], charts: Sequence[Drawing]
) -> SearchSection:
    """Describes a search: which trial is the best, and on which rows it was chosen and scored."""
    summary, values = "None of them has finished.", dict[str, Any]()
    if best:
        summary = f"{_is_best(best.monitor, best.trial, best.value)}, chosen on the validation rows. " + (
            "The search used the test rows once, to score it." if best.test else "It has no test scores."
        )
        values = dict(best.configuration)
    elif comparison.best:
        run, monitor = comparison.best[0], comparison.monitor
        summary = f"{_is_best(monitor, run.folder.name, run.metric(monitor))}."
        values = {key: run.config.get(key) for key in comparison.keys}
    importance = best.importance if best else {}
    rows = [
        (key, in_brief(as_typed(values[key])), *([f"{importance.get(key, 0):.1%}"] if importance else []))
        for key in sorted(values, key=lambda key: -importance.get(key, 0))
    ]
    head = ("hyperparameter", "value", *(["importance"] if importance else []))
    return SearchSection(
        f"{counts_of(comparison.runs)}. {summary}",
        notes,
        best.command if best else "",
        text_table("The best configuration", head, rows) if rows else None,
        charts,
    )


def _is_best(monitor: str, trial: str, value: float) -> str:
    return f"The best by {monitor} is {trial} ({format_score(value, monitor)})"
