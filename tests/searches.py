"""The folder of a search: runs that were trained in this process, edited as a search leaves them."""

import json
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

from support import SMALL, train_into

from mlplab.commands.importance import ColumnImportance, Importance
from mlplab.runs.compare.run_result import as_typed
from mlplab.runs.discovery import write_best_trial

STATUSES = (*("done", "done", "pruned", "done", "diverged"), *("pruned", "done", "failed", "done"))


def train_search(folder: Path) -> str:
    """Trains trials and writes the file about the best of them, which alone has test scores; its name."""
    rng = random.Random(0)
    sampled = [
        {"optimizer.lr": 10 ** rng.uniform(-4, -1), "model.dropout": rng.uniform(0, 0.5)}
        | {"model.hidden": [8, 8], "optimizer.weight_decay": rng.choice([0.01, 0.1])}
        for _ in STATUSES
    ]
    typed = [[f"{key}={as_typed(value)}" for key, value in values.items()] for values in sampled]
    trained = train_into(folder, *([*SMALL, "baselines=[linear]", *words] for words in typed))
    done = [metrics["val/mae"] for metrics, status in zip(trained, STATUSES, strict=True) if status == "done"]
    number = next(place for place, metrics in enumerate(trained) if metrics["val/mae"] == min(done))
    for other, (status, metrics) in enumerate(zip(STATUSES, trained, strict=True)):
        run = (folder / str(other)).rename(folder / f"trial-{other:04d}")
        if status != "done":
            unfinished: dict[str, Any] = {"status": status, "reason": f"it has {status}"}
            if status == "pruned":
                unfinished |= {name: value for name, value in metrics.items() if name.startswith("val/")}
                unfinished |= {"rung": 1, "rung/1": metrics["val/mae"], "epochs": 2}
                unfinished["reason"] = "rung 1: 3 of 6 trials go on"
            (run / "metrics.json").write_text(json.dumps(unfinished))
            (run / "test_predictions.csv").unlink()
        elif other != number:
            change(run, "test/")
    name, scores = f"trial-{number:04d}", {name: trained[number][f"test/{name}"] for name in ("rmse", "mae")}
    best = {"trial": name, "value": min(done), "configuration": sampled[number], "test": scores}
    write_best_trial(folder, best)
    return name


def change(run: Path, without: str = "", **metrics: Any) -> None:
    """Adds to a run's metrics.json, and removes what has a text in its name."""
    path = run / "metrics.json"
    content = json.loads(path.read_text()) | metrics
    left = {name: value for name, value in content.items() if not without or without not in name}
    path.write_text(json.dumps(left))
    if without:
        (run / "test_predictions.csv").unlink(missing_ok=True)


def write_importance(folder: Path, *runs: str) -> None:
    columns = (ColumnImportance("x1", 0.5, 0.25),)
    importance = Importance("x, test rows", "test", ("y",), "rmse", 2.5, 9, 9, 5, columns, runs)
    (folder / "importance.json").write_text(json.dumps(asdict(importance)))
