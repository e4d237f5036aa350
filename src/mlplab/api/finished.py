"""What runs and sweeps that have ended have in common: a folder, which may be temporary."""

import shutil
import weakref
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mlplab.errors import Fault, UserError
from mlplab.runs.run_file import SUFFIX


@dataclass(eq=False, repr=False)
class Finished:
    """A run or a sweep that has ended.

    Attributes:
        folder: holds everything. If it `is_temporary`, it is removed with this object, or with the sweep.
        frame: the rows, if they are a frame in memory.
        sweep: that of a run which was chosen.
        file: the one from which the run was loaded; then the folder is temporary, and has what was in it.
    """

    folder: Path
    frame: pl.DataFrame | None = None
    is_temporary: bool = False
    sweep: "Finished | None" = None
    file: Path | None = None

    def __post_init__(self) -> None:
        """Lets the temporary folder end with this object."""
        if self.is_temporary and not self.sweep:
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def save(self, path: str | Path) -> Path:
        """Copies the folder, which `mlplab.load` and all commands read.

        Raises:
            UserError: if there is a file or folder at that path.
        """
        if Path(path).suffix == SUFFIX:
            remedy = "save its best run, sweep.best.save(path), or an ensemble, sweep.ensemble().save(path)"
            raise UserError(
                Fault("is the name of one file, but a sweep is a folder", str(path), remedy=remedy)
            )
        if Path(path).exists():
            raise UserError(Fault("exists", str(path), remedy="choose another folder, or remove it"))
        return Path(shutil.copytree(self.folder, path))
