"""The command results: one table of many runs, from the files in their folders. Imports no torch."""

import logging
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import polars as pl

from mlplab.config.metrics import MAIN, sign_of
from mlplab.console import first_few, plural
from mlplab.data.io.csv_writer import write_csv
from mlplab.errors import Fault, UserError, did_you_mean, listed, nearest
from mlplab.runs.compare.ranking import (
    FOLD,
    SEED,
    SPLIT_KEYS,
    common_monitor,
    configurations,
    repeats,
    score,
    varying_keys,
    without_repeats,
)
from mlplab.runs.compare.run_result import (
    RUN,
    RunResult,
    by_table,
    labelled,
    metrics_of_runs,
    read_run,
    short_keys,
    table_title,
    trials_in_order,
)
from mlplab.runs.discovery import TRIAL, runs_in
from mlplab.runs.run_archive import unpacked

MOST_TRIALS = 20  # of a search that are shown, unless all are asked for

SETTINGS = "settings"  # the column about runs that have a row each

# Ends of the names of a metric's columns: mean, standard deviation and standard error.
STATISTIC_SUFFIXES = ("", " SD", " SE")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Results:
    """The scores of configurations, best first.

    Attributes:
        title: their table and its target.
        by: the columns that name a row: keys of the configuration, and `run`.
        metrics: as in `compared_metrics`.
        frame: a row for each configuration. After the columns of `by`: the number of finished `runs`, what
            the scores are averaged `over`, how many runs are `not done`, and each metric with
            `STATISTIC_SUFFIXES`.
        notes: lines below a table.
    """

    title: str
    by: tuple[str, ...]
    metrics: tuple[str, ...]
    frame: pl.DataFrame
    notes: tuple[str, ...] = ()


def read_runs(folders: Sequence[Path]) -> list[RunResult]:
    """Reads the runs in the given folders, without repeats; those of a search with all trials, in order.

    Raises:
        UserError: if there is no run that can be read.
    """
    with ExitStack() as files:
        inner = {files.enter_context(unpacked(folder)): folder for folder in folders}
        named = {run: inner[folder] / run.relative_to(folder) for folder in inner for run in runs_in(folder)}
        read, _ = read_all({run.resolve(): run for run in named}.values())
    read = [replace(run, folder=named[run.folder]) for run in read]
    runs = trials_in_order(read) or without_repeats(read)
    if repeated := len(read) - len(runs):
        what = "left out %d of %d runs: same configuration and seed as another run"
        log.info(what, repeated, len(read))
    return runs


def read_all(folders: Iterable[Path]) -> tuple[list[RunResult], list[str]]:
    """Reads runs; those that are damaged or of another version are left out, with warnings, which it returns.

    Raises:
        UserError: if no run can be read.
    """
    runs: list[RunResult] = []
    faults: list[Fault] = []
    for folder in folders:
        try:
            runs.append(read_run(folder))
        except UserError as error:
            faults += error.faults
    if not runs:
        raise UserError(*faults)
    notes = first_few([f"left out, because it cannot be read: {fault.sentence()}" for fault in faults])
    for note in notes:
        log.warning("%s", note)
    return runs, notes


def results_by_table(
    runs: Sequence[RunResult], by: Sequence[str] | None = None, sort: str | None = None
) -> list[Results]:
    """The results of each table, target and task apart, as `results_of_table`.

    Of `by` and `sort`, each table takes what its runs have.

    Raises:
        UserError: if a key or metric is unknown.
    """
    keys = sorted({RUN, *(key for run in runs for key in run.config)})
    metrics = sorted({name for run in runs for name in run.metrics if math.isfinite(run.metric(name))})
    to_sort_by = [*compared_metrics(runs), *metrics, *(varying_keys(runs) if by is None else by)]
    asked = [*((key, keys, "--by") for key in by or ()), *([(sort, to_sort_by, "--sort")] if sort else [])]
    for key, known, flag in asked:
        if key not in known:
            near = nearest(key, known) or [name for name in known if name.rpartition(".")[2] == key]
            found, expected = f"'{key}'", f"one of {listed(dict.fromkeys(known))}"
            raise UserError(Fault("unknown key or metric", flag, found, expected, did_you_mean(near)))
    return [results_of_table(table, by, sort) for table in by_table(runs)]


def results_of_table(runs: Sequence[RunResult], by: Sequence[str] | None, sort: str | None = None) -> Results:
    """The results of runs on one table.

    Args:
        by: keys to group by; `run` makes each run a row. None: the keys in which the runs differ, except
            seeds and folds, over which scores are averaged, with a column of the runs' names.
        sort: a metric (best first) or a key of `by`. None: the validation metric that the runs monitor.
    """
    known = {RUN, *(key for run in runs for key in run.config)}
    keys = varying_keys(runs) if by is None else [key for key in by if key in known]
    metrics = compared_metrics(runs)
    has_sort = any(math.isfinite(run.metric(str(sort))) for run in runs)
    groups = configurations(runs, keys, str(sort) if has_sort else metrics[0])
    rows = [
        {
            RUN: _names(group),
            **dict(zip(keys, values, strict=True)),
            "runs": sum(run.done for run in group),
            "over": averaged_over(group),
            "not done": _statuses([run for run in group if not run.done]) or None,
            **scores_of(group, metrics),
        }
        for values, group in groups.items()
    ]
    columns = keys if by is not None else [RUN, *keys]
    texts = dict.fromkeys([*columns, "runs", "over", "not done"], pl.String())
    numbers = {name + part: pl.Float64() for name in metrics for part in STATISTIC_SUFFIXES}
    frame = pl.DataFrame(rows, {**texts, "runs": pl.Int64(), **numbers}).fill_nan(None)
    if sort in keys:
        frame = frame.sort(pl.col(sort).cast(pl.Float64, strict=False), sort, nulls_last=True)
    return Results(table_title(runs), tuple(columns), metrics, frame)


def results_of_search(trials: Sequence[RunResult], sort: str | None = None) -> Results:
    """The best finished trials of a search, or with `sort` all; the others if none has finished.

    The notes count all trials.
    """
    results = results_of_table(trials, [RUN, *varying_keys(trials)], sort)
    done = results.frame.filter(pl.col("runs") > 0)
    frame = results.frame if done.is_empty() else done
    notes = [counts_of(trials)]
    if not sort and len(frame) > MOST_TRIALS:
        monitor, frame = results.metrics[0], frame.head(MOST_TRIALS)
        notes.insert(0, f"the best {MOST_TRIALS} by {monitor}; all: --sort {monitor}")
    return replace(results, frame=frame, notes=tuple(notes))


def results_by_folder(runs: Sequence[RunResult]) -> Results:
    """The results of runs on one table: a row for each single run, and one for the best of each sweep.

    The column `settings` says how many configurations or trials that is the best of, what its score is
    averaged over, and the values that most other rows do not have.
    """
    metrics, folders = compared_metrics(runs), by_folder(runs)
    ranked = [[*configurations(some, varying_keys(some), metrics[0]).values()] for some in folders.values()]
    keys = varying_keys([best[0] for best, *_ in ranked])
    values = [dict(zip(keys, best[0].values(keys), strict=True)) for best, *_ in ranked]
    usual = {key: Counter(of_run[key] for of_run in values).most_common(1)[0][0] for key in keys}
    rows = []
    for (folder, group), (best, *others), of_run in zip(folders.items(), ranked, values, strict=True):
        odd = {key: value for key, value in of_run.items() if value != usual[key]}
        number = len(group) if trials_in_order(group) else len(others) + 1
        means = f"best of {number}" if others else None, (averaged_over(best) or "").partition(",")[0]
        unfinished = _statuses([run for run in group if not run.done])
        parts = *means, unfinished, labelled([*odd], [*odd.values()])
        scores = {name: score(best, name).mean for name in metrics}
        rows.append({RUN: str(folder), SETTINGS: ", ".join(filter(None, parts)), **scores})
    frame, is_high_best = pl.DataFrame(rows).fill_nan(None), sign_of(metrics[0]) < 0
    frame = frame.sort(metrics[0], descending=is_high_best, nulls_last=True)
    return Results(table_title(runs), (RUN, SETTINGS), metrics, frame)


def by_folder(runs: Sequence[RunResult]) -> dict[Path, list[RunResult]]:
    """Runs by their sweep's folder, or their own. In a sweep, they are named by their keys."""
    folders: dict[Path, list[RunResult]] = {}
    for run in runs:
        folder = run.folder.resolve()
        is_of_sweep = "=" in folder.name or TRIAL.fullmatch(folder.name)
        folders.setdefault(folder.parent if is_of_sweep else folder, []).append(run)
    return folders


def counts_of(runs: Sequence[RunResult], noun: str = "trial") -> str:
    """The number of runs by status: `64 trials: 40 done, 24 pruned`."""
    return f"{plural(len(runs), noun)}: {_statuses(runs)}"


def _statuses(runs: Sequence[RunResult]) -> str:
    counts = Counter(str(run.metrics["status"]) for run in runs)
    return ", ".join(f"{count:,} {status}" for status, count in counts.most_common())


def compared_metrics(runs: Sequence[RunResult]) -> tuple[str, ...]:
    """The validation metric by which runs are compared, and the test metrics in tables."""
    return common_monitor(runs), *(f"test/{name}" for name in MAIN[metrics_of_runs(runs)])


def scores_of(runs: Sequence[RunResult], metrics: Sequence[str], prefix: str = "") -> dict[str, float]:
    """The scores of runs by column of a table; with the prefix `linear/`, those of this baseline."""
    return {
        name + part: value
        for name in metrics
        for part, value in zip(STATISTIC_SUFFIXES, score(runs, prefix + name), strict=True)
    }


def _names(runs: Sequence[RunResult]) -> str | None:
    names = {folder.name for folder in by_folder(runs)}  # of runs that are named by their keys, their sweep's
    return ", ".join(sorted(names)) if len(names) <= 2 else None


def averaged_over(runs: Sequence[RunResult]) -> str | None:
    """What the scores of finished runs are averaged over; None for a single run.

    These are seeds or splits, and what differs among the runs of each of them.
    """
    runs = [run for run in runs if run.done]
    if len(runs) < 2:
        return None
    number, keys = len(repeats(runs)), short_keys(varying_keys(runs))
    if number == 1:
        return f"{len(runs)} runs" + (f" that differ in {listed(keys, 3)}" if keys else "")
    splits, folds, seeds = (len({run.values(of) for run in runs}) for of in (SPLIT_KEYS, FOLD, SEED))
    within = [*(["seeds"] if splits > 1 and seeds > 1 else []), *keys]
    noun = "seed" if splits == 1 else "fold" if folds > 1 else "split"
    means = f", each a mean over {listed(within, 3)} ({len(runs)} runs)" if len(runs) > number else ""
    return f"{number} {noun}s{means}"


def results_csv(results: Sequence[Results]) -> str:
    """Results as CSV, in full precision; those of several tables have a column of their titles."""
    frames = [table.frame for table in results]
    if len(frames) > 1:
        titles = (pl.lit(table.title).alias("table") for table in results)
        frames = [frame.select(title, pl.all()) for title, frame in zip(titles, frames, strict=True)]
    content = BytesIO()
    write_csv([(pl.concat(frames, how="diagonal"), ())], content.write, escape_formulas=True)
    return content.getvalue().decode()
