"""The command report: one page about a run, a sweep, or a folder of them."""

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from mlplab.console import plural, progress_lines
from mlplab.errors import refusal
from mlplab.files import Plain, replacing
from mlplab.imports import heavy_imports
from mlplab.runs.discovery import REPORT_FILE, runs_in
from mlplab.runs.run_file import is_run_file, unpacked
from mlplab.typed_commands import commands_as_typed

TEMPLATE = Path(__file__).parent / "template" / "page.html"

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
        html = page(inner, runs)
    if path is None:
        path = folder.with_suffix(".report.html") if is_run_file(folder) else folder / REPORT_FILE
    try:
        with replacing(path, synced=False) as partial:
            partial.write_text(html, encoding="utf-8")
    except PermissionError as error:
        raise refusal(f"cannot be written: {error.strerror}", path) from error
    return path


def page(folder: Path, runs: Sequence[Path]) -> str:
    """The HTML of the page about the runs that were found in a folder: a part for each table.

    Raises:
        UserError: if none of the runs can be read.
    """
    with heavy_imports():  # Altair takes most of a second to import
        from mlplab.commands.report.comparison import compared
        from mlplab.commands.report.run import run_part
        from mlplab.commands.report.runs import runs_part
        from mlplab.commands.results import read_all
        from mlplab.figures.style import CONFIG
        from mlplab.pages import rendered
        from mlplab.runs.compare.run_result import table_title

    readable, notes = read_all(runs)
    parts: list[Plain] = [
        {"title": table_title(table.runs)}
        | ({"runs": runs_part(table)} if len(table.runs) > 1 else {"run": run_part(table, table.runs[0])})
        for table in compared(folder, readable)
    ]
    return rendered(
        TEMPLATE,
        scripts=[chart_script()],
        title=folder.resolve().name,
        parts=parts,
        notes=notes,
        chart_config=CONFIG,
        commands_as_typed=commands_as_typed,
    )


@cache
def chart_script() -> str:
    """Vega-Embed and what it needs, as one script, which takes a second to make."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed"))
