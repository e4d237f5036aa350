"""Writes the page: one HTML file that asks nothing of the network."""

import base64
import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mlplab.commands.report.grid import Grid
from mlplab.commands.report.run_part import RunPart
from mlplab.commands.report.runs_part import RunsPart
from mlplab.figures.style import ON_PAGE

TEMPLATE = Path(__file__).with_name("template")


def page(title: str, parts: Sequence[RunPart | RunsPart], notes: Sequence[str], ensemble: Sequence[Grid]) -> str:
    """The HTML of a page.

    Everything that comes from runs is escaped. The page's policy allows its own two scripts, by their
    hashes, and no connection.

    Args:
        notes: sentences about what was left out.
        ensemble: the tables of a chosen ensemble.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    scripts = [
        _in_html(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed")),
        _in_html((TEMPLATE / "page.js").read_text(encoding="utf-8")),
    ]
    return environment.get_template("page.html").render(
        title=title,
        parts=parts,
        notes=notes,
        ensemble=ensemble,
        scripts=scripts,
        hashes=[_hash(script) for script in scripts],
        style=(TEMPLATE / "page.css").read_text(encoding="utf-8"),
        chart_config=ON_PAGE,
        version=version("mlplab"),
    )


def _in_html(script: str) -> str:
    """A script that cannot end its element: in JavaScript's text, `<\\/` is `</`."""
    return script.replace("</script", "<\\/script")


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
