"""The command report: one page about a run, a sweep, or a folder of them. Imports Altair, but not torch."""

import logging
import math
from functools import cache
from pathlib import Path

import vl_convert

from mlplab.commands.render import NAMES, NOTHING, format_mean, format_score
from mlplab.commands.report.comparison import Comparison, compared
from mlplab.commands.report.run import TextTable, importance_in, run_part
from mlplab.commands.results import averaged_over, counts_of, read_all
from mlplab.config.metrics import BASELINES, metrics_among
from mlplab.console import plural, progress_lines
from mlplab.errors import refusal
from mlplab.figures.runs import curves_of_runs
from mlplab.figures.scores import KINDS, RunPoint, score_by_trial, score_over
from mlplab.figures.style import CONFIG
from mlplab.files import Plain, replacing
from mlplab.pages import rendered
from mlplab.runs.compare.ranking import REPEATS, score
from mlplab.runs.compare.run_result import RunResult, in_brief, labelled, plain_value, table_title
from mlplab.runs.discovery import REPORT_FILE, runs_in
from mlplab.runs.run_archive import is_run_file, unpacked
from mlplab.runs.trained.run_files import read_curves
from mlplab.training.outcome import AS_PLANNED
from mlplab.typed_commands import commands_as_typed

MOST_KEYS = 12  # over which the validation metric is drawn

MOST_RUNS = 200  # whose curves are drawn: the best by the validation metric

log = logging.getLogger(__name__)


def report(folder: Path, path: Path | None = None) -> Path:
    """Writes a page about the runs in a folder, and returns its path.

    Runs that cannot be read are left out, with a warning.

    Args:
        path: of the page; None: `folder/report.html`, of a file such as `price.mlplab` `price.report.html`.

    Raises:
        UserError: if there is no such folder, no run in it that can be read, or no permission to write.
    """
    runs = list[Path]()
    with progress_lines(log.info, lambda: f"reading {plural(len(runs), 'run')}"), unpacked(folder) as inner:
        runs += runs_in(inner)
        readable, notes = read_all(runs)
        parts: list[Plain] = [
            {"title": table_title(table.runs)}
            | ({"runs": runs_part(table)} if len(table.runs) > 1 else {"run": run_part(table, table.runs[0])})
            for table in compared(inner, readable)
        ]
        html = rendered(
            Path(__file__).parent / "template" / "page.html",
            scripts=[chart_script()],
            title=inner.resolve().name,
            parts=parts,
            notes=notes,
            chart_config=CONFIG,
            commands_as_typed=commands_as_typed,
        )
    if path is None:
        path = folder.with_suffix(".report.html") if is_run_file(folder) else folder / REPORT_FILE
    try:
        with replacing(path, synced=False) as partial:
            partial.write_text(html, encoding="utf-8")
    except PermissionError as error:
        raise refusal(f"cannot be written: {error.strerror}", path) from error
    return path


@cache
def chart_script() -> str:
    """Vega-Embed and what it needs, as one script, which takes a second to make."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed"))


def runs_part(comparison: Comparison) -> Plain:
    """What the page shows about runs on one table."""
    monitor, best = comparison.monitor, next(iter(comparison.best), None)
    keys = [key for key in comparison.keys if best and key in best.config]
    return {
        "comparison": comparison,
        "counts": counts_of(comparison.runs, comparison.noun),
        "most_curves": MOST_RUNS if sum(run.done for run in comparison.runs) > MOST_RUNS else 0,
        "best": run_part(comparison, best) if best else None,
        "score": format_score(best.metric(monitor), monitor) if best else "",
        "configuration": labelled(keys, best.values(keys)) if best else "",
        "scores": _best_scores(comparison),
        "charts": [*curves_chart(comparison), *score_charts(comparison)],
        "table": _table(comparison),
        "importance": importance_in(comparison.root, list(map(comparison.name, comparison.runs))),
    }


def _best_scores(comparison: Comparison) -> TextTable | None:
    best, metrics = comparison.best, comparison.metrics

    def means(title: str, prefix: str = "") -> list[str]:
        scores = {name: score(best, prefix + name) for name in metrics}
        return [title, *(format_mean(found.mean, found.sd, name) for name, found in scores.items())]

    rows = [means(f"best {'trial' if comparison.is_search else 'configuration'}")]
    rows += [means(title, f"{key}/") for key, title in BASELINES[metrics_among(metrics, "test/")].items()]
    shown = [row for row in rows if {*row[1:]} != {NOTHING}]
    over = averaged_over(best)
    caption = "Scores of the best and of baselines"
    caption += f": mean ± SD over {over}" if over else ""
    return TextTable(caption, ["model", *map(_named, metrics)], shown, marked=(0,)) if shown else None


def _named(metric: str) -> str:
    part, _, name = metric.partition("/")
    return f"{part} {NAMES.get(name, name)}"


def _table(comparison: Comparison) -> TextTable:
    """A row for each run, best first, with the metrics that any of them has.

    Of a search, only the best trial has test scores, so they are left out; the others may have fewer epochs.
    """
    runs, known = comparison.ranked, comparison.metrics[: 1 if comparison.is_search else None]
    repeats = [key for key in REPEATS if len({run.values([key]) for run in runs}) > 1]
    keys = {**comparison.keys} | {key: key.removeprefix("data.") for key in repeats}
    columns = {comparison.noun: list(map(comparison.name, runs))}
    for key, short in keys.items():
        columns[short] = [in_brief(*run.values([key])) if key in run.config else NOTHING for run in runs]
    for metric in known:
        if any(math.isfinite(run.metric(metric)) for run in runs):
            columns[_named(metric)] = [format_score(run.metric(metric), metric) for run in runs]
    if comparison.is_search:
        columns["epochs"] = [str(run.metrics.get("epochs", NOTHING)) for run in runs]
    columns["status"] = []
    for run in runs:
        status, reason = (str(run.metrics.get(key, "")) for key in ("status", "reason"))
        has_reason = bool(reason) and status not in AS_PLANNED
        columns["status"].append(f"{status}: {reason}" if has_reason else status)
    caption = f"Best first by {comparison.monitor}; the best configuration is marked"
    marked = [number for number, run in enumerate(runs) if run in comparison.best]
    return TextTable(caption, [*columns], list(zip(*columns.values(), strict=True)), marked)


def curves_chart(comparison: Comparison) -> list[Plain]:
    """The monitored metric of the best runs by epoch, as Vega-Lite; empty if no run has finished."""
    monitor, best = comparison.monitor, list(map(comparison.name, comparison.best))
    shown = [run for run in comparison.ranked if run.metrics["status"] in AS_PLANNED][:MOST_RUNS]
    read = ((comparison.name(run), read_curves(run.folder, [monitor], 100)) for run in shown)
    curves = {name: curves[monitor] for name, curves in read if curves}
    pruned = [comparison.name(run) for run in shown if not run.done]
    charts = [curves_of_runs(monitor, curves, best, pruned)] if best and curves else []
    return [chart.to_dict(validate=False) for chart in charts]


def score_charts(comparison: Comparison) -> list[Plain]:
    """The monitored metric by trial of a search, and over each key that varies, as Vega-Lite.

    Empty if no run has finished.
    """
    monitor, runs = comparison.monitor, [run for run in comparison.runs if run.metrics["status"] in KINDS]

    def point(run: RunResult, value: float | str) -> RunPoint:
        is_best = run in comparison.best
        return RunPoint(comparison.name(run), run.metrics["status"], value, run.metric(monitor), is_best)

    if not any(math.isfinite(run.metric(monitor)) for run in comparison.best):
        return []
    by_trial = [point(run, int(run.folder.name.rpartition("-")[2])) for run in runs if comparison.is_search]
    charts = [score_by_trial(by_trial, monitor)] if by_trial else []
    for key, short in comparison.keys.items():
        with_key = [point(run, plain_value(run.config[key])) for run in runs if key in run.config]
        charts += filter(None, [score_over(short, with_key, monitor)])
    return [chart.to_dict(validate=False) for chart in charts[:MOST_KEYS]]
