"""The page: a part for each table."""

from collections.abc import Sequence
from pathlib import Path

import vl_convert

from mlplab.commands.report.comparison import compared
from mlplab.commands.report.run import RunPart
from mlplab.commands.report.runs import RunsPart
from mlplab.commands.results import read_all
from mlplab.figures.style import ON_PAGE
from mlplab.files import Plain
from mlplab.pages.page import rendered
from mlplab.runs.compare.same_table import table_title
from mlplab.typed_commands import commands_as_typed

TEMPLATE = Path(__file__).parent / "template" / "page.html"


def page(folder: Path, runs: Sequence[Path]) -> str:
    """The HTML of the page about the runs that were found in a folder.

    Raises:
        UserError: if none of the runs can be read.
    """
    readable, notes = read_all(runs)
    parts: list[Plain] = [
        {"title": table_title(table.runs)}
        | ({"runs": RunsPart(table)} if len(table.runs) > 1 else {"run": RunPart(table, table.runs[0])})
        for table in compared(folder, readable)
    ]
    return rendered(
        TEMPLATE,
        scripts=[chart_script()],
        title=folder.resolve().name,
        parts=parts,
        notes=notes,
        chart_config=ON_PAGE,
        commands_as_typed=commands_as_typed,
    )


def chart_script() -> str:
    """Vega-Embed and what it needs, as one script."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed"))
