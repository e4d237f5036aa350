"""How long do users wait before anything happens?

startup   whole commands until they end, or until the first step, beside the imports that they need
"""

import subprocess
from functools import partial
from time import sleep
from typing import Any

from benchmarks import harness
from mlplab.errors import RunFailed

IMPORTS = "bare imports"
TABLE = ("data=csv", f"data.path={harness.ROOT / 'src/mlplab/data/concrete.csv'}")

COMMANDS: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "train.py --help": ("import hydra", 0, ("train.py", "--help")),
    "a key that does not exist": ("import hydra", 2, ("train.py", "optimizer.lrr=1")),
    "a column that does not exist": ("import hydra, polars", 2, ("train.py", *TABLE, "data.target=nothing")),
    "first prediction": ("import torch", 0, ("predict.py", "run=runs/seed=0", "input=rows.csv", "output=-")),
    "results of 8 runs": ("pass", 0, ("results.py", "runs")),
    "import mlplab": ("pass", 0, ("-c", "import mlplab")),
    "first optimizer step": ("import torch, lightning, hydra, polars", 0, ()),
}
"""The imports that each command cannot do without, its exit status, and its words; none: `_first_step`."""

SWEEP = "-m seed=range(8) trainer.max_epochs=2 baselines=[] figures=none hydra.sweep.dir=runs"


class Startup(harness.Benchmark):
    pass


def measure(arguments: Startup) -> None:
    contenders: harness.Contenders = {}
    folders = {checkout: harness.new_folder() for checkout in arguments.checkouts}
    for checkout, folder in folders.items():
        checkout.run("train.py", *SWEEP.split(), folder=folder)
        lines = (checkout.path / "src/mlplab/data/concrete.csv").read_text(encoding="utf-8").splitlines()
        (folder / "rows.csv").write_text("\n".join(lines[:101]) + "\n", encoding="utf-8")
    first = arguments.checkouts[0]
    for case, (imports, status, words) in COMMANDS.items():
        contenders[case, IMPORTS] = partial(first.run, "-c", imports)
        for checkout, folder in folders.items():
            run = partial(checkout.run, *words, folder=folder, status=status)
            contenders[case, checkout.name] = run if words else partial(_first_step, checkout)
    times = harness.alternate(contenders, arguments.repeats)
    caption = "; ".join(["bare imports", *(f"{case}: {imports}" for case, (imports, *_) in COMMANDS.items())])
    harness.report(arguments, times, harness.comparison("seconds of a process", times, IMPORTS, caption))


def _first_step(checkout: harness.Checkout) -> float:
    """Until the training state after the first step is saved; raises RunFailed if it never is."""
    start, folder = checkout.now(), harness.new_folder()
    command = checkout.command("train.py", "callbacks.checkpoint.every_minutes=0", "hydra.run.dir=run")
    nowhere: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=folder, env=checkout.environment, **nowhere) as process:
        while not (folder / "run/checkpoints/last.ckpt").exists():
            if process.poll() is not None:
                raise RunFailed(f"{checkout.name}: train.py ended with status {process.returncode}")
            sleep(0.005)
        process.kill()
    return checkout.now() - start
