"""The HTML of a page, which asks nothing of the network."""

import base64
import hashlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mlplab.commands.report.content import Content
from mlplab.figures.style import ON_PAGE

TEMPLATE = Path(__file__).with_name("template")


def page(content: Content, bundle: Callable[[], str]) -> str:
    """The HTML of a page.

    All that comes from runs is escaped. The page's policy allows its own two scripts, by their hashes, and no
    connection.

    Args:
        bundle: returns the script that draws charts.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    template = environment.get_template("page.html")
    scripts = [_in_html(each) for each in (bundle(), (TEMPLATE / "page.js").read_text(encoding="utf-8"))]
    return template.render(
        content=content,
        scripts=scripts,
        hashes=[_hash(script) for script in scripts],
        style=(TEMPLATE / "page.css").read_text(encoding="utf-8"),
        chart_config=ON_PAGE,
        version=version("mlplab"),
    )


def _in_html(script: str) -> str:
    """A script that cannot end its element: within JavaScript's strings, `<\\/` is `</`."""
    return script.replace("</script", "<\\/script")


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
