"""What validation rows choose when training is over: shares, temperatures, thresholds, members' weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlplab.config.metrics import DEFAULT_THRESHOLD
from mlplab.conformal.residuals import Residuals, residuals_of
from mlplab.models.targets import ClassProbabilities
from mlplab.training.outcome import Metrics
from mlplab.training.run import activations
from mlplab.training.scoring.calibration import (
    best_threshold,
    held_out_outputs,
    linear_shares,
    mean_weights,
    temperatures,
)
from mlplab.training.scoring.mean_predictions import OfMembers, out_of_fold
from mlplab.training.scoring.scores import Task, scores

if TYPE_CHECKING:
    from mlplab.training.fit import StackTrainer

TEMPERATURE, LINEAR_SHARE = "preprocessing.target_transform.temperature", "linear_path.share"
"""The name of a tensor in a network's state."""

WEIGHT = "weight/"
"""Prefix of metrics: how much the networks with an activation weigh in the mean prediction."""


@dataclass(frozen=True)
class Calibration:
    """What was chosen for a run by the rows that it holds out.

    Args:
        weights: in the mean prediction, of its networks that did not diverge, by their places in the stack;
            their sum is 1.
        threshold: the probability from which it predicts the second of two classes.
        residuals: of the rows, for intervals and prediction sets.
        metrics: all of that, and of an ensemble its scores out of fold, as `val/…`, too.
    """

    weights: Mapping[int, float]
    threshold: float = DEFAULT_THRESHOLD
    residuals: Sequence[Residuals] = ()
    metrics: Metrics = field(default_factory=dict)


def calibrate(stack: "StackTrainer", runs: Sequence[int]) -> dict[int, Calibration]:
    """Loads the best weights, and chooses for runs of a stack what their held-out rows say is best."""
    network, datamodule, best = stack.module.network, stack.datamodule, stack.best
    network.load_state_dict(best.network)
    transform, path = network.preprocessing.target_transform, network.linear_path
    members = [stack.members_not_diverged(run) for run in runs]
    held_out = held_out_outputs(network, datamodule.val_dataloader(), datamodule.val)
    if held_out.u is not None and path is not None:
        for index, share in zip(runs, linear_shares(network, held_out, members), strict=True):
            path.share[stack.members(index)] = share
        held_out = held_out._replace(z=path.combine(held_out.z, held_out.u, path.share))
        _score_validation_rows(stack, runs)
    if isinstance(transform, ClassProbabilities):
        for index, temperature in zip(runs, temperatures(held_out, members), strict=True):
            transform.temperature[stack.members(index)] = temperature
    best.network = network.state_dict()
    predicted = transform.inverse_transform(held_out.z).cpu().numpy()
    return {index: _calibrated(stack, index, predicted) for index in runs}


def _score_validation_rows(stack: "StackTrainer", runs: Sequence[int]) -> None:
    """Scores validation rows again: in training, networks have no share of their linear model yet."""
    module, members = stack.module, [member for run in runs for member in stack.members(run)]
    found, _ = module.val.score(module.network, stack.datamodule.val_dataloader())
    for name, value in found.items():
        best = stack.best.values[f"val/{name}"]
        best[members] = value[members].to(best)


def _calibrated(stack: "StackTrainer", index: int, predicted: OfMembers) -> Calibration:
    """The calibration of a run whose networks predict the rows that they hold out."""
    run, module, best = stack.runs[index], stack.module, stack.best
    table, members = run.data.table, stack.members_not_diverged(index)
    held_out = [stack.data[member].split.val for member in members]
    parts = [predicted[member, : len(own)] for member, own in zip(members, held_out, strict=True)]
    rows, mean = out_of_fold(held_out, parts)
    y, row_weight = table.y[rows], None if table.weight is None else table.weight[rows]
    threshold, is_chosen = run.config.threshold, run.config.threshold == "auto"
    if threshold == "auto":
        threshold = best_threshold(mean[:, 1], y[:, 0] == 1, row_weight, run.config.threshold_metric)
    metrics, classes = Metrics(), module.schema.classes
    if module.members.ensemble > 1:
        # Not by a threshold that these rows have chosen.
        at = DEFAULT_THRESHOLD if is_chosen else threshold
        found = scores(mean, y, row_weight, Task.of(module.schema, run.config.quantiles), at)
        metrics |= {f"{part}/{name}": value for part in ("oof", "val") for name, value in found.items()}
        metrics["members"] = len(members)
    if module.network.linear_path is not None:
        metrics["linear_share"] = best.network[LINEAR_SHARE][members[0]].item()
    names = activations(run.config)
    names = [names[member % module.members.ensemble] for member in members] if names else []
    weights = _weights(stack, index, names)
    for name, weight in zip(names, weights, strict=False):
        metrics[WEIGHT + name] = metrics.get(WEIGHT + name, 0) + weight
    if classes:
        metrics["temperature"] = best.network[TEMPERATURE][members[0]].item()
    if len(classes) == 2:
        metrics["threshold"] = threshold
    if is_chosen:
        metrics["threshold_rows"] = "oof" if module.members.ensemble > 1 else "val"
    residuals = residuals_of(table, rows, mean) if run.held_out_is_new else ()
    weights = weights or [1 / len(members)] * len(members)
    return Calibration(dict(zip(members, weights, strict=True)), threshold, residuals, metrics)


def _weights(stack: "StackTrainer", index: int, names: Sequence[str]) -> Sequence[float]:
    """The weights of a run's networks with these activations, if their errors can be compared.

    The members hold out different rows. Groups, periods and rare classes may be harder than others.
    """
    split = stack.runs[index].config.data.split
    is_random = not (getattr(split, "group", None) or getattr(split, "time", None))
    if len(set(names)) < 2 or stack.module.schema.classes or not is_random:
        return ()
    errors = stack.best.values["val/mae"][stack.members_not_diverged(index)]
    return mean_weights(errors.double().cpu().numpy(), names)
