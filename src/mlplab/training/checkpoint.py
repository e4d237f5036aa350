"""Checkpoints: tensors and plain data, so that no code need run to open one.

A run's holds one member's network, and if training may go on from it, all that it takes. A stack's holds what
it takes for all its members.
"""

import io
import logging
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlplab.errors import Fault, UserError
from mlplab.files import replacing

FORMAT = 4
"""Changes when older checkpoints can no longer be read."""

FOREIGN = "use only checkpoints that this project wrote"
"""Remedy for a file that this project cannot have written."""

PARTS = 1_000_000
"""Values and tensors that a checkpoint may hold; a stack's has tens of thousands."""

log = logging.getLogger(__name__)


def save(
    path: Path,
    state: Mapping[str, Tensor],
    *,
    config: Mapping[str, Any],
    schema: Mapping[str, Any],
    table: Mapping[str, int | str],
    epoch: int,
    metrics: Mapping[str, float | None],
    training: Mapping[str, Any] | None = None,
    seen: Mapping[str, Tensor] | None = None,
) -> None:
    """Writes a run's checkpoint whole or not at all; the one before stays beside it.

    Args:
        state: the network's tensors, with a member axis of length one.
        config: the run's configuration, plain.
        schema: the columns, plain.
        table: the fingerprint of the rows and of their split.
        epoch: epochs trained when the state was taken.
        metrics: of the run.
        training: what it takes to go on, plain; None for a checkpoint that is only to be used.
        seen: hashes of the rows of train and val, by which they are recognised in other tables.

    Raises:
        OSError: if it cannot be written; the one before is as it was.
    """
    content = {
        "epoch": epoch,
        "metrics": dict(metrics),
        "config": dict(config),
        "schema": dict(schema),
        "table": dict(table),
        "state": {name: tensor.detach().cpu().clone() for name, tensor in state.items()},
    }
    more = {"training": training, "seen": None if seen is None else dict(seen)}
    _write(path, content | {name: part for name, part in more.items() if part})


def save_stack(
    path: Path, tables: Mapping[str, Mapping[str, int | str]], *, training: Mapping[str, Any]
) -> None:
    """As `save`, of a stack whose members are the runs of these names."""
    each = [dict(table) for table in tables.values()]
    _write(path, {"runs": list(tables), "tables": each, "training": dict(training)})


def before(path: Path) -> Path:
    """Where the checkpoint lies that one has replaced."""
    return path.with_stem(f"{path.stem}.before")


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged")


def remove(path: Path) -> None:
    """Removes a checkpoint and those before."""
    path.unlink(missing_ok=True)
    remove_older(path)


def remove_older(path: Path) -> None:
    """Removes what a checkpoint has replaced, whole or damaged."""
    for each in (before(path), _aside(path)):
        each.unlink(missing_ok=True)


def load_newest(path: Path) -> dict[str, Any] | None:
    """The checkpoint, or if it is damaged the one before, said aloud; None if there is neither.

    Raises:
        UserError: as `load`, if neither can be used.
    """
    older = before(path)
    if not path.exists():
        return load(older) if older.exists() else None  # the moment between two moves
    try:
        return load(path)
    except UserError as error:
        if not older.exists():
            raise
        content = load(older)
        path.replace(_aside(path))  # or it would take the place of the one before
        log.warning("%s; goes on from the checkpoint before it", error.faults[0].sentence())
        return content


def _write(path: Path, content: Mapping[str, Any]) -> None:
    whole = io.BytesIO()  # torch's own writer tells a full disk by no error that could be recognised
    torch.save({"format": FORMAT, **content}, whole)
    with replacing(path, previous=before(path)) as partial:
        partial.write_bytes(whole.getbuffer())


def load(path: Path) -> dict[str, Any]:
    """The content that `save` or `save_stack` wrote, on the CPU.

    Raises:
        UserError: if the file is missing or damaged, holds code (none of which runs), or is none of ours.
    """
    if not path.is_file():
        raise UserError(Fault("no such file", str(path), remedy="the run wrote no such checkpoint"))
    try:
        with zipfile.ZipFile(path) as archive:
            _check_stored(path, archive)
            wrong = archive.testzip()
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError) as error:
        raise damaged(path, str(error)) from error
    if wrong:
        raise damaged(path, f"the checksum of {wrong} is wrong")
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        raise UserError(
            Fault(
                "holds more than tensors and plain data; nothing in it was run",
                str(path),
                remedy=FOREIGN,
            )
        ) from error
    except (
        RuntimeError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        AssertionError,
    ) as error:
        raise damaged(path, str(error).partition("\n")[0]) from error
    _check_bounded(path, content)
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


def _check_stored(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuses an archive that would unfold: torch writes its parts as they are."""
    parts = archive.infolist()
    packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
    if packed or sum(part.file_size for part in parts) > path.stat().st_size:
        what = "is an archive that unfolds, which no checkpoint is"
        raise UserError(Fault(what, str(path), remedy=FOREIGN))


def _check_bounded(path: Path, content: object) -> None:
    """Refuses content that refers to itself again and again, and tensors larger than what is stored."""
    left, level = PARTS, [content]
    while level:
        left -= len(level)
        inner: list[object] = []
        for part in level:
            if isinstance(part, Tensor):
                whole = part.numel() * part.element_size() <= part.untyped_storage().nbytes()
                left = left if whole else -1
            elif isinstance(part, Mapping):
                inner += part.values()
            elif isinstance(part, list | tuple | set):
                inner += part
            if left < len(inner):
                raise UserError(Fault("unfolds, which no checkpoint does", str(path), remedy=FOREIGN))
        level = inner


def damaged(path: Path, how: str) -> UserError:
    """The error that names a checkpoint that cannot be used."""
    remedy = "copy the file again from where it was whole, or train again"
    return UserError(Fault(f"is damaged: {how}", str(path), remedy=remedy))
