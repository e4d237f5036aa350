"""Films, as tests read them from their pages."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

from mlplab.runs.film.page import DATA


def runs_of(folder: Path) -> list[dict[str, Any]]:
    """What `film.html` in a folder shows of each run, with arrays instead of packed ones."""
    found = DATA.search((folder / "film.html").read_text(encoding="utf-8"))
    assert found
    runs: list[dict[str, Any]] = json.loads(found[1], object_hook=_unpacked)["runs"]
    return runs


def _unpacked(value: dict[str, Any]) -> Any:
    if not isinstance(value.get("data"), str):
        return value
    return np.frombuffer(base64.b64decode(value["data"]), value["type"]).reshape(value["shape"])
