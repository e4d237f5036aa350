"""The command of a sweep with workers that train nothing; prints its seconds, and its peak in bytes.

python -m benchmarks.engines.driver TEMPLATE FOLDER RUNS MEMBERS   (in the folder scripts)

Workers copy the files of a trained run, TEMPLATE, that the command reads. Their time is subtracted.
"""

import json
import sys
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.engines.sweep import Sweep
from benchmarks.machine import ROOT
from benchmarks.memory import peak
from benchmarks.timing import Clock
from mlplab.cli.train_command import train_command
from mlplab.data.cache import DataCache
from mlplab.errors import RunFailed
from mlplab.sweeps.engines.drive import drive
from mlplab.sweeps.engines.engine import Engine
from mlplab.sweeps.engines.worker import Assignment, Reply
from mlplab.sweeps.launch import launch
from mlplab.sweeps.summary import results_of, summarize

SEEDS = 10
"""Runs of each learning rate."""

QUEUE = 10_000
"""Stacks that workers take at a time, as Ray does."""

MONITOR = "val/mae"


class MadeUp(Engine):
    """Ends a stack whenever the command looks for one, with made-up results.

    Args:
        template: the folder of a trained run.
    """

    def __init__(self, template: Path, clock: Clock, workers: int) -> None:
        self.workers = workers
        self._config = (template / "config.yaml").read_bytes()
        self._metrics = json.loads((template / "metrics.json").read_bytes())
        self._working: deque[tuple[Assignment, Future[Reply]]] = deque()
        self._end_one = clock.timed("work", self._end_one)  # type: ignore[method-assign]

    def room(self, working: int) -> int:
        """As much as is left of the queue."""
        self._end_one()
        return QUEUE - working

    def submit(self, assignments: Sequence[Assignment], cache: DataCache) -> list[Future[Reply]]:
        """Adds stacks to the queue."""
        futures = [Future[Reply]() for _ in assignments]
        self._working += zip(assignments, futures, strict=True)
        self._end_one()
        return futures

    def _end_one(self) -> None:
        if self._working:
            assignment, future = self._working.popleft()
            future.set_result(Reply({folder: self._run(folder) for folder in map(Path, assignment.runs)}))

    def _run(self, folder: Path) -> dict[str, Any]:
        """Writes what a run leaves for the command; the error is of its own."""
        metrics = self._metrics | {MONITOR: self._metrics[MONITOR] * (1 + hash(folder.name) % 1000 / 1000)}
        folder.mkdir()
        (folder / "config.yaml").write_bytes(self._config)
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
        return metrics

    def stop(self) -> str:
        """Nothing is to be saved."""
        return ""

    def close(self) -> None:
        """Nothing is to be ended."""


def main() -> None:
    """Gives the command."""
    template, folder, runs, members = sys.argv[1:]
    sweep = Sweep(int(runs) // int(members), int(members), epochs=1, rows=1000, hidden="[32,32]")
    rates = ",".join(f"{rate / 1e6:g}" for rate in range(1, 1 + int(runs) // SEEDS))
    words = [word for word in sweep.words(Path(folder)) if not word.startswith("seed=")]
    words += [f"seed=range({SEEDS})", f"optimizer.lr={rates}", "hydra.launcher.workers=2"]
    clock = Clock()

    def processes(workers: int, gpus: int) -> MadeUp:
        return MadeUp(Path(template), clock, workers)

    with (
        patch("mlplab.sweeps.engines.sweep_engine.Processes", processes),
        patch("mlplab.sweeps.engines.sweep_engine.drive", clock.timed("drive", drive)),
        patch("mlplab.sweeps.launch.launch", clock.timed("launch", launch)),
        patch("mlplab.sweeps.summary.results_of", clock.timed("summarize", results_of)),
        patch("mlplab.sweeps.summary.summarize", clock.timed("summarize", summarize)),
        patch.object(sys, "argv", words),
        redirect_stdout(StringIO()) as printed,
    ):
        try:
            clock.timed("command", train_command)(ROOT / "conf", "train")
        except SystemExit as ended:
            if ended.code:
                raise RunFailed(f"the sweep ended with status {ended.code}: {printed.getvalue()}") from ended
    whole = clock.seconds
    parts = {
        "compose": whole["command"] - whole["launch"] - whole["summarize"],
        "plan": whole["launch"] - whole["drive"],
        "drive": whole["drive"] - whole["work"],
        "summarize": whole["summarize"],
    }
    print(json.dumps({"seconds": parts | {"work": whole["work"]}, "peak": peak()}))


if __name__ == "__main__":
    main()
