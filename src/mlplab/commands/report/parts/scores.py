"""A run's scores beside those of its baselines, as a page shows them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlplab.commands.render import format_score, network_name
from mlplab.commands.report.parts.text_table import TextTable, score
from mlplab.commands.verdict import NAMES, verdict
from mlplab.config.metrics import BASELINES, CLASSIFICATION, MAIN, REGRESSION


@dataclass(frozen=True)
class Tile:
    """A score in large type, and the same score of a baseline."""

    name: str
    value: str
    beside: str


@dataclass(frozen=True)
class Scores:
    """The test scores of a run.

    Attributes:
        tiles: the main scores.
        verdict: how the run compares with its baselines, in a sentence; empty without baselines.
        grids: the scores of network, members and baselines; of several targets also of each.
        validation: the validation scores, in a sentence.
    """

    tiles: tuple[Tile, ...]
    verdict: str
    grids: tuple[TextTable, ...]
    validation: str


def members_of(metrics: Mapping[str, Any]) -> int:
    """The number of a run's networks."""
    members = metrics.get("members", 1)
    return members if isinstance(members, int) else 1


def scores_of(metrics: Mapping[str, Any]) -> Scores | None:
    """The scores of a run that has finished; None of any other."""
    names = next((each for each in (CLASSIFICATION, REGRESSION) if f"test/{each[0]}" in metrics), None)
    if metrics["status"] != "done" or names is None:
        return None
    return Scores(
        tuple(_tile(metrics, name, names) for name in MAIN[names]),
        verdict(metrics),
        (_grid(metrics, names), *_of_targets(metrics, names)),
        validation_scores(metrics),
    )


def validation_scores(metrics: Mapping[str, Any]) -> str:
    """The validation scores and the best epoch, in a sentence; empty if there are none."""
    names = next((each for each in (CLASSIFICATION, REGRESSION) if f"val/{each[0]}" in metrics), None)
    if names is None:
        return ""
    kind = "Out-of-fold" if "oof/rmse" in metrics or "oof/log_loss" in metrics else "Validation"
    values = ", ".join(f"{NAMES.get(name, name)} {score(metrics, f'val/{name}')}" for name in MAIN[names])
    epoch = (
        f" at epoch {metrics['best_epoch']} of {metrics.get('epochs', '?')}"
        if "best_epoch" in metrics
        else ""
    )
    return f"{kind} scores{epoch}: {values}."


def _tile(metrics: Mapping[str, Any], name: str, names: tuple[str, ...]) -> Tile:
    beside = next((each for each in BASELINES[names] if f"{each}/test/{name}" in metrics), None)
    text = f"{BASELINES[names][beside]} {score(metrics, f'{beside}/test/{name}')}" if beside else ""
    return Tile(NAMES.get(name, name), score(metrics, f"test/{name}"), text)


def _grid(metrics: Mapping[str, Any], names: tuple[str, ...]) -> TextTable:
    members = members_of(metrics)
    prefixes = {network_name(members): ""}
    if members > 1:
        prefixes["its networks (mean ± SD)"] = "members/"
    prefixes |= {each: f"{name}/" for name, each in BASELINES[names].items()}
    rows = [
        (name, *(_cell(metrics, prefix, each) for each in names))
        for name, prefix in prefixes.items()
        if f"{prefix}test/{names[0]}" in metrics
    ]
    head = ("model", *(NAMES.get(name, name) for name in names))
    return TextTable("Test scores, on rows that took no part in training", head, rows, marked=(0,))


def _cell(metrics: Mapping[str, Any], prefix: str, name: str) -> str:
    sd = metrics.get(f"{prefix}sd/test/{name}")
    cell = score(metrics, f"{prefix}test/{name}")
    return f"{cell} ± {sd:.2g}" if isinstance(sd, float) and math.isfinite(sd) else cell


def _of_targets(metrics: Mapping[str, Any], names: tuple[str, ...]) -> list[TextTable]:
    """The network's scores for each of several targets."""
    first = f"test/{names[0]}/"
    targets = [name.removeprefix(first) for name in metrics if name.startswith(first)]
    rows = [(target, *(_score_of_target(metrics, name, target) for name in names)) for target in targets]
    head = ("target", *(NAMES.get(name, name) for name in names))
    return [TextTable("Test scores of each target", head, rows)] if rows else []


def _score_of_target(metrics: Mapping[str, Any], name: str, target: str) -> str:
    """The network's score for one target."""
    value = metrics.get(f"test/{name}/{target}")
    return format_score(float(value) if isinstance(value, int | float) else None, name)
