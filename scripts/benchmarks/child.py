"""Measurements inside a process of one checkout, through its public face."""

import json
import os
import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any
from unittest.mock import patch

now: Callable[[], float] = perf_counter  # the clock of this process, which the command line chooses


def memory(name: str = "VmHWM") -> int:
    """Bytes of this process, on Linux: `VmHWM` at most, with mapped files; `RssAnon` now, without them."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def timed(work: Callable[[], Any]) -> dict[str, Any]:
    """The seconds of a call, by how many bytes it raises the most memory of the process, and its value."""
    before, start = memory(), now()
    value = work()
    return {"seconds": now() - start, "memory": memory() - before, "value": value}


@contextmanager
def timed_epochs() -> Iterator[list[float]]:
    """Yields a list that gets the seconds of each epoch of the only `Trainer.fit`, validation excluded."""
    from lightning.pytorch import Trainer

    fit, epochs, starts = Trainer.fit, list[float](), list[float]()

    def start() -> None:
        starts.append(now())

    def end() -> None:
        if starts:  # Lightning also validates once before it trains
            epochs.append(now() - starts[-1])

    def around(model: Any, name: str, before: Callable[[], object], after: Callable[[], object]) -> None:
        hook = getattr(model, name)
        setattr(model, name, lambda: (before(), hook(), after())[1])

    def timed_fit(trainer: Trainer, model: Any, *arguments: Any, **named: Any) -> None:
        if epochs:
            raise RuntimeError("Trainer.fit was called again: not all networks train in one stack")
        around(model, "on_train_epoch_start", start, bool)
        around(model, "on_validation_start", end, bool)
        around(model, "on_validation_end", bool, start)  # blocks span epochs: the Trainer sees one start
        fit(trainer, model, *arguments, **named)

    with patch.object(Trainer, "fit", timed_fit):
        yield epochs


def train(*words: str) -> dict[str, Any]:
    """Runs `scripts/train.py`: the seconds of each epoch, and the memory at the end, without mapped files."""
    with timed_epochs() as epochs:
        _script("train", words)
    return {"epochs": epochs, "anonymous": memory("RssAnon")}


def read(*words: str) -> dict[str, Any]:
    """The seconds and the memory that `scripts/train.py` needs until training starts, which is left out."""
    from lightning.pytorch import Trainer

    def end(*_: Any, **__: Any) -> None:
        print(json.dumps({"seconds": now() - start, "memory": memory()}), file=sys.__stdout__, flush=True)
        os._exit(0)

    start = now()
    with patch.object(Trainer, "fit", end):
        _script("train", words)
    raise RuntimeError("Trainer.fit was not called")


def _script(name: str, words: Sequence[str]) -> None:
    import mlplab

    script = str(Path(mlplab.__file__).parents[2] / f"scripts/{name}.py")
    with patch.object(sys, "argv", [script, *words]):
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as ended:
            if ended.code:
                raise


def _mlplab() -> Any:
    """The package, whose predictions take one thread, as those of its commands."""
    import torch

    import mlplab

    torch.set_num_threads(1)
    return mlplab


def predict(run: str, source: str, output: str, *levels: str) -> dict[str, Any]:
    """The command predict, with intervals of these levels."""
    _script("predict", ["--help"])  # imports the command line; then what it would import
    import_module("mlplab.commands.predict")
    _mlplab()
    options = [f"interval={','.join(levels)}"] if levels else []
    words = [f"run={run}", f"input={source}", f"output={output}", "overwrite=true", *options]
    return timed(lambda: _script("predict", words))


def export(folder: str, table: str) -> dict[str, Any]:
    """Exports a run; the predictions of a table, 1,000 rows at a time, and of a row, by model and run."""
    import onnxruntime
    import polars as pl

    model_inputs = import_module("mlplab.onnx.check").model_inputs  # where older checkouts have it too
    run, frame = _mlplab().load(folder), pl.read_csv(table)
    content = run.export(Path(folder, "model.onnx")).read_bytes()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def times(rows: Any, repeats: int) -> list[float]:
        """The median seconds of the model, and of the run."""
        parts = [model_inputs(run.schema, part, decimal_comma=False) for part in rows.iter_slices(1000)]
        works = (lambda: [session.run(None, part) for part in parts], lambda: run.predict(rows))
        return [median(timed(work)["seconds"] for _ in range(repeats)) for work in works]

    [seconds, predict], [row, predict_row] = times(frame, 3), times(frame[:1], 50)
    parts = {"seconds": seconds, "predict": predict, "row": row, "predict a row": predict_row}
    return {**parts, "bytes": len(content)}


def interval_of_a_row(folder: str, table: str) -> dict[str, Any]:
    """Predicts the interval of a single row of a table, as a program that serves predictions would."""
    import polars as pl

    run, frame = _mlplab().load(folder), pl.read_csv(table)[:1]
    answers = [timed(lambda: run.predict(frame, interval=0.9)) for _ in range(21)]
    return sorted(answers[1:], key=lambda answer: answer["seconds"])[10]  # the first loads the network


def ensemble(sweep: str, table: str) -> dict[str, Any]:
    """Loads a sweep, and predicts the rows of a table by all its runs, as one stack and run by run."""
    import polars as pl

    mlplab, frame = _mlplab(), pl.read_csv(table)
    folders = [path.parent for path in sorted(Path(sweep).glob("*/metrics.json"))]
    mlplab.load(folders[0]).predict(frame[:1])
    before, loaded = memory(), timed(lambda: mlplab.load(sweep, "all"))

    def seconds(runs: list[Any], rows: pl.DataFrame) -> float:
        return timed(lambda: [run.predict(rows) for run in runs])["seconds"]

    stacked = {
        "all rows": seconds([loaded["value"]], frame),
        "one row": seconds([loaded["value"]], frame[:1]),
    }
    answer = stacked | {"seconds": loaded["seconds"], "memory": memory() - before}
    runs = [mlplab.load(folder) for folder in folders]
    alone = {"all rows": seconds(runs, frame), "one row": seconds(runs, frame[:1])}
    return answer | {f"{name}, run by run": of_rows for name, of_rows in alone.items()}


def rows(folder: str, table: str, output: str, what: str) -> dict[str, Any]:
    """Predicts a Parquet file into an array: numbers, probabilities of sorted classes, or limits."""
    import numpy as np
    import polars as pl

    run, frame = _mlplab().load(folder), pl.read_parquet(table)
    predict = run.predict_proba if len(run.classes) else run.predict
    options = {"interval": (0.8, 0.9)} if what == "intervals" else {}
    answer = timed(lambda: predict(frame, **options))
    predicted = answer["value"]
    if what == "intervals":
        predicted = predicted.select("^(lower|upper)_.*$").to_numpy().reshape(len(frame), 2, 2)
    np.save(output, predicted[..., np.argsort(run.classes.astype(str))] if len(run.classes) else predicted)
    return answer


def main() -> None:
    """Calls what the command line names, `CLOCK MODULE.FUNCTION WORD…`; prints what it returns as JSON."""
    global now
    clock, function, *words = sys.argv[1:]
    now = process_time if clock == "cpu" else perf_counter
    module, name = function.split(".")
    with redirect_stdout(sys.stderr):
        answer = getattr(import_module(f"benchmarks.{module}"), name)(*words)
    answer.pop("value", None)
    print(json.dumps(answer))
