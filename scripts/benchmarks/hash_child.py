"""Trains configurations with one checkout, and hashes the files that they leave and what they predict.

Each command is a process of its own, forked from this one, which has imported what all need. Of mlplab,
nothing is used but its commands, its run folders and its functions for users.
"""

import faulthandler
import hashlib
import json
import os
import re
import runpy
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import Any

import numpy as np
import polars as pl
import torch
import yaml
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

import mlplab
from mlplab.models import Linear
from mlplab.sklearn import TableClassifier, TableRegressor, cross_validate, grid_search

CASES: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("hash_cases.yaml").read_text())
SIGNALS = {"killed": SIGKILL, "stopped": SIGTERM}
OUTPUTS, PREDICTED_ROWS = Path("outputs"), 60
PRINTED, MOST_PRINTED = Path("printed"), 2000  # of a process, with the characters that are shown if it fails
MOST_SECONDS = 900  # of a process, which prints where it is then, and ends
ANSWER = Path("hashes.json")  # of a process to this one
SAVES = 25  # how often the training state is seen to be saved before a process gets a signal
FILM = re.compile(r'<script type="application/json" id="film">(.*?)</script>', re.DOTALL)


class Wide(torch.nn.Sequential):
    def __init__(self, in_features: int, out_features: int, seeds: Any, width: int) -> None:
        hidden, output = Linear(in_features, width, seeds, 0), Linear(width, out_features, seeds, 1)
        super().__init__(hidden, torch.nn.Tanh(), output)


def hashes(*groups: str) -> dict[str, dict[str, str]]:
    """Trains some groups of configurations; of each run's folder, the hash of each result."""
    os.environ["MLPLAB_ALLOWED_CLASSES"] = "benchmarks.hash_child.Wide"
    for group in (group for group in CASES if group in groups and group not in ("continued", "resumed")):
        for name, case in CASES[group].items():
            finish(train, f"name={name}", *overrides(case), status=int(group == "diverged"))
    for name, (first, more) in CASES["continued"].items() if "continued" in groups else ():
        finish(train, f"name={name}", *overrides(first))
        finish(train, *again(name, first, more))
    for name, case in CASES["resumed"].items() if "resumed" in groups else ():
        finish(train, f"name={name}", *overrides(case))
        for ending, number in SIGNALS.items():
            stop(f"{name}-{ending}", case, number)
            finish(train, *again(f"{name}-{ending}", case))
    runs = sorted(path.parent for path in OUTPUTS.rglob("metrics.json"))
    found = {str(path.relative_to(OUTPUTS)): hashes_of(of_run, path) for path in runs}
    works = (frame, sweep, estimators) if "python" in groups else ()
    return found | {f"python-{work.__name__}": hashes_of(work) for work in works}


def overrides(case: str) -> list[str]:
    """The words that are typed after `train`."""
    words = case.split()
    while any(word in CASES["words"] for word in words):
        words = [each for word in words for each in CASES["words"].get(word, word).split()]
    return list({word.partition("=")[0]: word for word in words}.values())


def again(name: str, case: str, more: str = "") -> list[str]:
    """The words that resume a run, or a sweep, whose own words are typed again; `more`: overrides."""
    if case.startswith("-m"):
        return [f"name={name}", *overrides(f"{case} {more}")]
    return [f"resume={OUTPUTS / name}", *overrides(more)]


def train(*words: str) -> None:
    sys.argv = ["mlplab", "train", *words]
    runpy.run_module("mlplab", run_name="__main__")


def stop(name: str, case: str, number: Signals) -> None:
    """Sends `train` a signal when it has saved its state often; raises RuntimeError if it has ended."""
    process, seen = start(train, f"name={name}", *overrides(case)), set[int]()
    while len(seen) < SAVES:
        for path in (OUTPUTS / name).rglob("*.ckpt"):
            with suppress(FileNotFoundError):  # it is being replaced
                seen.add(path.stat().st_mtime_ns)
        if not process.is_alive():
            raise RuntimeError(f"{name} ended before it could be {name.rpartition('-')[2]}")
        time.sleep(0.001)
    os.kill(process.pid or 0, number)
    process.join()


def hashes_of(work: Callable[..., Mapping[str, Any]], *arguments: Any) -> dict[str, str]:
    """The hashes of the values that a function returns, which is called in a process of its own."""

    def write_hashes(*of: Any) -> None:
        ANSWER.write_text(json.dumps({name: digest(value) for name, value in work(*of).items()}))

    finish(write_hashes, *arguments)
    return json.loads(ANSWER.read_text())


def finish(work: Callable[..., object], *arguments: Any, status: int = 0) -> None:
    """Calls a function in a process; raises RuntimeError if that ends with another status."""
    (process := start(work, *arguments)).join()
    if process.exitcode != status:
        printed = PRINTED.read_text()[-MOST_PRINTED:]
        raise RuntimeError(f"{work.__name__}{arguments} ended with status {process.exitcode}: {printed}")


def start(work: Callable[..., object], *arguments: Any) -> ForkProcess:
    """Forks a process that calls a function. No Python thread may run here: the process would lack it."""

    def call() -> None:
        sys.stdout = sys.stderr = PRINTED.open("w")
        faulthandler.dump_traceback_later(MOST_SECONDS, exit=True, file=sys.stderr)
        work(*arguments)

    (process := get_context("fork").Process(target=call)).start()
    return process


def of_run(folder: Path) -> dict[str, Any]:
    """What a run has left, and what it predicts."""
    metrics = json.loads((folder / "metrics.json").read_text())
    config = yaml.safe_load((folder / "config.yaml").read_text())
    scores = {name: value for name, value in metrics.items() if name != "seconds"}
    settings = {key: value for key, value in config.items() if key != "name"}
    found: dict[str, Any] = {"metrics": scores, "config": settings, "curves": curves(folder)}
    for path in (folder / "checkpoints").glob("*.ckpt"):
        content = torch.load(path, weights_only=True)
        for key in ("state", "member_weights", "residuals", "epoch"):
            found |= {f"{path.stem}.{key}": content[key]} if key in content else {}
    for path in map(folder.joinpath, ("schema.json", "test_predictions.csv", "film.html")):
        if path.exists():
            found[path.name] = film(path) if path.suffix == ".html" else path.read_text()
    table = Path(config["data"].get("path", f"{config['data']['name']}.csv"))
    if table.exists() and metrics["status"] == "done":
        found |= predictions(mlplab.load(folder), pl.read_csv(table)[:PREDICTED_ROWS])
    return found


def film(page: Path) -> list[dict[str, Any]]:
    """What the film of a run shows, but the name of its folder, and what only 1.0 shows of its networks."""
    content = json.loads(FILM.findall(page.read_text())[0])
    runs = content.get("runs", [content])  # until 1.1, pages were of several runs
    for each in (*runs, *(network for run in runs for network in run["networks"])):
        for key in ("name", "notes", "folds"):
            each.pop(key, None)
    return list(runs)


def predictions(run: Any, rows: pl.DataFrame) -> dict[str, Any]:
    found = {"predictions": run.predict(rows)}
    return found | ({"probabilities": run.predict_proba(rows)} if len(run.classes) else {})


def curves(folder: Path) -> dict[str, dict[int, float]]:
    """The points of each curve by step; of several files, as of a resumed run, the last counts."""
    points: dict[str, dict[int, float]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in LegacyEventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    points.setdefault(value.tag, {})[event.step] = value.simple_value
    return points


def frame() -> dict[str, Any]:
    rows = pl.read_csv("numbers.csv")
    run = mlplab.train(rows, "y", overrides=overrides("small"), progress=False)
    return predictions(run, rows) | {"interval": run.predict(rows, interval=0.9)}


def sweep() -> dict[str, Any]:
    rows, grid = pl.read_csv("two.csv"), {"optimizer.lr": [0.001, 0.01]}
    runs = mlplab.sweep(rows, "y", grid=grid, seeds=2, overrides=overrides("small"), progress=False)
    return predictions(mlplab.load(runs.folder, 3), rows)


def estimators() -> dict[str, Any]:
    keys: dict[str, Any] = {"hidden": (16, 8), "max_epochs": 4, "ensemble": 2}
    regressor, classifier = TableRegressor(**keys), TableClassifier(**keys)
    tables = map(pl.read_csv, ("numbers.csv", "three.csv"))
    (x, y), (x_of_classes, classes) = ((rows.drop("y"), rows["y"].to_numpy()) for rows in tables)
    grid = grid_search(regressor, x, y, {"lr": [0.001, 0.01], "dropout": [0.0, 0.2]}, cv=2)
    return {
        "predictions": regressor.fit(x, y).predict(x),
        "probabilities": classifier.fit(x_of_classes, classes).predict_proba(x_of_classes),
        "cross_validate": cross_validate(regressor, x, y, cv=3)["test_score"],
        "grid_search": [grid.cv_results_["mean_test_score"], grid.predict(x)],
    }


def digest(value: object) -> str:
    """The hash of nested values, in which all bits of numbers count, and the order of keys does not."""
    return hashlib.sha256(b"".join(parts(value))).hexdigest()[:16]


def parts(value: object) -> Iterator[bytes]:
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    if isinstance(value, pl.DataFrame):
        value = value.to_dict(as_series=False)
    if isinstance(value, np.ndarray) and value.dtype != object:
        yield f"{value.dtype} {value.shape}".encode() + np.ascontiguousarray(value).tobytes()
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from (f"{key}:".encode(), *parts(value[key]))
    elif isinstance(value, list | tuple | np.ndarray):
        yield f"{len(value)} items".encode()
        yield from (part for item in value for part in parts(item))
    else:
        yield f"{value!r};".encode()
