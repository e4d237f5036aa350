"""The part of a page about one run."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlplab.commands.render import format_score, network_name
from mlplab.commands.report.charts import curves_of, figures_of
from mlplab.commands.report.comparison import Comparison
from mlplab.commands.report.tables import (
    TextTable,
    columns_table,
    importance_in,
    read_json,
    text_table,
    worst_rows,
)
from mlplab.commands.verdict import NAMES, verdict
from mlplab.config.metrics import BASELINES, CLASSIFICATION, MAIN, REGRESSION
from mlplab.data.schema import Schema
from mlplab.figures import OF_IMPORTANCE
from mlplab.runs.best_trial import trial_number
from mlplab.runs.selection import RunResult

TABLE_LINE = re.compile(r": [\d,]+ rows.* → .*; train ")
"""The line of a log about the table."""

LONGEST_LOG = 2**20
"""Bytes of a log that are read at most."""

LOG_LINE = re.compile(r"(?m)^(?:(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)  )?(.+)$")
WARNING = "warning: "


def run_part(comparison: Comparison, run: RunResult) -> dict[str, Any]:
    """What the page shows about a run, from the files in its folder."""
    folder, status = run.folder, str(run.metrics["status"])
    started, lines = _read_log(folder)
    environment = read_json(folder / "environment.json")
    try:
        schema = Schema.from_plain(read_json(folder / "schema.json"))
    except (KeyError, TypeError, AttributeError):
        schema = None
    metrics = {name: value for name, value in run.metrics.items() if isinstance(value, int | float)}
    scores = _scores(metrics) if status == "done" else None
    names = [comparison.name(run) for run in comparison.runs]
    of_root = importance_in(comparison.root, names) if len(names) == 1 else None
    words = environment.get("command")
    return {
        "title": comparison.title,
        "name": comparison.name(run),
        "status": status,
        "reason": str(run.metrics.get("reason", "")),
        "facts": _facts(lines, started, status, metrics),
        "warnings": [line.removeprefix(WARNING) for line in lines if line.startswith(WARNING)],
        "scores": scores,
        "validation": _validation(metrics),
        "curves": curves_of(run),
        "figures": [chart for name, chart in figures_of(folder).items() if name not in OF_IMPORTANCE],
        "importance": importance_in(folder) or of_root,
        "worst": worst_rows(folder, schema) if schema else [],
        "columns": columns_table(schema) if schema else None,
        "config": (folder / "config.yaml").read_text(encoding="utf-8", errors="replace"),
        "origin": _origin(run, environment),
        "command": shlex.join(["python", *map(str, words)]) if isinstance(words, list) and words else "",
        "untested": "" if scores else _untested(run),
        "drawn": run.config.get("figures") != "none",
    }


def _read_log(run: Path) -> tuple[str, list[str]]:
    """When a run began, and the lines of its train.log without time stamps and repeats; empty if unknown."""
    try:
        with (run / "train.log").open("rb") as file:
            text = file.read(LONGEST_LOG).decode(errors="replace")
    except OSError:
        return "", []
    stamped = LOG_LINE.findall(text)
    return next((stamp for stamp, _ in stamped if stamp), ""), list(
        dict.fromkeys(line for _, line in stamped)
    )


def _facts(
    lines: list[str], started: str, status: str, metrics: Mapping[str, float]
) -> list[tuple[str, str]]:
    """What lines of the log before training are about, and what they say; then how the training went."""
    facts = []
    first_epoch = next((k for k, line in enumerate(lines) if line.startswith("epoch ")), len(lines))
    for line in lines[:first_epoch]:
        subject, colon, text = line.partition(": ")
        if TABLE_LINE.search(line):
            facts.append(("table", line))
        elif colon and subject.isidentifier() and subject not in (status, WARNING.strip(": ")):
            facts.append((subject, text))
    if "best_epoch" in metrics:
        took = f", {metrics['seconds']:.3g} s of training" if "seconds" in metrics else ""
        mean = " (mean of the networks)" if metrics.get("members", 1) > 1 else ""
        facts.append(("best epoch", f"{metrics['best_epoch']} of {metrics.get('epochs', '?')}{mean}{took}"))
    return [*facts, ("started", started)] if started else facts


def _scores(metrics: Mapping[str, float]) -> dict[str, Any] | None:
    """The test scores of a run beside those of its baselines; None if it has none."""
    names = next((kind for kind in (CLASSIFICATION, REGRESSION) if f"test/{kind[0]}" in metrics), None)
    if names is None:
        return None
    members = int(metrics.get("members", 1))
    models = {"": network_name(members), "members/": "its networks (mean)"}
    models |= {f"{key}/": title for key, title in BASELINES[names].items()}
    tested = {prefix: name for prefix, name in models.items() if f"{prefix}test/{names[0]}" in metrics}
    beside = next((prefix for prefix in tested if prefix not in ("", "members/")), None)
    rows = [
        (name, *(_score(metrics, f"{prefix}test/{each}") for each in names))
        for prefix, name in tested.items()
    ]
    targets = [
        name.removeprefix(f"test/{names[0]}/") for name in metrics if name.startswith(f"test/{names[0]}/")
    ]
    of_targets = [
        (target, *(format_score(metrics.get(f"test/{name}/{target}"), name) for name in names))
        for target in targets
    ]
    head = [NAMES.get(name, name) for name in names]
    tables: list[TextTable] = [
        text_table("Test scores, on rows that took no part in training", ["model", *head], rows, marked=(0,))
    ]
    if targets:
        tables.append(text_table("Test scores of each target", ["target", *head], of_targets))
    return {
        "tiles": [
            {
                "name": NAMES.get(name, name),
                "value": _score(metrics, f"test/{name}"),
                "beside": f"{models[beside]} {_score(metrics, f'{beside}test/{name}')}" if beside else "",
            }
            for name in MAIN[names]
        ],
        "verdict": verdict(metrics),
        "tables": tables,
    }


def _score(metrics: Mapping[str, float], name: str) -> str:
    return format_score(metrics.get(name), name)


def _validation(metrics: Mapping[str, float]) -> str:
    """The validation scores and the best epoch, in a sentence; empty if there are none."""
    names = next((kind for kind in (CLASSIFICATION, REGRESSION) if f"val/{kind[0]}" in metrics), None)
    if names is None:
        return ""
    kind = "Out-of-fold" if {"oof/rmse", "oof/log_loss"} & metrics.keys() else "Validation"
    values = ", ".join(f"{NAMES.get(name, name)} {_score(metrics, f'val/{name}')}" for name in MAIN[names])
    epoch = (
        f" at epoch {metrics['best_epoch']} of {metrics.get('epochs', '?')}"
        if "best_epoch" in metrics
        else ""
    )
    return f"{kind} scores{epoch}: {values}."


def _untested(run: RunResult) -> str:
    """Why a run without test scores has none."""
    if run.metrics["status"] == "pruned":
        return "a search stopped this trial early"
    if not run.done:
        return "the run has not finished"
    if trial_number(run.folder.name) is None:
        return "it was trained with test=false"
    return "a search uses the test rows only for its best trial"


def _origin(run: RunResult, environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is needed to repeat a run: names and values."""
    versions, git = environment.get("versions"), environment.get("git")
    origin = {"seed": run.config.get("seed"), "seed of the split": run.config.get("data.split.seed")}
    if isinstance(git, dict):
        changed = " with uncommitted changes" if git.get("changed") else ""
        origin["git commit"] = f"{git.get('commit')}{changed}"
    if isinstance(versions, dict):
        origin["versions"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    origin |= {name: environment.get(name) for name in ("device", "platform")}
    return [(name, str(value)) for name, value in origin.items() if value is not None]
