"""`train.py -m` as users run it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import ROOT, SMALL, Ended
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mlplab.training import checkpoint

SCRIPT = str(ROOT / "scripts/train.py")
QUICK = SMALL[:-1]  # without the epochs


def left_behind(folder: Path) -> dict[str, Any]:
    """All that a run left that does not tell when it was, as values that can be compared bit by bit."""
    metrics = json.loads((folder / "metrics.json").read_text())
    events = EventAccumulator(str(folder / "tensorboard"))
    if (folder / "tensorboard").is_dir():  # not where a run ended before its first epoch did
        events.Reload()
    config = yaml.safe_load((folder / "config.yaml").read_text())
    return {
        "metrics": {name: value for name, value in metrics.items() if name != "seconds"},
        "curves": {
            tag: [(point.step, point.value) for point in events.Scalars(tag)]
            for tag in events.Tags()["scalars"]
        },
        "config": {key: value for key, value in config.items() if key != "name"},
        "weights": {
            path.name: {
                name: tensor.numpy().tobytes() for name, tensor in checkpoint.load(path)["state"].items()
            }
            for path in sorted((folder / "checkpoints").iterdir())
        },
        "files": sorted(path.relative_to(folder).name.split(".1")[0] for path in folder.rglob("*")),
        "log": [
            line.partition("  ")[2].partition("; ")[0]
            for line in (folder / "train.log").read_text().splitlines()
        ],
    }


SWEEPS = {
    "folds, dropout, rates, early stopping": [
        *("data/split=kfold", "data.split.folds=3", "data.split.fold=range(3)"),
        *("model.dropout=0,0.2", "optimizer.lr=0.03,0.003", "callbacks.early_stopping.patience=1"),
        "scheduler=plateau",
        "scheduler.patience=0",
    ],
    "a member that diverges, schedules, momentum": [
        *("optimizer=sgd", "optimizer.lr=0.01,1e18", "optimizer.momentum=0,0.9", "scheduler.warmup=0,0.3"),
        "model/encoder=none",
    ],
    "norms, residuals, deltas, clipping": [
        *("model.norm=batch", "model.residual=true", "loss=huber", "loss.delta=0.5,2", "seed=range(2)"),
        *("trainer.gradient_clip_val=0.1", "data.split.seed=1,2"),
    ],
}


@pytest.mark.parametrize("sweep", SWEEPS, ids=str)
@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_in_lockstep_and_one_by_one_leave_the_same_behind(
    command: Callable[..., Ended], tmp_path: Path, sweep: str
) -> None:
    # 71 rows: folds differ in size, and the last batch is a short one.
    common = ("data=synthetic", "data.rows=71", "data.batch_size=9", "model.hidden=[8,8]", *SWEEPS[sweep])
    overrides = ("-m", *common, "trainer.max_epochs=12", "data.noise=2")
    lockstep = command(*overrides, "name=lockstep")
    alone = command(*overrides, "name=alone", "hydra/launcher=basic")
    assert lockstep.status == alone.status == int("diverges" in sweep), (lockstep.err, alone.err)
    plan = json.loads((tmp_path / "outputs/lockstep/plan.json").read_text())
    assert max(map(len, plan["stacks"])) >= 4
    names = [name for stack in plan["stacks"] for name in stack]
    assert sorted(names) == sorted(path.name for path in (tmp_path / "outputs/alone").iterdir())
    runs = {name: left_behind(tmp_path / "outputs/lockstep" / name) for name in names}
    for name, run in runs.items():
        assert run == left_behind(tmp_path / "outputs/alone" / name), name
    curves = [json.dumps(run["curves"]) for run in runs.values() if run["curves"]]
    assert len(set(curves)) == len(curves) >= len(runs) / 2
    if "stopping" in sweep:  # some at the first stop, some at the second, and some not at all
        assert len({run["metrics"]["epochs"] for run in runs.values()}) > 3
