"""The command export, of trained runs as one file that all commands take."""

from pathlib import Path

from mlplab.commands.predict import check_output
from mlplab.runs.trained.card import remaining_values
from mlplab.runs.trained.ensemble import load
from mlplab.runs.trained.save import save


def export_file(
    run: Path, output: Path, *, runs: str | int = "best", seen: bool = False, overwrite: bool = False
) -> list[str]:
    """Saves trained runs as one file, which all commands take; returns what it contains of their table.

    Args:
        run, runs: as in `load`.
        seen: as in `save`.
        overwrite: whether `output` may exist.

    Raises:
        UserError: if there is no finished run, or the file exists.
    """
    check_output(str(output), overwrite=overwrite)
    ensemble = load(run, runs)
    save(ensemble, output, seen=seen)
    return remaining_values(ensemble, seen=seen)
