"""What the training of the runs of a stack comes to."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from mlplab.config.metrics import sign_of
from mlplab.training.callbacks.stack_callback import Tensors
from mlplab.training.outcome import Metrics, Outcome, Status, finite
from mlplab.training.run import Run
from mlplab.training.stack.calibrate import Calibration, calibrate
from mlplab.training.stack.score_test_rows import Scored, score_test_rows

if TYPE_CHECKING:
    from mlplab.training.fit import StackTrainer


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
