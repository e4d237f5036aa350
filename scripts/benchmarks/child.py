"""Measurements inside a process of one checkout, through its public face.

python -m benchmarks.child CLOCK FUNCTION WORD…   (prints a line of JSON)
"""

import json
import os
import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any
from unittest.mock import patch

now: Callable[[], float] = perf_counter
"""The clock of this process, which the command line chooses."""


def memory(name: str = "VmHWM") -> int:
    """Bytes of this process, on Linux: `VmHWM` at most, with mapped files; `RssAnon` now, without them."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def timed(work: Callable[[], object]) -> dict[str, Any]:
    """The seconds of a call, and by how many bytes it raises the most memory that the process has taken."""
    before, start = memory(), now()
    work()
    return {"seconds": now() - start, "memory": memory() - before}


@contextmanager
def timed_epochs() -> Iterator[list[float]]:
    """Yields a list that gets the seconds of each epoch of `Trainer.fit`, validation excluded.

    Raises:
        RuntimeError: if `Trainer.fit` is called again, so that not all networks train in one stack.
    """
    from lightning.pytorch import LightningModule, Trainer

    fit, epochs, start = Trainer.fit, list[float](), list[float]()

    def timed_fit(trainer: Trainer, model: LightningModule, *arguments: Any, **named: Any) -> None:
        if epochs:
            raise RuntimeError("Trainer.fit was called again")
        on_start, on_end = model.on_train_epoch_start, model.on_validation_start
        after = model.on_validation_end

        def epoch_start() -> None:
            start.append(now())
            on_start()

        def validated() -> None:
            after()
            start.append(now())  # where blocks span epochs, the Trainer sees the start of the first only

        def epoch_end() -> None:
            if start:  # Lightning also validates once before it trains
                epochs.append(now() - start[-1])
            on_end()

        with (
            patch.object(model, "on_train_epoch_start", epoch_start),
            patch.object(model, "on_validation_start", epoch_end),
            patch.object(model, "on_validation_end", validated),
        ):
            fit(trainer, model, *arguments, **named)

    with patch.object(Trainer, "fit", timed_fit):
        yield epochs


def train(*words: str) -> dict[str, Any]:
    """Runs `scripts/train.py`: the seconds of each epoch, and the memory at the end, without mapped files."""
    with timed_epochs() as epochs:
        _train_script(words)
    return {"epochs": epochs, "anonymous": memory("RssAnon")}


def train_by_autograd(*words: str) -> dict[str, Any]:
    """The same, with gradients by autograd instead of mlplab's own backward pass."""
    from mlplab.models.backpropagation import BackpropagationModule

    BackpropagationModule.written_out = False
    return train(*words)


def read(*words: str) -> dict[str, Any]:
    """The seconds and the memory that `scripts/train.py` needs until training starts, which is left out."""
    from lightning.pytorch import Trainer

    def end(*_: Any, **__: Any) -> None:
        print(json.dumps({"seconds": now() - start, "peak": memory()}), file=sys.__stdout__, flush=True)
        os._exit(0)

    start = now()
    with patch.object(Trainer, "fit", end):
        _train_script(words)
    raise RuntimeError("Trainer.fit was not called")


def _train_script(words: tuple[str, ...]) -> None:
    import mlplab

    script = str(Path(mlplab.__file__).parents[2] / "scripts/train.py")
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
    try:
        from mlplab.cli.trained import predict as main
    except ImportError:  # in an older checkout
        main = import_module("mlplab.cli.commands.predict").main

    import_module("mlplab.commands.predict")  # which the command would import
    _mlplab()
    options = [f"interval={','.join(levels)}"] if levels else []
    words = [f"run={run}", f"input={source}", f"output={output}", "overwrite=true", *options]
    return timed(lambda: main(words))


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
    run.predict(frame, interval=0.9)  # loads the network
    answers = [timed(lambda: run.predict(frame, interval=0.9)) for _ in range(20)]
    return sorted(answers, key=lambda answer: answer["seconds"])[len(answers) // 2]


def ensemble(sweep: str, table: str) -> dict[str, Any]:
    """Loads a sweep, and predicts the rows of a table by all its runs, as one stack and run by run."""
    import polars as pl

    mlplab, frame = _mlplab(), pl.read_csv(table)
    folders = [path.parent for path in sorted(Path(sweep).glob("*/metrics.json"))]
    mlplab.load(folders[0]).predict(frame[:1])
    before, loaded = memory(), list[Any]()
    answer = {"seconds": timed(lambda: loaded.append(mlplab.load(sweep, "all")))["seconds"]}

    def predict(runs: list[Any], suffix: str = "") -> None:
        for name, rows in (("all rows", frame), ("one row", frame[:1])):
            work = timed(lambda rows=rows: [run.predict(rows) for run in runs])  # type: ignore[misc]
            answer[name + suffix] = work["seconds"]

    predict(loaded)
    answer["memory"] = memory() - before
    predict([mlplab.load(folder) for folder in folders], ", run by run")
    return answer


def rows(folder: str, table: str, output: str, what: str) -> dict[str, Any]:
    """Predicts the rows of a Parquet file into an array: numbers, or probabilities in the order of sorted
    classes; of `what="intervals"`, limits `[row, level, limit]`."""
    import numpy as np
    import polars as pl

    run, frame, predicted = _mlplab().load(folder), pl.read_parquet(table), list[Any]()
    if what == "intervals":
        answer = timed(lambda: predicted.append(run.predict(frame, interval=(0.8, 0.9))))
        predicted[0] = predicted[0].select("^(lower|upper)_.*$").to_numpy().reshape(len(frame), 2, 2)
    else:
        predict = run.predict_proba if len(run.classes) else run.predict
        answer = timed(lambda: predicted.append(predict(frame)))
        predicted[0] = predicted[0][..., np.argsort(run.classes.astype(str)) if len(run.classes) else ...]
    np.save(output, predicted[0])
    return answer


def main(*functions: Callable[..., dict[str, Any]]) -> None:
    """Calls the function that the command line names; prints what it returns."""
    global now
    clock, name, *words = sys.argv[1:]
    now = process_time if clock == "cpu" else perf_counter
    with redirect_stdout(sys.stderr):
        answer = {function.__name__: function for function in functions}[name](*words)
    print(json.dumps(answer))


if __name__ == "__main__":
    main(train, train_by_autograd, read, predict, export, ensemble, rows, interval_of_a_row)
