"""The command report: one page about a run, a sweep, or a folder of them."""

import logging
from pathlib import Path

from mlplab.console import plural, progress_lines
from mlplab.errors import Fault, UserError
from mlplab.files import replacing
from mlplab.imports import heavy_imports
from mlplab.runs.discovery import REPORT_FILE, runs_in

log = logging.getLogger(__name__)


def report(folder: Path) -> Path:
    """Writes a page about the runs in a folder, and returns its path: `folder/report.html`.

    Runs that cannot be read are left out, with a warning.

    Raises:
        UserError: if there is no such folder, no run in it that can be read, or no permission to write.
    """
    runs = list[Path]()
    with progress_lines(log.info, lambda: f"reading {plural(len(runs), 'run')}"):
        runs += runs_in(folder)
        with heavy_imports():
            from mlplab.commands.report.page import page

        html = page(folder, runs)
    path = folder / REPORT_FILE
    try:
        with replacing(path, synced=False) as partial:
            partial.write_text(html, encoding="utf-8")
    except PermissionError as error:
        raise UserError(Fault(f"cannot be written: {error.strerror}", str(path))) from error
    return path
