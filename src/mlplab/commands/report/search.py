"""What a page shows about a search: its best trial, and how it was found."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

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
        command: what trains the best configuration; empty if it is unknown.
        configuration: the values of the hyperparameters, and their importance; None if no trial has finished.
        charts: its history, and the importance as bars.
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
    known = [run for run in comparison.best if run.folder.name != best.trial]
    if known and sign_of(best.monitor) * known[0].metric(best.monitor) < sign_of(best.monitor) * best.value:
        return best, [
            f"{known[0].folder.name} is better: the search has gone on since it chose {best.trial}."
        ]
    return best, []


def search_section(
    comparison: Comparison, best: BestTrial | None, notes: Sequence[str], charts: Sequence[Drawing]
) -> SearchSection:
    """Describes a search.

    Args:
        best: its best trial; None if that is unknown.
        notes: what is missing or damaged.
        charts: its history, and the importance as bars.
    """
    return SearchSection(
        f"{counts_of(comparison.runs)}. {_sentences(comparison, best)}",
        notes,
        best.command if best else "",
        _configuration(comparison, best),
        charts,
    )


def _sentences(comparison: Comparison, best: BestTrial | None) -> str:
    """Which trial is the best, and on which rows it was chosen and scored."""
    if best:
        tested = "The search used the test rows once, to score it." if best.test else "It has no test scores."
        value = format_score(best.value, best.monitor)
        chosen = f"The best by {best.monitor} is {best.trial} ({value}), chosen on the validation rows."
        return f"{chosen} {tested}"
    if not comparison.best:
        return "None of them has finished."
    run, monitor = comparison.best[0], comparison.monitor
    return f"The best by {monitor} is {run.folder.name} ({format_score(run.metric(monitor), monitor)})."


def _configuration(comparison: Comparison, best: BestTrial | None) -> TextTable | None:
    """The values of the hyperparameters of the best trial, the most important first."""
    importance = best.importance if best else {}
    if best:
        values = dict(best.configuration)
    elif comparison.best:
        values = {key: comparison.best[0].config.get(key) for key in comparison.keys}
    else:
        return None
    keys = sorted(values, key=lambda key: -importance.get(key, 0))
    rows = [
        (key, in_brief(as_typed(values[key])), *([f"{importance.get(key, 0):.1%}"] if importance else []))
        for key in keys
    ]
    head = ("hyperparameter", "value", "importance") if importance else ("hyperparameter", "value")
    return text_table("The best configuration", head, rows) if rows else None
