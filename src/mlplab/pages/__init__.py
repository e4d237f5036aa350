"""What all pages have: their HTML from a template, its styles and its scripts."""

import base64
import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

SHARED = Path(__file__).parent


def load_template(path: Path, *, autoescape: bool = False) -> Template:
    """A template, which may extend one of this folder."""
    environment = Environment(
        loader=FileSystemLoader([path.parent, SHARED]),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(path.name)


def rendered(template: Path, *, scripts: Sequence[str] = (), **values: object) -> str:
    """The HTML of a template that extends `base.html`, with the styles and the script beside it.

    All values are escaped. The page's policy allows its own scripts, by their hashes, and no connection.

    Args:
        scripts: other scripts, which are run first.
    """
    style = "".join(
        path.read_text(encoding="utf-8") for path in (SHARED / "base.css", template.with_suffix(".css"))
    )
    own = template.with_suffix(".js").read_text(encoding="utf-8")
    # A script cannot end its element: within JavaScript's strings, `<\/` is `</`.
    texts = [text.replace("</script", "<\\/script") for text in (*scripts, own)]
    return load_template(template, autoescape=True).render(
        **values,
        style=style,
        scripts=texts,
        hashes=[base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts],
        version=version("mlplab"),
    )
