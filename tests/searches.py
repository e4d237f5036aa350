"""The folder of a search: runs that were trained in this process, edited as a search leaves them."""

import json
import random
from pathlib import Path
from typing import Any

from support import SMALL, train_into

from mlplab.runs.best_trial import BestTrial
from mlplab.runs.selection import as_typed

STATUSES = (*("done", "done", "pruned", "done", "diverged"), *("pruned", "done", "failed", "done"))
"""Of the trials."""


def train_search(folder: Path) -> BestTrial:
    """Trains trials and writes the file about the best of them, which alone has test scores."""
    rng = random.Random(0)
    sampled = [
        {
            "optimizer.lr": 10 ** rng.uniform(-4, -1),
            "model.dropout": rng.uniform(0, 0.5),
            "model.hidden": [8, 8],
            "data.batch_size": rng.choice([16, 32]),
        }
        for _ in STATUSES
    ]
    typed = [[f"{key}={as_typed(value)}" for key, value in values.items()] for values in sampled]
    done: dict[float, int] = {}
    for number, (status, overrides) in enumerate(zip(STATUSES, typed, strict=True)):
        train_into(folder / "new", [*SMALL, "baselines=[linear]", *overrides])
        run = (folder / "new/0").rename(folder / f"trial-{number:04d}")
        metrics = json.loads((run / "metrics.json").read_text())
        if status == "done":
            done[metrics["val/mae"]] = number
        else:
            (run / "metrics.json").write_text(json.dumps(_unfinished(status, metrics)))
            (run / "test_predictions.csv").unlink()
    (folder / "new").rmdir()
    value, number = min(done.items())
    for other in set(done.values()) - {number}:
        change(folder / f"trial-{other:04d}", "test/")
    metrics = json.loads((folder / f"trial-{number:04d}/metrics.json").read_text())
    best = BestTrial(
        f"trial-{number:04d}",
        "val/mae",
        value,
        {status: STATUSES.count(status) for status in dict.fromkeys(STATUSES)},
        sampled[number],
        f"uv run scripts/train.py {' '.join(typed[number])} ensemble=1",
        {"optimizer.lr": 0.7, "model.dropout": 0.2, "data.batch_size": 0.1},
        {name: metrics[f"test/{name}"] for name in ("rmse", "mae", "r2")},
    )
    best.write(folder)
    return best


def _unfinished(status: str, metrics: dict[str, Any]) -> dict[str, Any]:
    """What the metrics.json of a trial holds that has not finished."""
    if status != "pruned":
        return {"status": status, "reason": f"it has {status}"}
    scores = {name: value for name, value in metrics.items() if name.startswith("val/")}
    rung = {"rung": 1, "rung/1": metrics["val/mae"], **scores, "epochs": 2}
    return {"status": status, "reason": "rung 1: 3 of 6 trials go on", **rung}


def change(run: Path, without: str = "", **metrics: Any) -> None:
    """Adds to a run's metrics.json, and removes what has a text in its name."""
    path = run / "metrics.json"
    found = json.loads(path.read_text()) | metrics
    kept = {name: value for name, value in found.items() if not without or without not in name}
    path.write_text(json.dumps(kept))
    if without:
        (run / "test_predictions.csv").unlink(missing_ok=True)
