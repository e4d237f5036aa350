"""The page of a film."""

from pathlib import Path

from mlplab.console import plural
from mlplab.errors import listed
from mlplab.files import Plain, replacing
from mlplab.pages import rendered
from mlplab.runs.discovery import FILM_FILE

TEMPLATE = Path(__file__).parent / "template" / "film.html"

# The scripts beside the template that its own needs, in their order.
SCRIPTS = ("data", "text", "graph", "axes", "predictions", "losses", "worked_example")


def write_film(folder: Path, film: Plain) -> Path:
    """Writes the film of a run to its folder; returns its path."""
    count = len(film["networks"])
    networks = "a network" if count == 1 else plural(count, "network")
    html = rendered(
        TEMPLATE,
        scripts=[TEMPLATE.with_name(f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS],
        title=f"How {networks} learned {film['target']} from {listed(film['columns'], 3)} ({film['table']})",
        name=folder.resolve().name,
        film=film,
    )
    path = folder / FILM_FILE
    with replacing(path, synced=False) as partial:
        partial.write_text(html, encoding="utf-8")
    return path
