"""The page: a part for each table, and its HTML, which asks nothing of the network."""

import base64
import hashlib
import logging
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mlplab.commands.report.comparison import compared
from mlplab.commands.report.run import run_part
from mlplab.commands.report.runs import runs_part
from mlplab.commands.results import read_all
from mlplab.figures.style import ON_PAGE
from mlplab.runs.compare.same_table import table_title
from mlplab.typed_commands import commands_as_typed

TEMPLATE = Path(__file__).with_name("template")

log = logging.getLogger(__name__)


def page(folder: Path, runs: Sequence[Path]) -> str:
    """The HTML of the page about the runs that were found in a folder.

    All that comes from runs is escaped. The page's policy allows its own two scripts, by their hashes, and no
    connection.

    Raises:
        UserError: if none of the runs can be read.
    """
    readable, notes = read_all(runs)
    for note in notes:
        log.warning("%s", note)
    parts = [
        {"title": table_title(table.runs)}
        | ({"runs": runs_part(table)} if len(table.runs) > 1 else {"run": run_part(table, table.runs[0])})
        for table in compared(folder, readable)
    ]
    style, script = ((TEMPLATE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    # A script cannot end its element: within JavaScript's strings, `<\/` is `</`.
    scripts = [text.replace("</script", "<\\/script") for text in (chart_script(), script)]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        title=folder.resolve().name,
        parts=parts,
        notes=notes,
        scripts=scripts,
        hashes=[base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts],
        style=style,
        chart_config=ON_PAGE,
        commands_as_typed=commands_as_typed,
        version=version("mlplab"),
    )


def chart_script() -> str:
    """Vega-Embed and what it needs, as one script."""
    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed")
    return script
