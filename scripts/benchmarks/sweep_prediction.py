"""Loading the runs of a sweep, and predicting rows with their ensemble, in a process of its own.

python -m benchmarks.sweep_prediction SWEEP ROWS   (in the folder scripts)
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

import mlplab
from benchmarks.memory import peak
from mlplab.data.new_data import FrameTransformer
from mlplab.data.synthetic import functions as synthetic
from mlplab.runs.discovery import runs_below
from mlplab.runs.trained.run_stack import RunStack

FEATURES = 8


def seconds_of(work: Callable[[], object]) -> float:
    """The time that a call takes."""
    start = perf_counter()
    work()
    return perf_counter() - start


def main() -> None:
    """Prints the seconds of loading, and of predicting all rows and a single one, by one stack and network by
    network; and the bytes of memory taken beyond the libraries, before the last of these."""
    sweep, rows = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)  # as scripts/predict.py does
    frame = synthetic.draw("friedman1", rows=rows, features=FEATURES, noise=0, seed=1)
    mlplab.load(next(runs_below(sweep))).predict(frame[:1])
    before, start = peak(), perf_counter()
    ensemble = mlplab.load(sweep, "all")
    seconds = {"load": perf_counter() - start, "all rows": seconds_of(lambda: ensemble.predict(frame))}
    seconds["one row"] = seconds_of(lambda: ensemble.predict(frame[:1]))
    memory = peak() - before
    [stack] = ensemble.stacks
    x = FrameTransformer(ensemble.schema, "the frame").features(frame)
    single = [RunStack([run]) for run in stack.runs]

    def one_by_one(x: np.ndarray) -> object:
        return sum(each(x) for each in single) / len(single)

    for rows_of, part in ((x, "all rows"), (x[:1], "one row")):
        seconds[f"{part}, one by one"] = seconds_of(partial(one_by_one, rows_of))
    print(json.dumps({"seconds": seconds, "memory": memory}))


if __name__ == "__main__":
    main()
