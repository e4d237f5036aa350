"""The command report: one page about a run, a sweep, or a folder of them."""

import logging
from pathlib import Path

from mlplab.console import plural, progress_lines
from mlplab.errors import refusal
from mlplab.files import replacing
from mlplab.imports import heavy_imports
from mlplab.runs.discovery import REPORT_FILE, runs_in
from mlplab.runs.run_file import is_run_file, unpacked

log = logging.getLogger(__name__)


def report(folder: Path, path: Path | None = None) -> Path:
    """Writes a page about the runs in a folder, and returns its path.

    Runs that cannot be read are left out, with a warning.

    Args:
        path: of the page; None: `folder/report.html`, of a file such as `price.mlplab` `price.report.html`.

    Raises:
        UserError: if there is no such folder, no run in it that can be read, or no permission to write.
    """
    runs = list[Path]()
    with progress_lines(log.info, lambda: f"reading {plural(len(runs), 'run')}"), unpacked(folder) as inner:
        runs += runs_in(inner)
        with heavy_imports():
            from mlplab.commands.report.page import page

        html = page(inner, runs)
    if path is None:
        path = folder.with_suffix(".report.html") if is_run_file(folder) else folder / REPORT_FILE
    try:
        with replacing(path, synced=False) as partial:
            partial.write_text(html, encoding="utf-8")
    except PermissionError as error:
        raise refusal(f"cannot be written: {error.strerror}", path) from error
    return path
