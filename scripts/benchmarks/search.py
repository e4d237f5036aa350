"""How long does a hyperparameter search take, and what does it find?

search    for the table concrete, another seed each time: in lockstep, one trial at a time, and pruned
  trials=64 batch=16 epochs=400   of a search, and of a trial
  searches=lockstep,single,halving
  widths=true    searches the widths of layers too, so that a batch is several stacks
"""

import json
from functools import partial
from itertools import count, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import BeforeValidator, Field

from benchmarks import harness

MONITOR, TABLE = "val/rmse", harness.ROOT / "src/mlplab/data/concrete.csv"

SAME = (
    *("data=csv", f"data.path={TABLE}", "data.target=target", "data.batch_size=100", "data/split=file"),
    *(*harness.PLAIN, "optimizer=adamw", "optimizer.betas=[0.9,0.999]"),
    *("scheduler=constant", "optimizer.weight_averaging=false", "loss=huber", f"monitor={MONITOR}"),
    *("baselines=[]", "figures=none", "hydra.launcher.workers=1"),
)

SPACE = (
    *("optimizer.lr=tag(log,interval(1e-4,1e-1))", "optimizer.weight_decay=tag(log,interval(1e-4,1.0))"),
    *("model.dropout=interval(0.0,0.5)", "loss.delta=tag(log,interval(0.1,3.0))", "sweep.sampler=tpe"),
)

WIDTHS = "choice([32,32],[64,64],[128,128],[64,64,64])"

Kind = Literal["lockstep", "single", "halving"]
ALL: tuple[Kind, ...] = get_args(Kind)


class Search(harness.Benchmark):
    trials: harness.Count = 64
    batch: harness.Count = 16
    epochs: harness.Count = 400
    searches: Annotated[tuple[Kind, ...], BeforeValidator(harness.split), Field(min_length=1)] = ALL
    widths: bool = False


def measure(arguments: Search) -> None:
    case, contenders = f"{arguments.trials} trials of up to {arguments.epochs} epochs", harness.Contenders()
    rows = len(TABLE.read_text(encoding="utf-8").splitlines()) - 1  # 70 % for training, 15 % for the others
    parts, order = np.full(rows, "train"), np.random.default_rng(0).permutation(rows)
    parts[order[: 15 * rows // 100]], parts[order[-15 * rows // 100 :]] = "val", "test"
    (split := harness.new_folder() / "split.txt").write_text("\n".join(parts) + "\n", encoding="utf-8")
    for checkout, kind in product(arguments.checkouts, arguments.searches):
        searched = partial(_searched, arguments, checkout, kind, split, count())
        contenders[case, f"{checkout.name}, {kind}"] = searched
    times = harness.alternate(contenders, arguments.repeats)
    base = f"{arguments.checkouts[0].name}, {arguments.searches[0]}"
    more = {
        "best": lambda key: harness.digits(times[key].median("best")),
        "epochs": lambda key: harness.digits(times[key].median("epochs")),
        "a trial": lambda key: harness.show_seconds(times[key].median() / times[key].median("trials")),
    }
    caption = f"whole processes; best: lowest {MONITOR}"
    table = harness.comparison("searches for the table concrete", times, base, caption, **more)
    harness.report(arguments, times, table)


def _searched(
    arguments: Search, checkout: harness.Checkout, kind: Kind, split: Path, seeds: "count[int]"
) -> dict[str, float]:
    words = (
        *("-m", *SAME, *SPACE, f"model.hidden={WIDTHS if arguments.widths else '[64,64]'}"),
        *(f"trainer.max_epochs={arguments.epochs}", f"sweep.trials={arguments.trials}"),
        *(f"sweep.batch={1 if kind == 'single' else arguments.batch}", f"data.split.path={split}"),
        *(f"sweep.pruning={'halving' if kind == 'halving' else 'none'}", f"seed={next(seeds)}"),
    )
    with TemporaryDirectory() as name:
        seconds = checkout.run("train.py", *words, "hydra.sweep.dir=sweep", folder=Path(name))
        metrics = [json.loads(path.read_bytes()) for path in Path(name).glob("sweep/trial-*/metrics.json")]
    epochs = sum(trial.get("epochs") or 0 for trial in metrics)
    best = min(trial[MONITOR] for trial in metrics if trial["status"] == "done")
    return {"seconds": seconds, "best": best, "epochs": epochs, "trials": len(metrics)}
