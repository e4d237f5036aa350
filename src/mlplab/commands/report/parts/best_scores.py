"""The scores of the best configuration, beside those of chosen ensembles and of baselines."""

from mlplab.commands.render import format_mean, format_score
from mlplab.commands.report.comparison import Comparison
from mlplab.commands.report.parts.ensemble import ensembles_of
from mlplab.commands.report.parts.text_table import TextTable
from mlplab.commands.results import Score, score
from mlplab.commands.verdict import NAMES
from mlplab.config.metrics import BASELINES, CLASSIFICATION, REGRESSION

NONE = "–"


def best_scores(comparison: Comparison) -> TextTable | None:
    """A row each for the best configuration, the chosen ensembles and the baselines.

    They have test scores; with ensembles, also the validation error by which those were chosen. None if there
    are no test scores.
    """
    best, ensembles = comparison.best, ensembles_of(comparison.runs)
    tests = [name for name in comparison.results.metrics if name.startswith("test/")]
    validated = [name for each in ensembles for name in each.scores if name.startswith("val/")]
    names = [*dict.fromkeys(validated), *tests]
    label = "best trial" if comparison.is_search else "best configuration" if comparison.keys else "the runs"
    ours = {label: [_mean(score(best, name), name) for name in names]}
    chosen = {
        f"{each.folder.name} ({_count(len(each.weights))})": [
            format_score(each.scores.get(name), name) for name in names
        ]
        for each in ensembles
    }
    baselines = {
        title: [_mean(score(best, f"{prefix}/{name}"), name) for name in names]
        for prefix, title in BASELINES[CLASSIFICATION if "test/log_loss" in tests else REGRESSION].items()
    }
    rows = [
        (title, *cells)
        for title, cells in (ours | chosen | baselines).items()
        if any(cell != NONE for cell in cells[-len(tests) :])
    ]
    if not rows:
        return None
    over = next((group.over for group in comparison.results.groups if group.runs), "")
    name = label.removeprefix("the ")
    caption = (
        f"Scores of the {name}, of ensembles chosen on the validation rows, and of baselines"
        if chosen
        else f"Test scores of the {name} and its baselines"
    ) + (f": mean ± SD over {over}" if over else "")
    marked = (0,) if rows[0][0] == label else ()
    return TextTable(caption, ["model", *map(named, names)], rows, marked=marked)


def _count(runs: int) -> str:
    return f"{runs} run{'s' * (runs != 1)}"


def _mean(found: Score, metric: str) -> str:
    """Mean ± standard deviation, if there is any."""
    return format_mean(found, metric, with_se=False) if found.sd else format_score(found.mean, metric)


def named(metric: str) -> str:
    """`test/rmse` as `test RMSE`."""
    part, _, name = metric.partition("/")
    return f"{part} {NAMES.get(name, name)}"
