"""The file `film.html`: of a run, or of the runs of a sweep side by side."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlplab.console import plural
from mlplab.errors import listed
from mlplab.files import replacing
from mlplab.pages.page import rendered
from mlplab.runs.discovery import FILM_FILE

TEMPLATE = Path(__file__).parent / "template" / "film.html"

SCRIPTS = ("data", "text", "graph", "canvas", "learned", "losses", "worked")
"""The scripts beside the template that its own needs, in their order."""

DATA = re.compile(r'<script type="application/json" id="film">(.*?)</script>', re.DOTALL)

MOST_BYTES = 2 * 10**6
"""Of a page."""


def write_film(folder: Path, films: Sequence[Mapping[str, Any]], notes: Sequence[str] = ()) -> Path:
    """Writes the film of a run, or of several, to their folder; returns its path."""
    count = sum(len(film["networks"]) for film in films)
    what = {(film["target"], listed(film["columns"], 3), film["table"]) for film in films}
    learned = (
        " learned {} from {} ({})".format(*what.pop()) if len(what) == 1 else " learned, from several tables"
    )
    html = rendered(
        TEMPLATE,
        scripts=[TEMPLATE.with_name(f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS],
        title=f"How {'a network' if count == 1 else plural(count, 'network')}{learned}",
        name=folder.resolve().name,
        notes=notes,
        film={"runs": films},
    )
    path = folder / FILM_FILE
    with replacing(path, synced=False) as partial:
        partial.write_text(html, encoding="utf-8")
    return path


def write_film_of_sweep(root: Path, folders: Sequence[Path]) -> Path | None:
    """Writes the films of a sweep's runs as one, if there are several; as many as fit into a page."""
    paths = [path for folder in folders if (path := folder / FILM_FILE).is_file()]
    films, room = list[Mapping[str, Any]](), MOST_BYTES
    for path in paths:
        page = path.read_text(encoding="utf-8")
        if not (found := DATA.search(page)):
            continue
        # What is not data is in the page once.
        room -= len((found[1] if films else page).encode())
        if room < 0:
            break
        films += json.loads(found[1])["runs"]
    if len(films) < 2:
        return None
    left_out = (
        f"This page shows the first {len(films)} of {len(paths)} runs; each has a film.html of its own."
    )
    return write_film(root, films, [left_out] if len(films) < len(paths) else [])
