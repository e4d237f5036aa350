"""The part of a page about several runs: the best of them, a table, charts, and the best run."""

import math

from mlplab.commands.render import NOTHING, format_mean, format_score
from mlplab.commands.report.charts import MOST_RUNS, comparison_charts
from mlplab.commands.report.comparison import Comparison
from mlplab.commands.report.run import RunPart
from mlplab.commands.report.tables import TextTable, ensembles_of, importance_in
from mlplab.commands.results import averaged_over, counts_of
from mlplab.commands.verdict import NAMES
from mlplab.config.metrics import BASELINES, metrics_among
from mlplab.console import plural
from mlplab.runs.compare.ranking import REPEATS, score
from mlplab.runs.compare.run_result import RunResult, in_brief
from mlplab.training.outcome import AS_PLANNED


class RunsPart:
    """What the page shows about runs on one table.

    Attributes:
        score: the validation metric of the best run.
        most_curves: the number of runs whose curves are drawn, if there are more runs; else 0.
        best: the best run.
    """

    def __init__(self, comparison: Comparison) -> None:
        self.comparison, self.counts = comparison, counts_of(comparison.runs, comparison.noun)
        best, monitor = next(iter(comparison.best), None), comparison.monitor
        self.best = RunPart(comparison, best) if best else None
        self.score = format_score(best.metric(monitor), monitor) if best else ""
        self.most_curves = MOST_RUNS if sum(run.done for run in comparison.runs) > MOST_RUNS else 0
        self.configuration, self.scores = _best_configuration(comparison), _best_scores(comparison)
        self.table = _table(comparison)
        self.charts = [chart.to_dict(validate=False) for chart in comparison_charts(comparison)]
        self.importance = importance_in(comparison.root, list(map(comparison.name, comparison.runs)))


def _best_configuration(comparison: Comparison) -> TextTable | None:
    """The values of the keys that vary; None if no run has finished."""
    if not comparison.best or not comparison.keys:
        return None
    values = map(in_brief, comparison.best[0].values(comparison.keys))
    rows = list(zip(comparison.keys, values, strict=True))
    return TextTable("The best configuration", ("hyperparameter", "value"), rows)


def _best_scores(comparison: Comparison) -> TextTable | None:
    """A row each for the best, the chosen ensembles and the baselines; None without scores."""
    best, metrics = comparison.best, comparison.metrics
    baselines = BASELINES[metrics_among(metrics, "test/")]

    def means(title: str, prefix: str = "") -> list[str]:
        scores = {name: score(best, prefix + name) for name in metrics}
        return [title, *(format_mean(found.mean, found.sd, name) for name, found in scores.items())]

    rows = [means(f"best {'trial' if comparison.is_search else 'configuration'}")]
    for name, ensemble in ensembles_of(comparison.runs).items():
        scores = (format_score(ensemble.scores.get(metric), metric) for metric in metrics)
        rows.append([f"{name} ({plural(len(ensemble.runs), 'run')})", *scores])
    rows += [means(title, f"{key}/") for key, title in baselines.items()]
    shown = [row for row in rows if {*row[1:]} != {NOTHING}]
    over = averaged_over(best)
    caption = "Scores of the best, of ensembles chosen on the validation rows, and of baselines"
    caption += f": mean ± SD over {over}" if over else ""
    return TextTable(caption, ["model", *map(_named, metrics)], shown, marked=(0,)) if shown else None


def _named(metric: str) -> str:
    """`test/rmse` as `test RMSE`."""
    part, _, name = metric.partition("/")
    return f"{part} {NAMES.get(name, name)}"


def _table(comparison: Comparison) -> TextTable:
    """A row for each run, best first, with the metrics that any of them has.

    Of a search, only the best trial has test scores, so they are left out; the others may have fewer epochs.
    """
    runs, known = comparison.ranked, comparison.metrics[: 1 if comparison.is_search else None]
    repeats = [key for key in REPEATS if len({run.values([key]) for run in runs}) > 1]
    keys = comparison.keys | {key: key.removeprefix("data.") for key in repeats}
    columns = {comparison.noun: list(map(comparison.name, runs))}
    for key, short in keys.items():
        columns[short] = [in_brief(*run.values([key])) for run in runs]
    for metric in known:
        if any(math.isfinite(run.metric(metric)) for run in runs):
            columns[_named(metric)] = [format_score(run.metric(metric), metric) for run in runs]
    if comparison.is_search:
        columns["epochs"] = [str(run.metrics.get("epochs", NOTHING)) for run in runs]
    columns["status"] = [_status(run) for run in runs]
    caption = f"Best first by {comparison.monitor}; the best configuration is marked"
    marked = [number for number, run in enumerate(runs) if run in comparison.best]
    return TextTable(caption, [*columns], list(zip(*columns.values(), strict=True)), marked)


def _status(run: RunResult) -> str:
    """The status of a run, and the reason why it failed or diverged."""
    status, reason = (str(run.metrics.get(key, "")) for key in ("status", "reason"))
    return f"{status}: {reason}" if reason and status not in AS_PLANNED else status
