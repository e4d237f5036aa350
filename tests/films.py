import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

DATA = re.compile(r'<script type="application/json" id="film">(.*?)</script>', re.DOTALL)


def film_in(folder: Path) -> dict[str, Any]:
    """What `film.html` in a folder shows, with arrays instead of packed ones."""
    found = DATA.search((folder / "film.html").read_text(encoding="utf-8"))
    return json.loads(found[1], object_hook=_unpacked)


def _unpacked(value: dict[str, Any]) -> Any:
    if not isinstance(value.get("data"), str):
        return value
    return np.frombuffer(base64.b64decode(value["data"]), value["type"]).reshape(value["shape"])
