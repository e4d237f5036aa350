"""Figures, drawn by Altair: functions of arrays and plain values that return charts."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mlplab.errors import CannotWrite, cannot_write, is_disk_error, reason_of

Curve = Sequence[tuple[int, float]]
"""Points: the epoch, counted from 1, and a finite value."""

FIGURES = "figures"
"""The folder of figures in the folder of a run or a sweep."""

SPECIFICATION = ".vl.json"
"""How the name of the specification of a figure ends."""

IMPORTANCE = "importance"
"""The figure that `evaluate.py importance=true` draws, not training."""

LEARNING_CURVES = "learning_curves"
"""The figure of which the report draws each chart."""

log = logging.getLogger(__name__)


def is_drawn(folder: Path) -> bool:
    """Whether the figures of a run have been written."""
    paths = (folder / FIGURES).glob(f"*{SPECIFICATION}")
    return any(path.name != f"{IMPORTANCE}{SPECIFICATION}" for path in paths)


@contextmanager
def warn_if_failing(folder: Path, what: str = "figures") -> Iterator[None]:
    """Logs errors as warnings: what has been trained is not to fail for its pictures.

    Raises:
        CannotWrite: if the disk is full.
    """
    try:
        yield
    except CannotWrite:
        raise
    except Exception as error:
        if is_disk_error(error):
            raise cannot_write(error) from error
        log.warning("no %s of %s: %s", what, folder, reason_of(error))
