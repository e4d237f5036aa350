"""The part of a page about one run."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlplab.commands.report.charts import Drawing, curves_of, figures_of
from mlplab.commands.report.comparison import Comparison
from mlplab.commands.report.parts.importance import FIGURES, ImportanceSection, importance_in
from mlplab.commands.report.parts.scores import Scores, members_of, scores_of, validation_scores
from mlplab.commands.report.parts.table import Header, columns_table, read_header, read_json, read_schema
from mlplab.commands.report.parts.text_table import TextTable
from mlplab.commands.report.parts.worst_rows import worst_rows
from mlplab.runs.best_trial import trial_number
from mlplab.runs.selection import RunResult

TABLE_LINE = re.compile(r": [\d,]+ rows.* → .*; train ")
"""The line of a log about the table."""


@dataclass(frozen=True)
class RunPart:
    """What a page shows about a run. What is None or empty is explained by `absent`.

    Attributes:
        title: the table and its target.
        facts: what was asked, and when: names and values.
        config: the text of its config.yaml.
        origin: what is needed to repeat it: names and values.
        command: the command that trained it.
        absent: by section, why it is empty and how to get it.
    """

    title: str
    name: str
    status: str
    reason: str
    header: Header
    facts: list[tuple[str, str]]
    scores: Scores | None
    curves: list[Drawing]
    figures: list[Drawing]
    importance: ImportanceSection | None
    worst: list[TextTable]
    columns: TextTable | None
    config: str
    origin: list[tuple[str, str]]
    command: str
    absent: dict[str, str]


def run_part(comparison: Comparison, run: RunResult) -> RunPart:
    """Reads the files of a run's folder."""
    folder, metrics = run.folder, run.metrics
    header, schema, environment = (
        read_header(folder),
        read_schema(folder),
        read_json(folder / "environment.json"),
    )
    part = RunPart(
        comparison.title,
        comparison.name(run),
        str(metrics["status"]),
        str(metrics.get("reason", "")),
        header,
        _facts(run, header),
        scores_of(metrics),
        curves_of(run),
        [drawn for figure, drawn in figures_of(folder).items() if figure not in FIGURES],
        importance_in(folder) or _importance_of_root(comparison),
        worst_rows(folder, schema) if schema else [],
        columns_table(schema) if schema else None,
        (folder / "config.yaml").read_text(encoding="utf-8", errors="replace"),
        _origin(run, environment),
        _command(environment),
        {},
    )
    part.absent.update(_absent(part, run))
    return part


def _absent(part: RunPart, run: RunResult) -> dict[str, str]:
    """Why sections are empty, and how to get them."""
    done, untested = run.done, _untested(part, run)
    worst = "there is no test_predictions.csv" + (
        ", which a run with test_predictions=true writes" if done else " before a run has finished"
    )
    scores = f"There are no test scores: {untested or 'the run has not finished'}."
    return {
        "scores": f"{scores} {validation_scores(run.metrics)}",
        "curves": "There are no curves: the run "
        + ("" if done else "has not finished an epoch, or ")
        + "has no TensorBoard files (logger=[tensorboard]).",
        "figures": f"There are no figures: {_without_figures(run, untested)}.",
        "importance": "It was not computed"
        + (": scripts/evaluate.py run=FOLDER importance=true does that." if done else "."),
        "worst": f"The rows that it predicts worst are unknown: {untested or worst}.",
        "columns": "The columns are unknown: the run ended before it had read them.",
    }


def _untested(part: RunPart, run: RunResult) -> str:
    """Why a run that has ended as planned has no test scores; empty for other runs."""
    if run.metrics["status"] == "pruned":
        return "a search stopped this trial early"
    if not run.done or part.scores is not None:
        return ""
    if trial_number(run.folder.name) is None:
        return "it was trained with test=false"
    return "a search uses the test rows only for its best trial"


def _importance_of_root(comparison: Comparison) -> ImportanceSection | None:
    """The importance in the root of a comparison, if there is only one run."""
    names = [comparison.name(run) for run in comparison.runs]
    return importance_in(comparison.root, names) if len(names) == 1 else None


def _without_figures(run: RunResult, untested: str) -> str:
    """Why a run has no figures, or what draws them."""
    if run.config.get("figures") == "none":
        return "it was trained with figures=none"
    draws = "scripts/train.py resume=FOLDER draws them"
    return untested or (draws if run.done else "they are drawn when a run has finished")


def _facts(run: RunResult, header: Header) -> list[tuple[str, str]]:
    """What lines of the log are about, and what they say; then how the training went."""
    metrics, facts = run.metrics, []
    for line in header.lines:
        subject, colon, text = line.partition(": ")
        if TABLE_LINE.search(line):
            facts.append(("table", line))
        elif colon and subject.isidentifier() and subject != metrics["status"]:
            facts.append((subject, text))
    if "best_epoch" in metrics:
        seconds = metrics.get("seconds")
        took = f", {seconds:.3g} s of training" if isinstance(seconds, int | float) else ""
        mean = " (mean of the networks)" if members_of(metrics) > 1 else ""
        facts.append(("best epoch", f"{metrics['best_epoch']} of {metrics.get('epochs', '?')}{mean}{took}"))
    if header.started:
        facts.append(("started", header.started))
    return facts


def _command(environment: Mapping[str, Any]) -> str:
    words = environment.get("command")
    return shlex.join(["python", *map(str, words)]) if isinstance(words, list) and words else ""


def _origin(run: RunResult, environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    versions, git = environment.get("versions"), environment.get("git")
    found = [("seed", str(run.config.get("seed")))]
    if "data.split.seed" in run.config:
        found.append(("seed of the split", str(run.config["data.split.seed"])))
    if isinstance(git, dict):
        changed = " with uncommitted changes" if git.get("changed") else ""
        found.append(("git commit", f"{git.get('commit')}{changed}"))
    if isinstance(versions, dict):
        found.append(("versions", ", ".join(f"{name} {version}" for name, version in versions.items())))
    found += [(name, str(environment[name])) for name in ("device", "platform") if name in environment]
    return found
