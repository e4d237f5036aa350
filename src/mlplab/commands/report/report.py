"""The command report: one page about a run, a sweep, or a folder of them."""

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mlplab.console import progress_lines
from mlplab.errors import Fault, UserError
from mlplab.files import replacing
from mlplab.imports import heavy_imports
from mlplab.runs.discovery import REPORT_FILE, runs_below

BUNDLE = """
import sys, vl_convert
sys.stdout.buffer.write(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed").encode())
"""
"""Python code that writes Vega-Embed and what it needs, as one script."""

log = logging.getLogger(__name__)


def report(folder: Path) -> Path:
    """Writes a page about the runs in a folder, and returns its path: `folder/report.html`.

    Runs of a different version and runs with damaged files are left out, with a warning.

    Raises:
        UserError: if there is no such folder, no run in it that can be read, or no permission to write.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "no such folder"
        raise UserError(Fault(what, str(folder), remedy="give the folder of a run or a sweep, or outputs/"))
    runs = list[Path]()
    with progress_lines(log.info, lambda: f"reading {len(runs):,} runs"):
        runs += runs_below(folder)
        if not runs:
            expected = "folders with config.yaml and metrics.json in them"
            raise UserError(Fault("contains no run", str(folder), expected=expected))
        with bundled() as bundle:
            with heavy_imports():  # meanwhile: they take a second, too
                from mlplab.commands.report.page import page

            html = page(folder, runs, bundle)
    path = folder / REPORT_FILE
    try:
        with replacing(path, synced=False) as partial:
            partial.write_text(html, encoding="utf-8")
    except PermissionError as error:
        raise UserError(Fault(f"cannot be written: {error.strerror}", str(path))) from error
    return path


@contextmanager
def bundled() -> Iterator[Callable[[], str]]:
    """Starts a process that makes the script of charts, which takes more than a second.

    Yields:
        A function that waits for the script. It raises a UserError if vl-convert-python does not work.
    """
    command = [sys.executable, "-P", "-c", BUNDLE]  # -P: the current folder may have a file vl_convert.py
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:

        def script() -> str:
            made, errors = process.communicate()
            if process.returncode:
                reason = errors.decode(errors="replace").strip().rpartition("\n")[2]
                remedy = "install it again: uv sync, or pip install -e ."
                raise UserError(Fault(f"does not work: {reason}", "vl-convert-python", remedy=remedy))
            return made.decode()

        try:
            yield script
        finally:
            process.kill()
