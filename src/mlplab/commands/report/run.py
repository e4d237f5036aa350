"""What a page shows about one run, and the tables and figures of any part."""

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from itertools import chain, takewhile
from pathlib import Path
from typing import NamedTuple

from mlplab.commands.importance import Importance
from mlplab.commands.render import NAMES, NOTHING, format_score, verdict
from mlplab.commands.report.comparison import Comparison
from mlplab.config.metrics import MAIN, main_scores, metrics_among
from mlplab.console import in_digits, plural
from mlplab.data.schema import Schema, column_rows
from mlplab.errors import listed
from mlplab.figures import IMPORTANCE, LEARNING_CURVES
from mlplab.figures.runs import LOSSES, charts_of_run
from mlplab.figures.write_figures import read_figures
from mlplab.files import Plain, read_json
from mlplab.runs.compare.run_result import RunResult
from mlplab.runs.discovery import FILM_FILE, TRIAL
from mlplab.runs.read_folder import read_schema
from mlplab.runs.trained.run_files import read_curves

OF_RANGES = re.compile(r"test/(coverage|width|set_size|winkler)_[^/]+")  # scores of intervals and sets

NUMBER = re.compile(rf"[-+.,\de]*( ± [-+.,\de]*)?|{NOTHING}")  # a cell that aligns with numbers

MOST_COLUMNS = 500  # that a page shows

STAMP = re.compile(r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ")
WARNING = "warning: "


class TextTable(NamedTuple):
    """A table whose first column names its rows; `marked` are the numbers of the rows that stand out."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: Collection[int] = ()

    @property
    def text(self) -> list[int]:
        """The numbers of the columns with text; all others are aligned as numbers."""
        columns = enumerate(zip(*self.rows, strict=True))
        return [number for number, cells in columns if not all(map(NUMBER.fullmatch, cells))]


def run_part(comparison: Comparison, run: RunResult) -> Plain:
    """What the page shows about a run, from the files in its folder."""
    folder, names = run.folder, [comparison.name(each) for each in comparison.runs]
    environment, film = read_json(folder / "environment.json"), folder / FILM_FILE
    words = environment.get("command")
    text = b""
    with suppress(OSError), (folder / "train.log").open("rb") as file:
        text = file.read(2**20)
    lines = list(dict.fromkeys(filter(None, STAMP.sub("", text.decode(errors="replace")).splitlines())))
    before = takewhile(lambda line: not line.startswith("epoch "), lines)
    metrics = {name: value for name, value in run.metrics.items() if isinstance(value, int | float)}
    weights = [v for k, v in run.config.items() if k.startswith("data.class_weights") and v != "none"]
    scores = _score_tables(metrics) if run.done else []
    monitor, epoch = str(run.config.get("monitor")), run.metrics.get("best_epoch")
    curves = read_curves(folder, {*LOSSES, monitor})
    charts = charts_of_run(curves, monitor, epoch if isinstance(epoch, int) else None)
    figures = figures_of(folder).items()
    shown = [views for name, views in figures if name not in (IMPORTANCE, LEARNING_CURVES)]
    in_sweep = importance_in(comparison.root, names) if len(names) == 1 else None
    columns = None
    with suppress(ValueError):  # it is damaged
        schema = Schema.from_plain(read_schema(folder))
        rows = sorted(column_rows(schema), key=lambda row: row[0] not in schema.left_out)
        caption = plural(len(rows), "column")
        caption += f", {len(schema.left_out):,} of them left out" * bool(schema.left_out)
        caption += f"; the first {MOST_COLUMNS} are shown" * (len(rows) > MOST_COLUMNS)
        columns = TextTable(caption, ("column", "role", "kind", "note"), rows[:MOST_COLUMNS])
    return {
        "result": run,
        "name": comparison.name(run),
        "is_trial": TRIAL.fullmatch(folder.name) is not None,
        "environment": environment,
        "command": shlex.join(["python", *map(str, words)]) if isinstance(words, list) and words else "",
        "columns": columns,
        "warnings": [line.removeprefix(WARNING) for line in lines if line.startswith(WARNING)],
        "log": [line for line in before if not line.startswith(WARNING)],
        "scores": scores,
        "verdict": verdict(metrics, has_class_weights=bool(weights)) if scores else "",
        "validation": _validation(metrics),
        "curves": [chart.to_dict(validate=False) for chart in charts],
        "figures": [*chain(*shown)],
        "film": film.relative_to(comparison.root).as_posix() if film.is_file() else "",
        "importance": importance_in(folder) or in_sweep,
        "config": (folder / "config.yaml").read_text(encoding="utf-8", errors="replace"),
    }


def importance_in(folder: Path, runs: Collection[str] | None = None) -> Plain | None:
    """The importance of the columns in the folder of a run or a sweep: its basis, a table, and charts.

    None if there is none, if its file is damaged, or if it is of none of these runs of a sweep.
    """
    importance = Importance.read(folder)
    if not importance or (runs is not None and set(runs).isdisjoint(importance.runs)):
        return None
    rows = [(column.name, in_digits(column.mean), in_digits(column.sd, 2)) for column in importance.columns]
    increase = f"Increase of {importance.metric} ({in_digits(importance.error)}) when a column is shuffled"
    chosen = f"{plural(len(importance.runs), 'run')} ({listed(importance.runs, 5)})"
    return {
        "basis": "; ".join([f"Of {chosen}", *importance.basis]) + ".",
        "table": TextTable(f"{increase}: mean and SD", ("column", "increase", "SD"), rows),
        "figures": figures_of(folder).get(IMPORTANCE, []),
    }


def figures_of(folder: Path) -> dict[str, list[Plain]]:
    """The figures in a folder by name, each view apart: together they would be too wide for phones."""
    figures: dict[str, list[Plain]] = {}
    for name, figure in read_figures(folder).items():
        parts = [figure.get(key) for key in ("vconcat", "hconcat", "concat")]
        views = [view for part in parts if isinstance(part, list) for view in part if isinstance(view, dict)]
        shared: Plain = {key: figure[key] for key in ("description", "data") if key in figure}
        title = {"title": name.replace("_", " ").capitalize()}
        figures[name] = [title | shared | view for view in views or [figure]]
    return figures


def _score_tables(metrics: Mapping[str, float]) -> list[TextTable]:
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
        return TextTable(caption, [noun, *(NAMES.get(name, name) for name in heads)], cells, marked)

    tables = [table("Test scores, on rows that took no part in training", "model", main_scores(metrics))]
    tables += [table("Test scores of each target", "target", targets)] if targets else []
    if of_ranges := [name.removeprefix("test/") for name in metrics if OF_RANGES.fullmatch(name)]:
        rows = main_scores(metrics, names=of_ranges)
        kind = "prediction sets" if "test/log_loss" in metrics else "intervals"
        tables.append(table(f"Scores of {kind} by their level, on the same rows", "model", rows))
    return tables


def _validation(metrics: Mapping[str, float]) -> str:
    if not (names := metrics_among(metrics, "val/")):
        return ""
    kind = "Out-of-fold" if {"oof/rmse", "oof/log_loss"} & metrics.keys() else "Validation"
    best, epochs = metrics.get("best_epoch"), metrics.get("epochs", "?")
    epoch = "" if best is None else f" at epoch {best} of {epochs}"
    took = f", after {metrics['seconds']:.3g} s of training" if "seconds" in metrics else ""
    scores = (
        f"{NAMES.get(name, name)} {format_score(metrics.get(f'val/{name}'), name)}" for name in MAIN[names]
    )
    return f"{kind} scores{epoch}{took}: {', '.join(scores)}."
