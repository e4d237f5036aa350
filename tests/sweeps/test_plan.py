from collections.abc import Sequence
from functools import cache
from pathlib import Path

from support import config as compose
from support import train_into

from mlplab.config import Launcher
from mlplab.data.cache import DataCache
from mlplab.errors import UserError, reason_of
from mlplab.sweeps.check_runs import ComposedRun, RefusedRun, check_runs
from mlplab.sweeps.engines.processes import Processes
from mlplab.sweeps.plan import Plan, plan_stacks

config = cache(compose)

DATA = ("data=synthetic", "data.rows=101", "data.batch_size=16", "model.hidden=[8]")


def engine(root: Path, members: int | None = None, workers: int | None = None, cores: int = 2) -> Processes:
    section = {"max_members": members, "workers": workers, "engine": {"name": "local"}}
    made = Processes(Launcher.model_validate(section), root, DataCache(), "cpu")
    made.slots, made._is_parallel = cores, False  # no process is asked
    return made


def plan(*runs: Sequence[str], **limits: int) -> Plan:
    composed = [ComposedRun(config(*DATA, *words), Path(str(number))) for number, words in enumerate(runs)]
    return plan_stacks(*check_runs(composed, DataCache()), engine(Path("none"), **limits))


def stacks(made: Plan) -> list[list[int]]:
    return [[int(run.folder.name) for run in stack] for stack in made.stacks]


def sizes(*runs: Sequence[str], **limits: int) -> list[int]:
    return [*map(len, plan(*runs, **limits).stacks)]


ALIKE = [
    *("seed=1", "optimizer.lr=0.1", "optimizer.weight_decay=0.1", "optimizer.betas=[0.8,0.9]"),
    *("optimizer.eps=1e-7", "model.dropout=0.1", "model.activation=gelu", "scheduler=step"),
    *("scheduler.warmup=0.1", "data.split.seed=3", "data/split=kfold data.split.fold=2"),
    "callbacks.early_stopping.patience=4",
]
UNLIKE = [
    *("model.hidden=[9]", "model.norm=layer", "data.batch_size=32", "trainer.max_epochs=7", "loss=mae"),
    *("optimizer=sgd", "data.seed=1", "data.noise=1", "monitor=val/loss", "trainer.precision=64"),
    *("model/preprocessing=none", "model.heads=2", "data.split.test=0.4"),  # the last: fewer steps an epoch
]


def test_what_shares_a_stack() -> None:
    made, alike = plan([], *map(str.split, [*ALIKE, *UNLIKE])), len(ALIKE) + 1
    assert stacks(made) == [list(range(alike)), *([alike + number] for number in range(len(UNLIKE)))]
    assert made.summary() == f"{alike + len(UNLIKE)} runs: 1 stack of {alike}, {len(UNLIKE)} alone"


def test_runs_of_classes_share_a_stack_unless_their_class_weights_differ() -> None:
    blobs = ["data.function=blobs"]
    smooth = [[*blobs, "loss=cross_entropy", f"loss.label_smoothing={each}"] for each in (0, 0.1)]
    weighted = [*blobs, "data.class_weights=balanced"]
    made = plan(blobs, *smooth, weighted, [*weighted, "seed=1"], [*blobs, "monitor=val/accuracy"])
    assert stacks(made) == [[0, 1, 2], [3, 4], [5]]


def test_folds_share_a_stack_but_where_a_short_batch_or_a_callback_of_the_users_would_matter() -> None:
    folds = [["data/split=kfold", "data.split.folds=5", f"data.split.fold={fold}"] for fold in range(5)]
    assert sizes(*folds) == [5]
    whole = "data.batch_size=null"  # 101 rows: one test part has a row more
    assert sizes(*([*fold, whole] for fold in folds)) == [1, 4]
    timer = "+callbacks.timer._target_=lightning.pytorch.callbacks.Timer"
    assert sizes(["seed=1", timer], ["seed=2", timer], ["seed=3"], ["seed=4"]) == [1, 1, 2]


def test_members_and_workers() -> None:
    seeds = [[f"seed={seed}"] for seed in range(10)]
    assert sizes(*seeds) == [10]
    assert sizes(*seeds, members=4) == [3, 3, 4]
    assert plan(*seeds, members=5).summary() == "10 runs: 2 stacks of 5"
    assert 1 < len(plan(*([*seed, "model.hidden=[512,512]"] for seed in seeds)).stacks) < 10
    made = plan(*seeds, workers=3)
    assert made.summary(place="3 processes") == "10 runs: 1 stack of 4, 2 stacks of 3; 3 processes"
    long = [[*seed, "trainer.max_epochs=100000"] for seed in seeds]
    assert [plan(*seeds).workers, plan(*long).workers, plan(*long, cores=1).workers] == [1, 2, 1]
    assert plan(*seeds[:1], members=1).summary() == "1 run: 1 alone"


def test_what_cannot_train_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,2\n3,4\n5,6\n7,x\n")
    csv = ["data=csv", f"data.path={tmp_path / 't.csv'}", "data.target=y"]
    folds = ("data/split=kfold", "data.split.folds=200", "data.split.fold=150")
    runs = [
        RefusedRun(Path("bad"), {}, UserError()),
        ComposedRun(config(*csv), Path("csv")),
        ComposedRun(config(*DATA), Path("good")),
        ComposedRun(config(*DATA, *folds), Path("folds")),
        ComposedRun(config(*DATA, "init_from=missing"), Path("warm")),
    ]
    processes = engine(tmp_path)
    made = plan_stacks(*check_runs(runs, processes.cache), processes)
    assert [[run.folder.name for run in stack] for stack in made.stacks] == [["good"]]
    assert [run.folder.name for run in made.refused] == ["bad", "csv", "folds", "warm"]
    assert "column 'y'" in reason_of(made.refused[1].error)
    assert made.refused[1].values["data"]["target"] == ["y"]  # as in its folder, however it was typed
    assert "more folds than rows" in reason_of(made.refused[2].error)
    assert "missing: no such folder" in reason_of(made.refused[3].error)


def test_of_a_warm_start_only_runs_with_another_activation_are_refused(tmp_path: Path) -> None:
    train_into(tmp_path, [*DATA, "model.activation=tanh", "trainer.max_epochs=1"])
    start = [*DATA, f"init_from={tmp_path / '0'}"]
    runs = [
        ComposedRun(config(*start, f"model.activation={name}"), tmp_path / name) for name in ("tanh", "relu")
    ]
    for ordered in (runs, runs[::-1]):
        made = plan_stacks(*check_runs(ordered, DataCache()), engine(tmp_path))
        assert [[run.folder.name for run in stack] for stack in made.stacks] == [["tanh"]]
        assert [run.folder.name for run in made.refused] == ["relu"]


def test_stacks_of_an_earlier_plan_stay(tmp_path: Path) -> None:
    runs = [ComposedRun(config(*DATA, f"seed={seed}"), tmp_path / str(seed)) for seed in range(6)]
    accepted, refused = check_runs(runs, DataCache())
    plan_stacks(accepted[:4], refused, engine(tmp_path, members=2)).write(tmp_path)
    made = plan_stacks(accepted, refused, engine(tmp_path))
    assert stacks(made) == [[0, 1], [2, 3], [4, 5]]
    (tmp_path / "plan.json").write_text('{"stacks": [["0", "0"], ["0", "9"], []]}')
    made = plan_stacks(accepted, refused, engine(tmp_path))
    assert stacks(made) == [[0], [1, 2, 3, 4, 5]]
