"""The file `film.html` of a run, and the arrays in it."""

import base64
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from mlplab.console import plural
from mlplab.errors import listed
from mlplab.files import Plain, replacing
from mlplab.pages import rendered
from mlplab.runs.discovery import FILM_FILE

TEMPLATE = Path(__file__).parent / "template" / "film.html"

SCRIPTS = ("data", "text", "graph", "canvas", "learned", "losses", "worked")
"""The scripts beside the template that its own needs, in their order."""


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


def packed(values: Shaped[np.ndarray, "*shape"]) -> Plain:
    """An array as JSON: bytes as they are, all other numbers as float32."""
    kind = "uint8" if values.dtype == np.uint8 else "float32"
    content = np.ascontiguousarray(values, dtype=kind)
    return {"shape": values.shape, "type": kind, "data": base64.b64encode(content.tobytes()).decode()}
