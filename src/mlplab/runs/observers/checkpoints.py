"""What the checkpoints of a run hold."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from mlplab.data.leaks.seen_rows import SeenRows
from mlplab.runs.trained.trained_run import seen_entry, tensors
from mlplab.training.outcome import Outcome
from mlplab.training.run import Run


def best_content(run: Run, outcome: Outcome, inherited: Sequence[SeenRows] | None) -> dict[str, Any]:
    """What `best.ckpt` holds: all that predictions need, and which rows were seen.

    Args:
        inherited: the rows in the training of `init_from`; None if they are unknown.
    """
    return {
        **_content(run, outcome, outcome.metrics["best_epoch"], outcome.best),
        **seen_entry(None if inherited is None else [run.data.seen, *inherited]),
        "residuals": [tensors(of_target.arrays()) for of_target in outcome.residuals],
    }


def last_content(run: Run, outcome: Outcome) -> dict[str, Any]:
    """What `last.ckpt` holds: the last weights, and the state from which training can go on."""
    content = _content(run, outcome, outcome.metrics["epochs"], outcome.last)
    return content | ({"training": outcome.state.plain()} if outcome.state else {})


def _content(run: Run, outcome: Outcome, epoch: int, network: Mapping[str, Tensor]) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "metrics": outcome.metrics,
        "config": run.config.plain(),
        "schema": run.data.table.schema.plain(),
        "table": dict(run.data.fingerprint),
        "member_weights": dict(zip(outcome.members, outcome.weights, strict=True)),
        "state": dict(network),
    }
