from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
from support import config as compose

from mlplab.data.cache import DataCache
from mlplab.errors import UserError
from mlplab.sweeps.checks import check_runs
from mlplab.sweeps.plan import Plan, make_plan
from mlplab.sweeps.run import SweepRun

config = cache(compose)

DATA = ("data=synthetic", "data.rows=101", "data.batch_size=16", "model.hidden=[8]")


def plan(
    *runs: Sequence[str], members: int | None = None, workers: int | None = None, cores: int = 2
) -> Plan:
    jobs = [
        SweepRun((), Path(str(number)), config=config(*DATA, *overrides))
        for number, overrides in enumerate(runs)
    ]
    cache = DataCache()
    return make_plan(check_runs(jobs, Path(), cache), cache, members, workers, cores)


ALIKE = [
    ["seed=1"],
    ["optimizer.lr=0.1"],
    ["optimizer.weight_decay=0.1"],
    ["optimizer.betas=[0.8,0.9]"],
    ["optimizer.eps=1e-7"],
    ["model.dropout=0.1"],
    ["scheduler=step"],
    ["scheduler.warmup=0.1"],
    ["data.split.seed=3"],
    ["data/split=kfold", "data.split.fold=2"],
    ["callbacks.early_stopping.patience=4"],
]
UNLIKE = [
    ["model.hidden=[9]"],
    ["model.activation=gelu"],
    ["data.batch_size=32"],
    ["trainer.max_epochs=7"],
    ["loss=mae"],
    ["optimizer=sgd"],
    ["data.seed=1"],
    ["data.noise=1"],
    ["monitor=val/loss"],
    ["trainer.precision=64"],
    ["model/preprocessing=none"],
    ["data.split.test=0.4"],  # fewer steps an epoch
]


def test_what_shares_a_stack() -> None:
    made = plan([], *ALIKE, *UNLIKE)
    assert made.stacks[0] == tuple(range(len(ALIKE) + 1))
    assert made.stacks[1:] == tuple((len(ALIKE) + 1 + number,) for number in range(len(UNLIKE)))
    assert (
        made.summary()
        == f"{len(ALIKE) + len(UNLIKE) + 1} runs: 1 stack of {len(ALIKE) + 1}, {len(UNLIKE)} alone"
    )


def test_runs_of_classes_share_a_stack_unless_their_class_weights_differ() -> None:
    blobs = ["data.function=blobs"]
    smooth = [[*blobs, "loss=cross_entropy", f"loss.label_smoothing={each}"] for each in (0, 0.1)]
    weighted = [*blobs, "data.class_weights=balanced"]
    made = plan(blobs, *smooth, weighted, [*weighted, "seed=1"], [*blobs, "monitor=val/accuracy"])
    assert made.stacks == ((0, 1, 2), (3, 4), (5,))


def test_only_runs_that_do_not_fit_their_target_are_refused() -> None:
    blobs = ["data.function=blobs"]
    made = plan(blobs, [*blobs, "loss=mse"], [*blobs, "monitor=val/mae"], ["loss=cross_entropy"], [])
    assert made.stacks == ((0,), (4,))
    said = ("is a loss of numbers", "is not a metric of classes", "is for classes")
    for run, words in zip(made.refused, said, strict=True):
        assert words in run.reason


def test_folds_share_a_stack_but_where_a_short_batch_would_matter() -> None:
    folds = [["data/split=kfold", "data.split.folds=5", f"data.split.fold={fold}"] for fold in range(5)]
    assert [len(stack) for stack in plan(*folds).stacks] == [5]
    normed = plan(*([*fold, "model.norm=batch"] for fold in folds))
    assert [len(stack) for stack in normed.stacks] == [1, 4]  # 101 rows: one test part has a row more
    whole = plan(*([*fold, "data.batch_size=null"] for fold in folds))
    assert [len(stack) for stack in whole.stacks] == [1, 4]


def test_members_of_a_stack() -> None:
    seeds = [[f"seed={seed}"] for seed in range(10)]
    assert [len(stack) for stack in plan(*seeds).stacks] == [10]
    assert [len(stack) for stack in plan(*seeds, members=4).stacks] == [3, 3, 4]
    assert plan(*seeds, members=5).summary() == "10 runs: 2 stacks of 5"
    wide = plan(*([*seed, "model.hidden=[512,512]"] for seed in seeds))
    assert 1 < len(wide.stacks) < 10
    assert plan(*seeds).stacks == plan(*seeds).stacks


def test_workers() -> None:
    seeds = [[f"seed={seed}"] for seed in range(10)]
    assert (
        plan(*seeds, workers=3).summary(place="3 processes")
        == "10 runs: 1 stack of 4, 2 stacks of 3; 3 processes"
    )
    long = [[*seed, "trainer.max_epochs=100000"] for seed in seeds]
    assert plan(*seeds).workers == 1
    assert plan(*long).workers == 2
    assert plan(*long, cores=1).workers == 1


def test_runs_with_callbacks_of_the_users_train_alone() -> None:
    timer = "+callbacks.timer._target_=lightning.pytorch.callbacks.Timer"
    assert [
        len(stack) for stack in plan(["seed=1", timer], ["seed=2", timer], ["seed=3"], ["seed=4"]).stacks
    ] == [
        1,
        1,
        2,
    ]


def test_what_cannot_train_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,2\n3,4\n5,6\n7,x\n")
    csv = ["data=csv", f"data.path={tmp_path / 't.csv'}", "data.target=y"]
    jobs = [
        SweepRun((), Path("bad"), error=UserError()),
        SweepRun((), Path("csv"), config=config(*csv)),
        SweepRun((), Path("good"), config=config(*DATA)),
        SweepRun(
            (),
            Path("folds"),
            config=config(*DATA, "data/split=kfold", "data.split.folds=200", "data.split.fold=150"),
        ),
    ]
    data = DataCache()
    made = make_plan(check_runs(jobs, Path(), data), data, None, None, 1)
    assert made.stacks == ((2,),)
    assert [job.folder.name for job in made.refused] == ["bad", "csv", "folds"]
    assert "column 'y'" in made.refused[1].reason
    assert made.refused[1].values["data"]["target"] == ["y"]  # as in its folder, however it was typed
    assert "more folds than rows" in made.refused[2].reason


@pytest.mark.parametrize("seeds", [1, 3])
def test_one_run_is_no_stack(seeds: int) -> None:
    assert (
        plan(*([f"seed={seed}"] for seed in range(seeds)), members=1).summary()
        == {
            1: "1 run: 1 alone",
            3: "3 runs: 3 alone",
        }[seeds]
    )
