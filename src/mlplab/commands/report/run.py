"""The part of a page about one run."""

import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from itertools import takewhile

from mlplab.commands.render import format_score
from mlplab.commands.report.charts import curves_of, figures_of
from mlplab.commands.report.comparison import Comparison
from mlplab.commands.report.tables import TextTable, columns_table, importance_in
from mlplab.commands.verdict import NAMES, verdict
from mlplab.config.metrics import MAIN, main_scores, metrics_among
from mlplab.data.schema import Schema
from mlplab.figures import IMPORTANCE, LEARNING_CURVES
from mlplab.files import read_json
from mlplab.runs.compare.run_result import RunResult
from mlplab.runs.discovery import FILM_FILE, TRIAL, read_schema

LONGEST_LOG = 2**20
"""Bytes of a log that are read at most."""

OF_RANGES = re.compile(r"test/(coverage|width|set_size|winkler)_[^/]+")
"""The scores of intervals and sets."""

APART = (IMPORTANCE, LEARNING_CURVES)
"""The figures that the page shows in places of their own."""

STAMP = re.compile(r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ")
WARNING = "warning: "


class RunPart:
    """What the page shows about a run, from the files in its folder.

    Attributes:
        log: the first lines of its log, without warnings.
        verdict: how it compares with its baselines, in a sentence; empty without test scores.
        scores: the tables of its test scores.
        validation: its validation scores, in a sentence.
        curves, figures: charts.
        columns: those of its table; None if unknown.
        command: what was typed.
        film: the path of its film, from the page; empty if there is none.
    """

    def __init__(self, comparison: Comparison, run: RunResult) -> None:
        folder, names = run.folder, [comparison.name(run) for run in comparison.runs]
        self.result, self.name = run, comparison.name(run)
        self.is_trial = TRIAL.fullmatch(folder.name) is not None
        self.environment = read_json(folder / "environment.json")
        words = self.environment.get("command")
        self.command = shlex.join(["python", *map(str, words)]) if isinstance(words, list) and words else ""
        lines = _log_lines(run)
        self.warnings = [line.removeprefix(WARNING) for line in lines if line.startswith(WARNING)]
        before = takewhile(lambda line: not line.startswith("epoch "), lines)
        self.log = [line for line in before if not line.startswith(WARNING)]
        metrics = {name: value for name, value in run.metrics.items() if isinstance(value, int | float)}
        weights = [v for k, v in run.config.items() if k.startswith("data.class_weights") and v != "none"]
        self.scores = _score_tables(metrics) if run.done else []
        self.verdict = verdict(metrics, has_class_weights=bool(weights)) if self.scores else ""
        self.validation, self.curves = _validation(metrics), curves_of(run)
        shown = {name: each for name, each in figures_of(folder).items() if name not in APART}
        self.figures = [chart for charts in shown.values() for chart in charts]
        in_sweep = importance_in(comparison.root, names) if len(names) == 1 else None
        self.importance = importance_in(folder) or in_sweep
        self.columns: TextTable | None = None
        with suppress(ValueError):  # it is damaged
            self.columns = columns_table(Schema.from_plain(read_schema(folder)))
        self.config = (folder / "config.yaml").read_text(encoding="utf-8", errors="replace")
        film = folder / FILM_FILE
        self.film = film.relative_to(comparison.root).as_posix() if film.is_file() else ""


def _log_lines(run: RunResult) -> list[str]:
    """The lines of a run's train.log without time stamps and repeats; empty if there is none."""
    try:
        with (run.folder / "train.log").open("rb") as file:
            text = file.read(LONGEST_LOG).decode(errors="replace")
    except OSError:
        return []
    return list(dict.fromkeys(filter(None, STAMP.sub("", text).splitlines())))


def _score_tables(metrics: Mapping[str, float]) -> list[TextTable]:
    """The test scores of a run beside those of its baselines, and of each of several targets."""
    if not (names := metrics_among(metrics, "test/")):
        return []
    before = f"test/{names[0]}/"
    targets = {
        target: {name: metrics.get(f"test/{name}/{target}") for name in names}
        for target in (name.removeprefix(before) for name in metrics if name.startswith(before))
    }

    def table(caption: str, noun: str, rows: Mapping[str, Mapping[str, float | None]]) -> TextTable:
        heads = [*next(iter(rows.values()))]
        cells = [[title, *map(format_score, scores.values(), heads)] for title, scores in rows.items()]
        marked = () if rows is targets else (0,)
        return TextTable(caption, [noun, *(NAMES.get(name, name) for name in heads)], cells, marked=marked)

    tables = [table("Test scores, on rows that took no part in training", "model", main_scores(metrics))]
    tables += [table("Test scores of each target", "target", targets)] if targets else []
    of_ranges = [name.removeprefix("test/") for name in metrics if OF_RANGES.fullmatch(name)]
    if of_ranges:
        rows = main_scores(metrics, names=of_ranges)
        kind = "prediction sets" if "test/log_loss" in metrics else "intervals"
        tables.append(table(f"Scores of {kind} by their level, on the same rows", "model", rows))
    return tables


def _validation(metrics: Mapping[str, float]) -> str:
    """The validation scores, the best epoch and the time, in a sentence; empty if there are none."""
    if not (names := metrics_among(metrics, "val/")):
        return ""
    kind = "Out-of-fold" if {"oof/rmse", "oof/log_loss"} & metrics.keys() else "Validation"
    scores = {NAMES.get(name, name): format_score(metrics.get(f"val/{name}"), name) for name in MAIN[names]}
    best, epochs = metrics.get("best_epoch"), metrics.get("epochs", "?")
    epoch = "" if best is None else f" at epoch {best} of {epochs}"
    took = f", after {metrics['seconds']:.3g} s of training" if "seconds" in metrics else ""
    return f"{kind} scores{epoch}{took}: {', '.join(f'{name} {score}' for name, score in scores.items())}."
