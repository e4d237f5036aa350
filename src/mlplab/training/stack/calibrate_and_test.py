"""What the training of runs comes to: what their held-out rows choose, and their test scores."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlplab.config.loss import MEDIAN
from mlplab.config.metrics import DEFAULT_THRESHOLD, sign_of
from mlplab.conformal.intervals import Uncertainty
from mlplab.conformal.residual_quantiles import Residuals, residuals_of
from mlplab.data.batches.datamodule import TableDataModule
from mlplab.models import Network
from mlplab.models.targets import ClassProbabilities
from mlplab.training.callbacks.stack_callback import Tensors
from mlplab.training.outcome import BelowZero, Metrics, Outcome, Status, finite
from mlplab.training.run import Run, activations
from mlplab.training.scoring.calibration import (
    best_threshold,
    held_out_outputs,
    linear_shares,
    mean_weights,
    temperatures,
)
from mlplab.training.scoring.losses import Loss
from mlplab.training.scoring.mean_predictions import OfMembers, Predicted, out_of_fold, weighted_mean
from mlplab.training.scoring.scores import Evaluation, Task, all_scores, scores

if TYPE_CHECKING:
    from mlplab.training.fit import StackTrainer


@dataclass(frozen=True)
class Calibration:
    """What was chosen for a run by the rows that it holds out.

    Args:
        weights: in the mean prediction, of its networks that did not diverge, by their places in the stack;
            their sum is 1.
        threshold: the probability from which it predicts the second of two classes.
        residuals: of the rows, for intervals and prediction sets.
        metrics: all of that, and of an ensemble its scores out of fold, as `val/…`, too.
        below_zero: as in `Outcome`.
    """

    weights: Mapping[int, float]
    threshold: float = DEFAULT_THRESHOLD
    residuals: Sequence[Residuals] = ()
    metrics: Metrics = field(default_factory=dict)
    below_zero: BelowZero = field(default_factory=dict)


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
        # Scores validation rows again: in training, networks have no share of their linear model yet.
        found, _ = stack.module.val.score(network, datamodule.val_dataloader())
        scored = [member for run in runs for member in stack.members(run)]
        for name, value in found.items():
            values = best.values[f"val/{name}"]
            values[scored] = value[scored].to(values)
    if isinstance(transform, ClassProbabilities):
        for index, temperature in zip(runs, temperatures(held_out, members), strict=True):
            transform.temperature[stack.members(index)] = temperature
    best.network = network.state_dict()
    predicted = transform.inverse_transform(held_out.z).cpu().numpy()
    return {index: _calibrated(stack, index, predicted) for index in runs}


def _calibrated(stack: "StackTrainer", index: int, predicted: OfMembers) -> Calibration:
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
        metrics["linear_share"] = best.network["linear_path.share"][members[0]].item()
    names = activations(run.config)
    names = [names[member % module.members.ensemble] for member in members] if names else []
    weights = _weights(stack, index, names)
    for name, weight in zip(names, weights, strict=False):
        metrics[f"weight/{name}"] = metrics.get(f"weight/{name}", 0) + weight
    if classes:
        temperature = best.network["preprocessing.target_transform.temperature"]
        metrics["temperature"] = temperature[members[0]].item()
    if len(classes) == 2:
        metrics["threshold"] = threshold
    if is_chosen:
        metrics["threshold_rows"] = "oof" if module.members.ensemble > 1 else "val"
    residuals = residuals_of(table, rows, mean) if run.held_out_is_new else ()
    weights = weights or [1 / len(members)] * len(members)
    chosen = dict(zip(members, weights, strict=True))
    return Calibration(chosen, threshold, residuals, metrics, _below_zero(run, mean))


def _below_zero(run: Run, held_out: Predicted) -> BelowZero:
    table, split, levels = run.data.table, run.data.split, run.config.quantiles
    if table.schema.classes:
        return {}
    predicted = held_out[:, [levels.index(MEDIAN)]] if levels else held_out
    known = table.y[np.concatenate([split.train, split.val])]
    counts = (predicted < 0).sum(0) * (known >= 0).all(0)
    named = zip(table.schema.targets, counts.tolist(), strict=True)
    return {target: (count, len(predicted)) for target, count in named if count}


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


# The scores of a run on its test rows, and its mean predictions for them.
Scored = tuple[Metrics, Predicted]


def score_test_rows(
    network: Network, loss: Loss, datamodule: TableDataModule, runs: Sequence[tuple[Run, Calibration]]
) -> list[Scored]:
    """The scores of the networks of runs on their test rows, and their mean predictions.

    Args:
        network, loss: of all members of a stack.
    """
    thresholds = np.full(len(datamodule.test), DEFAULT_THRESHOLD)
    for _, chosen in runs:
        thresholds[[*chosen.weights]] = chosen.threshold
    evaluation = Evaluation(loss, datamodule.test, datamodule.table.schema, thresholds.tolist())
    evaluation = evaluation.to(network.preprocessing.impute_value.device)
    values, predicted = evaluation.score(network, datamodule.test_dataloader())
    scored = []
    for run, chosen in runs:
        members, table, rows = [*chosen.weights], run.data.table, run.data.split.test
        own = {name: value[members].cpu() for name, value in values.items()}
        quantiles, known, more = run.config.quantiles, None, Metrics()
        uncertainty = Uncertainty(table.schema, [chosen.residuals], quantiles)
        mean = weighted_mean(predicted[members, : len(rows)], np.array([*chosen.weights.values()]))
        mean = uncertainty.corrected(mean)
        if not (run.data.bagged or quantiles):
            known = {name: value.item() for name, value in own.items()}
        if run.data.bagged:  # an ensemble has the scores of its mean prediction, and of its networks
            more |= {f"members/test/{name}": value.double().mean().item() for name, value in own.items()}
            if len(members) > 1:
                more |= {f"members/sd/test/{name}": value.std().item() for name, value in own.items()}
        y, weight = table.y[rows], None if table.weight is None else table.weight[rows]
        found = all_scores(uncertainty, mean, y, weight, chosen.threshold, known)
        scored.append((finite({f"test/{name}": value for name, value in found.items()} | more), mean))
    return scored


class Ending(NamedTuple):
    """How the training of a run has ended.

    Args:
        reason: why it ended before its last epoch, or failed.
        error: that by which it failed.
    """

    status: Status
    reason: str | None = None
    error: BaseException | None = None


def outcomes(stack: "StackTrainer", ended: Mapping[int, Ending]) -> Iterator[tuple[Run, Outcome]]:
    """Calibrates and tests the runs of a stack that have ended; their outcomes.

    Args:
        ended: by the places of the runs.
    """
    done = [index for index, ending in ended.items() if ending.status == "done"]
    tested = [index for index in done if stack.runs[index].config.test]
    calibrations = calibrate(stack, done) if done else {}
    scored: dict[int, Scored] = {}
    if tested:
        network = stack.module.network.to(stack.trainer.strategy.root_device)
        to_score = [(stack.runs[index], calibrations[index]) for index in tested]
        found = score_test_rows(network, stack.module.val.loss, stack.datamodule, to_score)
        scored = dict(zip(tested, found, strict=True))
    for index, ending in ended.items():
        outcome = outcome_of(stack, index, ending, calibrations.get(index), scored.get(index))
        yield stack.runs[index], outcome


def outcome_of(
    stack: "StackTrainer", run: int, ending: Ending, chosen: Calibration | None, scored: Scored | None
) -> Outcome:
    """The outcome of a run of a stack.

    Args:
        chosen, scored: what it got after its training, if that was over; else, its networks weigh the same.
    """
    left, own = stack.members_not_diverged(run), stack.members(run)
    chosen = chosen or Calibration(dict.fromkeys(left, 1 / len(left)))
    members = [*chosen.weights]
    diverged, final = stack.module.members.diverged, stack.final_state
    metrics = metrics_of(stack, run) | finite(chosen.metrics)
    ended = final if ending.status != "diverged" else None
    can_go_on = ended and ended.parts["members"]["active"][own].any()
    return Outcome(
        *ending,
        seconds=stack.seconds,
        metrics=metrics | (scored[0] if scored else {}),
        weights={member - own[0]: weight for member, weight in chosen.weights.items()},
        diverged=[diverged[member] for member in own if member in diverged],
        residuals=chosen.residuals,
        below_zero=chosen.below_zero,
        best=of_members(stack.best.network if "best_epoch" in metrics else {}, members),
        last=of_members(stack.last_weights if ended else {}, members),
        state=final.select(own) if final and can_go_on else None,
        history=stack.history.curves(stack.runs[run]),
        test_predictions=scored[1] if scored else None,
    )


def metrics_of(stack: "StackTrainer", index: int) -> Metrics:
    """The metrics of a run's best epoch, of an ensemble the means of its members; and those at rungs."""
    best, members, metrics = stack.best, stack.members_not_diverged(index), Metrics()
    if best.epochs[members].all():
        for name, value in best.values.items():
            if name != "train/lr":
                metrics[name] = value[members].double().mean().item()
        metrics["best_epoch"] = round(best.epochs[members].double().mean().item())
    metrics["epochs"] = int(stack.module.members.epochs[members].max())
    return finite(metrics | stack.pruning.metrics(members[0], sign_of(stack.module.monitor)))


def of_members(network: Tensors, members: Sequence[int]) -> Tensors:
    """Copies of the tensors of some members, on the CPU."""
    return {name: tensor.detach()[members].cpu() for name, tensor in network.items()}
