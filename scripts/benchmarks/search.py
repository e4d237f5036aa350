"""How long does a hyperparameter search take, and what does it find?

search    searches of a network of 2 × 64 units for the table concrete, with another seed in each repeat: in
          lockstep, one trial at a time, pruned; and seconds until an error is reached, also by Optuna with
          Lightning, on the same rows, with the same batches, epochs and ranges
  trials=64 batch=16 epochs=400   of mlplab's searches, and of a trial
  searches=lockstep,single,halving
  widths=true    searches the widths of layers too, so that a batch is several stacks
  peers=Lightning   none: no peers
  target=4.2     the error to reach; default: 1 % above the median of the first search's best
  cap=300        seconds after which a peer is stopped
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from itertools import accumulate
from math import inf
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import time
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from benchmarks import harness
from benchmarks.checkout import PLAIN, ROOT, Checkout
from benchmarks.peers import DECAY, DELTA, DROPOUT, LR, Task

MONITOR, TABLE = "val/rmse", ROOT / "src/mlplab/data/concrete.csv"

HIDDEN, BATCH_ROWS = (64, 64), 100

PEERS = {"Lightning": "torch_peers.lightning_search"}
"""Their functions by name."""

SAME = (
    *(
        "data=csv",
        f"data.path={TABLE}",
        "data.target=target",
        "data/split=file",
        f"data.batch_size={BATCH_ROWS}",
    ),
    *(*PLAIN, "optimizer=adamw", "optimizer.betas=[0.9,0.999]", "scheduler=constant"),
    *("optimizer.weight_averaging=false", "loss=huber", f"monitor={MONITOR}", "baselines=[]", "figures=none"),
)
"""What the peers do too."""

SPACE = (
    *(f"optimizer.lr=tag(log,interval{LR})", f"optimizer.weight_decay=tag(log,interval{DECAY})"),
    *(f"model.dropout=interval{DROPOUT}", f"loss.delta=tag(log,interval{DELTA})", "sweep.sampler=tpe"),
)

WIDTHS = "choice([32,32],[64,64],[128,128],[64,64,64])"

Curve = Sequence[tuple[float, float]]
"""Moments when a trial was complete, and the lowest validation error until then."""


class Search(harness.Benchmark):
    """The arguments of this benchmark."""

    trials: harness.Count = 64
    batch: harness.Count = 16
    epochs: harness.Count = 400
    searches: Annotated[
        tuple[Literal["lockstep", "single", "halving"], ...],
        BeforeValidator(harness.split),
        Field(min_length=1),
    ] = ("lockstep", "single", "halving")
    widths: bool = False
    peers: Annotated[tuple[Literal["Lightning"], ...], BeforeValidator(harness.split)] = ("Lightning",)
    target: Annotated[float, Field(gt=0)] | None = None
    cap: Annotated[float, Field(gt=0)] = 300


def measure(arguments: Search) -> None:
    """Searches with mlplab first, since its errors are what the peers are to reach."""
    curves: dict[str, list[Curve]] = defaultdict(list)
    case = f"{arguments.trials} trials of up to {arguments.epochs} epochs"
    ours: dict[harness.Key, harness.Contender] = {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        _write_split(folder / "split.txt")
        for checkout in arguments.checkouts:
            for kind in arguments.searches:
                label = f"{checkout.name}, {kind}"
                ours[case, label] = partial(_ours, arguments, checkout, kind, folder, curves[label])
        times = harness.alternate(ours, arguments.repeats)
        base = f"{arguments.checkouts[0].name}, {arguments.searches[0]}"
        target = arguments.target or 1.01 * median(curve[-1][1] for curve in curves[base])
        ask = partial(_peer, arguments, folder, target)
        theirs: dict[harness.Key, harness.Contender] = {
            (case, peer): partial(ask, peer, curves[peer]) for peer in arguments.peers
        }
        times |= harness.alternate(theirs, arguments.repeats)

    def until(key: harness.Key) -> str:
        seconds = [seconds_to(target, curve) for curve in curves[key[1]]]
        reached, middle = sum(second < inf for second in seconds), median(seconds)
        return f"{'–' if middle == inf else harness.show_seconds(middle)}, {reached}/{len(seconds)}"

    more = {
        "best": lambda key: harness.digits(times[key].median("best")),
        "epochs": lambda key: harness.digits(times[key].median("epochs")),
        "a trial": lambda key: harness.show_seconds(times[key].median() / times[key].median("trials")),
        f"to {target:.4g}": until,
    }
    caption = (
        f"whole processes; best: lowest {MONITOR}; to {target:.4g}: seconds until a trial reached it, and "
    )
    caption += f"in how many searches one did. Peers search until then, or for {arguments.cap:g} s"
    table = harness.comparison("searches for the table concrete", times, base, more, caption)
    harness.report("search", arguments, [table], times, target=target, curves=curves)


def _ours(
    arguments: Search, checkout: Checkout, kind: str, folder: Path, curves: list[Curve]
) -> dict[str, float]:
    hidden = WIDTHS if arguments.widths else f"[{','.join(map(str, HIDDEN))}]"
    pruning = "halving" if kind == "halving" else "none"
    words = (
        *("-m", *SAME, *SPACE, f"model.hidden={hidden}", f"data.split.path={folder}/split.txt"),
        *(f"trainer.max_epochs={arguments.epochs}", f"sweep.trials={arguments.trials}"),
        *(f"sweep.batch={1 if kind == 'single' else arguments.batch}", f"sweep.pruning={pruning}"),
        *("hydra.launcher.workers=1", f"seed={len(curves)}"),
    )
    with TemporaryDirectory(dir=folder) as name:
        start, sweep = time(), Path(name, "sweep")
        seconds = checkout.run("train.py", *words, f"hydra.sweep.dir={sweep}", folder=folder)
        metrics = [json.loads(path.read_bytes()) for path in sweep.glob("trial-*/metrics.json")]
        curves.append([(moment - start, error) for moment, error in curve_of(sweep)])
    epochs = sum(trial.get("epochs") or 0 for trial in metrics)
    return {"seconds": seconds, "best": curves[-1][-1][1], "epochs": epochs, "trials": len(metrics)}


def _peer(arguments: Search, folder: Path, target: float, peer: str, curves: list[Curve]) -> dict[str, float]:
    """Searches until the target or the cap is reached; the table gives the numbers of columns and rows."""
    start = time()
    task = Task(
        features=0, hidden=HIDDEN, batch=BATCH_ROWS, rows=0, epochs=arguments.epochs, seed=len(curves)
    )
    where = (str(TABLE), f"{folder}/split.txt", str(target), str(start + arguments.cap))
    answer = arguments.checkouts[0].ask(PEERS[peer], json.dumps(asdict(task)), *where, folder=folder)
    curves.append([(moment - start, error) for moment, error in answer["curve"]])
    best, trials = min((error for _, error in answer["curve"]), default=inf), answer["trials"]
    return {"seconds": time() - start, "best": best, "epochs": trials * arguments.epochs, "trials": trials}


def curve_of(sweep: Path) -> Curve:
    """The curve of a search in a folder, in seconds since 1970."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    storage = optuna.storages.JournalStorage(JournalFileBackend(str(sweep / "study.journal")))
    [name] = optuna.study.get_all_study_names(storage)
    complete = [optuna.trial.TrialState.COMPLETE]
    trials: list[Any] = optuna.load_study(study_name=name, storage=storage).get_trials(states=complete)
    ended = sorted((trial.datetime_complete.timestamp(), trial.value) for trial in trials)
    lowest = accumulate((value for _, value in ended), min)
    return [(moment, value) for (moment, _), value in zip(ended, lowest, strict=True)]


def seconds_to(target: float, curve: Curve) -> float:
    """When a curve reaches an error; infinite if it does not."""
    return next((seconds for seconds, error in curve if error <= target), inf)


def _write_split(path: Path) -> None:
    """70 % of the rows for training, and 15 % each for validation and the test."""
    rows = len(TABLE.read_text(encoding="utf-8").splitlines()) - 1
    words = np.full(rows, "train")
    order = np.random.default_rng(0).permutation(rows)
    words[order[: 15 * rows // 100]], words[order[-15 * rows // 100 :]] = "val", "test"
    path.write_text("\n".join(words) + "\n", encoding="utf-8")
