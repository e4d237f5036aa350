"""Checkpoints: one member's network, as tensors and plain data, so that no code need run to open one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlplab.files import replacing

FORMAT = 1


def save(
    path: Path,
    state: Mapping[str, Tensor],
    *,
    config: Mapping[str, Any],
    schema: Mapping[str, Any],
    epoch: int,
    metrics: Mapping[str, float | None],
) -> None:
    """Writes a checkpoint whole or not at all.

    Args:
        state: the network's tensors, with a member axis of length one.
        config: the run's configuration, plain.
        schema: the columns, plain.
        epoch: epochs trained when the state was taken.
        metrics: of that epoch.
    """
    content = {
        "format": FORMAT,
        "epoch": epoch,
        "metrics": dict(metrics),
        "config": dict(config),
        "schema": dict(schema),
        "state": {name: tensor.detach().cpu().clone() for name, tensor in state.items()},
    }
    with replacing(path) as partial:
        torch.save(content, partial)


def load(path: Path) -> dict[str, Any]:
    """The content that `save` wrote, on the CPU; refuses files with code in them."""
    content: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    return content
