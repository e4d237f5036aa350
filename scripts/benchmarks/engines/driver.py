"""The command of a sweep with workers that train nothing; prints its seconds, and its peak in bytes.

python -m benchmarks.engines.driver TEMPLATE FOLDER RUNS MEMBERS   (in the folder scripts)

Workers copy the files of a trained run, TEMPLATE, that the command reads. Their time is subtracted.
"""

import json
import sys
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from benchmarks.engines.sweep import Sweep
from benchmarks.machine import ROOT
from benchmarks.memory import peak
from benchmarks.timing import Clock
from mlplab import config
from mlplab.cli.train_command import train_command
from mlplab.errors import RunFailed
from mlplab.sweeps.engines.drive import drive
from mlplab.sweeps.engines.engine import Engine
from mlplab.sweeps.launch import launch
from mlplab.sweeps.summary import results_of, summarize

SEEDS = 10
"""Runs of each learning rate."""

QUEUE = 10_000
"""Stacks that workers take at a time, as Ray does."""

MONITOR = "val/mae"


class MadeUp(Engine):
    """Ends each stack at once, with made-up results.

    Args:
        template: the folder of a trained run.
    """

    is_elsewhere, room = False, QUEUE

    def __init__(self, launcher: config.Launcher, template: Path, clock: Clock) -> None:
        self.launcher = launcher
        self._config = (template / "config.yaml").read_bytes()
        self._metrics = json.loads((template / "metrics.json").read_bytes())
        self._train = clock.timed("work", self._train)  # type: ignore[method-assign]

    def submit(self, paths: Sequence[Path]) -> list[Future[bool]]:
        """Ends all."""
        jobs = []
        for path in paths:
            self._train(path)
            jobs.append(Future[bool]())
            jobs[-1].set_result(True)
        return jobs

    def _train(self, path: Path) -> None:
        """Writes what runs leave for the command; the error of each is its own."""
        for run in json.loads(path.read_text(encoding="utf-8"))["runs"]:
            folder = Path(run["folder"])
            value = self._metrics[MONITOR] * (1 + hash(folder.name) % 1000 / 1000)
            folder.mkdir()
            (folder / "config.yaml").write_bytes(self._config)
            text = json.dumps(self._metrics | {MONITOR: value}, indent=2)
            (folder / "metrics.json").write_text(f"{text}\n", encoding="utf-8")

    def error(self, job: Future[bool]) -> None:
        """None is lost."""

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

    def processes(launcher: config.Launcher, trainer: config.Trainer) -> MadeUp:
        return MadeUp(launcher, Path(template), clock)

    with (
        patch("mlplab.sweeps.engines.processes.Processes", processes),
        patch("mlplab.sweeps.launch.drive", clock.timed("drive", drive)),
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
