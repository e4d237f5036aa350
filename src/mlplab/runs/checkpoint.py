"""Checkpoints: tensors and plain data only, so that opening one runs no code.

The checkpoint of a run contains:

- `state`: the network's tensors, with a leading member axis; `member_weights`: the weight of each member in
  the mean prediction, by its number (their sum is 1);
- `config`, `schema`, `metrics`, and `epoch`, the number of epochs of training;
- `table`: the fingerprint of the table and the split; `seen`: the rows of train and val, of the best epoch's
  checkpoint, to recognise them in other tables; `residuals` of each target or quantile, for intervals
  (since 0.19), or of classes, for prediction sets (since 0.20);
- `training`: the training state, if training can resume from it.

That of a stack contains the `training` state of all its members, and the `tables` of its `runs`.
"""

import io
import logging
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mlplab.errors import UserError, refusal
from mlplab.files import Plain, check_archive, replacing

# The format of all versions since 0.12. What is in it is converted by `mlplab.runs.versions`.
FORMAT = 12

log = logging.getLogger(__name__)


def save(path: Path, content: Mapping[str, object]) -> None:
    """Writes a checkpoint atomically; the previous one is kept beside it.

    Raises:
        OSError: if the file cannot be written; the previous checkpoint is intact.
    """
    buffer = io.BytesIO()  # torch's own writer raises no recognisable error if the disk is full
    torch.save({"format": FORMAT, **content}, buffer)
    with replacing(path, previous=previous(path)) as partial:
        partial.write_bytes(buffer.getbuffer())


def previous(path: Path) -> Path:
    """Path of the checkpoint that the one at `path` replaced."""
    return path.with_stem(f"{path.stem}.previous")


def remove(path: Path) -> None:
    """Removes a checkpoint and the one before it."""
    for each in (path, previous(path)):
        each.unlink(missing_ok=True)


def load_newest(path: Path) -> Plain | None:
    """The content of the checkpoint, or of the previous one, with a warning, if it is damaged.

    None if neither exists.

    Raises:
        UserError: as `load`, if neither can be used.
    """
    older = previous(path)
    if not path.exists():
        return load(older) if older.exists() else None  # killed while replacing it
    try:
        return load(path)
    except UserError as error:
        if not older.exists():
            raise
        content = load(older)
        older.replace(path)  # otherwise the next save would replace it by the damaged one
        log.warning("%s; using the previous checkpoint", error.faults[0].sentence())
        return content


def load(path: Path) -> Plain:
    """The content that `save` wrote, with tensors on the CPU.

    Raises:
        UserError: if the file is missing or damaged, contains code (which is not run), or is not a checkpoint
            of this version.
    """
    if not path.is_file():
        raise refusal("no such file", path, "the run has not written this checkpoint")
    try:
        with zipfile.ZipFile(path) as archive:
            check_archive(archive, path)
            if wrong := archive.testzip():
                raise ValueError(f"the checksum of {wrong} is wrong")
        content = torch.load(path, weights_only=True, map_location="cpu")
        _check_size(content)
    except pickle.UnpicklingError as error:
        what = "contains more than tensors and plain data; none of its code was run"
        raise refusal(what, path, "use only checkpoints that mlplab wrote") from error
    except Exception as error:  # of many kinds
        raise damaged(path, str(error).partition("\n")[0]) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        remedy = "train again, or use the version of mlplab that environment.json names"
        raise refusal("is not a checkpoint that this version can read", path, remedy)
    return content


def _check_size(content: object) -> None:
    count, left = 0, [content]
    while left:
        count, part = count + 1, left.pop()
        if isinstance(part, Tensor) and part.nbytes > part.untyped_storage().nbytes():
            raise ValueError("a tensor is larger than its storage")
        if isinstance(part, Mapping | list | tuple | set):
            left += part.values() if isinstance(part, Mapping) else part
        if count + len(left) > 1_000_000:  # that of a stack has tens of thousands
            raise ValueError("it claims to contain more than the file does")


def damaged(path: Path, reason: str) -> UserError:
    """The error for a damaged checkpoint."""
    return refusal(f"is damaged: {reason}", path, "copy the file again from an intact one, or train again")
