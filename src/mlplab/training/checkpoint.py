"""Checkpoints: one member's network, as tensors and plain data, so that no code need run to open one."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlplab.errors import Fault, UserError
from mlplab.files import replacing

FORMAT = 1
"""Changes when older checkpoints can no longer be read."""


def save(
    path: Path,
    state: Mapping[str, Tensor],
    *,
    config: Mapping[str, Any],
    schema: Mapping[str, Any],
    table: Mapping[str, int | str],
    epoch: int,
    metrics: Mapping[str, float | None],
) -> None:
    """Writes a checkpoint whole or not at all.

    Args:
        state: the network's tensors, with a member axis of length one.
        config: the run's configuration, plain.
        schema: the columns, plain.
        table: the fingerprint of the rows.
        epoch: epochs trained when the state was taken.
        metrics: of the run.
    """
    content = {
        "format": FORMAT,
        "epoch": epoch,
        "metrics": dict(metrics),
        "config": dict(config),
        "schema": dict(schema),
        "table": dict(table),
        "state": {name: tensor.detach().cpu().clone() for name, tensor in state.items()},
    }
    with replacing(path) as partial:
        torch.save(content, partial)


def load(path: Path) -> dict[str, Any]:
    """The content that `save` wrote, on the CPU.

    Raises:
        UserError: if the file is missing or damaged, holds code (none of which runs), or is none of ours.
    """
    if not path.is_file():
        raise UserError(Fault("no such file", str(path), remedy="the run wrote no such checkpoint"))
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if damaged:
        raise _damaged(path, f"the checksum of {damaged} is wrong")
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        raise UserError(
            Fault(
                "holds more than tensors and plain data; nothing in it was run",
                str(path),
                remedy="use only checkpoints that this project wrote",
            )
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        raise _damaged(path, str(error).partition("\n")[0]) from error
    form = content.get("format") if isinstance(content, dict) else None
    if form != FORMAT:
        raise UserError(
            Fault(
                "is not a checkpoint of this version of mlplab",
                str(path),
                f"format {form}" if form is not None else "another program's file",
                f"format {FORMAT}",
                remedy="train again, or use the version that environment.json beside it names",
            )
        )
    return dict(content)


def _damaged(path: Path, how: str) -> UserError:
    remedy = "copy the file again from where it was whole, or train again"
    return UserError(Fault(f"is damaged: {how}", str(path), remedy=remedy))
