"""What the checkpoints of a run hold."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from mlplab.data.leaks.seen_rows import SeenRows
from mlplab.runs.trained.trained_run import seen_entry, tensors
from mlplab.training.outcome import Metrics, Outcome
from mlplab.training.run import Run
from mlplab.training.state import StackState


def best_content(run: Run, outcome: Outcome, inherited: Sequence[SeenRows] | None) -> dict[str, Any]:
    """What `best.ckpt` holds: all that predictions need, and which rows were seen.

    Args:
        inherited: the rows in the training of `init_from`; None if they are unknown.
    """
    epoch, weights = outcome.metrics["best_epoch"], dict(zip(outcome.members, outcome.weights, strict=True))
    return {
        **content_of(run, epoch, outcome.metrics, weights, outcome.best),
        **seen_entry(None if inherited is None else [run.data.seen, *inherited]),
        "residuals": [tensors(of_target.arrays()) for of_target in outcome.residuals],
    }


def content_of(
    run: Run,
    epoch: int,
    metrics: Metrics,
    weights: Mapping[int, float],
    network: Mapping[str, Tensor],
    state: StackState | None = None,
) -> dict[str, Any]:
    """What the checkpoints of a run have in common.

    Args:
        weights: of its networks in the mean prediction, by their numbers.
        network: the tensors of these.
        state: from which training can go on.
    """
    return {
        "epoch": epoch,
        "metrics": metrics,
        "config": run.config.plain(),
        "schema": run.data.table.schema.plain(),
        "table": dict(run.data.fingerprint),
        "member_weights": dict(weights),
        "state": dict(network),
        **({"training": state.plain()} if state else {}),
    }
