"""Runs derived from one composition are those that Hydra composes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig
from support import ROOT

from mlplab.cli.compose import plain, register_resolvers
from mlplab.cli.sweep_runs import derive_runs
from mlplab.errors import UserError
from mlplab.sweeps.folder import folder_name
from mlplab.sweeps.grid import grid
from mlplab.sweeps.run import SweepRun

OPTIONS = {
    path.parent.relative_to(ROOT / "conf").as_posix(): sorted(
        each.stem for each in path.parent.glob("*.yaml")
    )
    for path in (ROOT / "conf").rglob("*/*.yaml")
    if "hydra" not in path.parts
}
NEEDED = {
    ("data", "csv"): ["data.path=a.csv", "data.target=y"],
    ("data/split", "file"): ["data.split.path=parts.txt"],
    ("data/split", "group"): ["data.split.group=g"],
    ("data/split", "time"): ["data.split.time=t"],
    ("model", "custom"): ["model._target_=a.B"],
}


@contextmanager
def sweep() -> Iterator[tuple[DictConfig, ConfigLoader]]:
    """The composition of a sweep, and what composes its runs."""
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        yield (
            hydra.config_loader.load_configuration("train", ["name=s"], RunMode.MULTIRUN),
            hydra.config_loader,
        )


def derived(*overrides: str) -> tuple[list[SweepRun], list[dict[str, object]]]:
    """The jobs of a sweep, and what Hydra makes of each one's overrides."""
    with sweep() as (master, loader):
        lines = grid(loader, ["name=s", *overrides])
        jobs = list(derive_runs(master, loader, lines, 0))
        return jobs, [plain(loader.load_sweep_config(master, each)) for each in lines]


@pytest.mark.parametrize(
    ("group", "option"), [(group, option) for group, options in OPTIONS.items() for option in options]
)
def test_every_option_of_every_group(group: str, option: str) -> None:
    jobs, theirs = derived(
        f"{group}={option}", *NEEDED.get((group, option), []), "seed=3,4", "trainer.max_epochs=5,6"
    )
    assert len(jobs) == 4
    assert [job.values for job in jobs] == theirs
    assert [job.values["seed"] for job in jobs] == [3, 3, 4, 4]


@pytest.mark.parametrize(
    "overrides",
    [
        ["optimizer=adam,sgd,adamw", "optimizer.lr=0.1,0.2"],
        ["model.hidden=[8],[4,4]", "model.dropout=0.1,0.2", "data.batch_size=null,16"],
        ["+callbacks.timer._target_=lightning.pytorch.callbacks.Timer", "seed=1,2"],
        ["monitor=val/mae,val/rmse", "optimizer.weight_decay=${optimizer.lr}", "optimizer.lr=0.1,0.2"],
        ["model=linear,mlp", "data=synthetic", "data.noise=0.1,1"],
        ["~logger.tensorboard", "seed=1,2"],
    ],
    ids=" ".join,
)
def test_groups_interpolations_and_additions(overrides: Sequence[str]) -> None:
    jobs, theirs = derived(*overrides)
    assert len(jobs) > 1
    assert [job.values for job in jobs] == theirs
    assert len({job.folder for job in jobs}) == len(jobs)


def test_what_is_wrong_with_one_job_is_told_of_it_alone() -> None:
    (good, bad, last), _ = derived("optimizer.lr=0.1,-1,0.2")
    assert good.config is not None
    assert last.config is not None
    assert (good.config.optimizer.lr, last.config.optimizer.lr) == (0.1, 0.2)
    assert bad.config is None
    assert bad.reason == "optimizer.lr: out of range (found -1, expected above 0)"
    assert bad.folder == Path("outputs/s/lr=-1")


def test_an_option_that_does_not_exist_is_told_of_its_jobs_alone() -> None:
    with sweep() as (master, loader):
        bad, good = derive_runs(master, loader, grid(loader, ["name=s", "optimizer=adagrad,adam"]), 0)
    assert "expected one of adam, adamw, sgd" in bad.reason
    assert bad.folder == Path("outputs/s/optimizer=adagrad")
    assert good.config is not None


@pytest.mark.parametrize("rates", ["${nope},0.1", "0.1,${nope}"])
def test_an_interpolation_that_leads_nowhere_is_told_of_its_job_alone(rates: str) -> None:
    with sweep() as (master, loader):
        lines = [[f"optimizer.lr='{rate}'"] for rate in rates.split(",")]
        jobs = list(derive_runs(master, loader, lines, 0))
    assert sorted("nope" in job.reason for job in jobs) == [False, True]


@pytest.mark.parametrize(
    ("subdir", "names"), [("${hydra.job.num}", ["0", "1"]), ("s${seed}/x", ["s3/x", "s4/x"])]
)
@pytest.mark.parametrize("plus", ["", "++"])
def test_a_run_lies_where_the_command_line_says(subdir: str, names: list[str], plus: str) -> None:
    with sweep() as (_, loader):
        line = f"{plus}hydra.sweep.subdir={subdir}"
        master = loader.load_configuration("train", ["name=s", line], RunMode.MULTIRUN)
        jobs = derive_runs(master, loader, grid(loader, ["seed=3,4"], name_folders=False), 0)
        assert [job.folder for job in jobs] == [Path("outputs/s") / name for name in names]


def test_a_group_can_be_swept_by_pattern() -> None:
    jobs, theirs = derived("loss=glob(m*)")
    assert [job.values["loss"] for job in jobs] == [{"name": "mae"}, {"name": "mse"}]
    assert [job.values for job in jobs] == theirs


def test_the_grid() -> None:
    with sweep() as (_, loader):
        runs = grid(loader, ["seed=range(2)", "optimizer.lr=0.1,0.2", "model.hidden=[8,8]"])
        assert runs == [
            [
                *(f"seed={seed}", f"optimizer.lr={lr}", "model.hidden=[8,8]"),
                f"hydra.sweep.subdir='lr={lr},seed={seed}'",
            ]
            for seed in (0, 1)
            for lr in (0.1, 0.2)
        ]
        with pytest.raises(UserError, match=r"seed: has no values \(found range\(0\)\)"):
            grid(loader, ["seed=range(0)"])
        with pytest.raises(UserError, match=r"optimizer.lr: interval\(\) is not a list of values"):
            grid(loader, ["optimizer.lr=interval(0,1)"])


def test_two_texts_do_not_become_one_name() -> None:
    names = {
        folder_name([f"data.path={path}"], {"data.path"})
        for path in ("a b", "a/b", "a_b", "x" * 200, "x" * 201)
    }
    assert len(names) == 5
    assert all(len(name) < 140 and "/" not in name for name in names)


@pytest.mark.parametrize("path", ["it's", "a\\", "a\\'b", "with space", "a,b", "100%"])
def test_any_folder_can_be_a_sweeps(path: str) -> None:
    with sweep() as (master, loader):
        master.hydra.sweep.dir = path
        (job,) = derive_runs(master, loader, grid(loader, []), 0)
        assert job.folder == Path(path) / "run"
