"""Runs derived from one composition are those that Hydra composes."""

from collections.abc import Sequence
from copy import deepcopy
from functools import cache
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
from mlplab.config import parse
from mlplab.errors import UserError
from mlplab.runs.run import Run
from mlplab.sweeps.checks import RefusedRun, refuse
from mlplab.sweeps.folder import folder_name
from mlplab.sweeps.grid import grid

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


@cache
def loaded() -> tuple[DictConfig, ConfigLoader]:
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        loader = hydra.config_loader
        return loader.load_configuration("train", ["name=s"], RunMode.MULTIRUN), loader


def sweep() -> tuple[DictConfig, ConfigLoader]:
    """The composition of a sweep, and what composes its runs."""
    master, loader = loaded()
    return deepcopy(master), loader


def derived(*overrides: str) -> tuple[list[Run | RefusedRun], list[dict[str, object]]]:
    """The runs of a sweep, and what Hydra composes of the overrides of each."""
    master, loader = sweep()
    lines = grid(loader, ["name=s", *overrides])
    runs = list(derive_runs(master, loader, lines, 0))
    return runs, [plain(loader.load_sweep_config(master, each)) for each in lines]


def assert_composed(runs: Sequence[Run | RefusedRun], theirs: Sequence[dict[str, object]]) -> None:
    """All values and their types are those that Hydra composes."""
    for run, values in zip(runs, theirs, strict=True):
        if isinstance(run, RefusedRun):
            assert run.values == values
        else:
            assert run.config.model_dump_json() == parse(values).model_dump_json()


@pytest.mark.parametrize(
    ("group", "option"), [(group, option) for group, options in OPTIONS.items() for option in options]
)
def test_every_option_of_every_group(group: str, option: str) -> None:
    runs, theirs = derived(
        f"{group}={option}", *NEEDED.get((group, option), []), "seed=3,4", "trainer.max_epochs=5"
    )
    assert_composed(runs, theirs)
    refused = [refuse(run, UserError()) if isinstance(run, Run) else run for run in runs]
    assert [run.values["seed"] for run in refused] == [3, 4]


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
    runs, theirs = derived(*overrides)
    assert len(runs) > 1
    assert_composed(runs, theirs)
    assert len({run.folder for run in runs}) == len(runs)


def test_runs_share_sections_that_are_equal_also_in_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPLAB_ALLOWED_CLASSES", "a.B")
    _, loader = sweep()
    custom = ["name=s", "model=custom", "model._target_=a.B", "+model.alpha=0"]
    master = loader.load_configuration("train", custom, RunMode.MULTIRUN)
    runs = derive_runs(master, loader, grid(loader, ["model.alpha=1,1.0,true,true"]), 0)
    configs = [run.config for run in runs if isinstance(run, Run)]
    assert [repr(each.plain()["model"]["alpha"]) for each in configs] == ["1", "1.0", "True", "True"]
    assert len({id(each.optimizer) for each in configs}) == 1
    assert configs[2].model is configs[3].model


def test_a_mistake_in_one_run_is_reported_for_that_run_only() -> None:
    (good, bad, last), _ = derived("optimizer.lr=0.1,-1,0.2")
    assert isinstance(good, Run)
    assert isinstance(last, Run)
    assert (good.config.optimizer.lr, last.config.optimizer.lr) == (0.1, 0.2)
    assert isinstance(bad, RefusedRun)
    assert bad.reason == "optimizer.lr: out of range (found -1, expected above 0, or auto)"
    assert bad.folder == Path("outputs/s/lr=-1")


def test_an_unknown_option_is_reported_for_its_runs_only() -> None:
    master, loader = sweep()
    bad, good = derive_runs(master, loader, grid(loader, ["name=s", "optimizer=adagrad,adam"]), 0)
    assert isinstance(bad, RefusedRun)
    assert "expected one of adam, adamw, sgd" in bad.reason
    assert bad.folder == Path("outputs/s/optimizer=adagrad")
    assert isinstance(good, Run)


@pytest.mark.parametrize("rates", ["${nope},0.1", "0.1,${nope}"])
def test_an_interpolation_that_leads_nowhere_is_reported_for_its_run_only(rates: str) -> None:
    master, loader = sweep()
    lines = [[f"optimizer.lr='{rate}'"] for rate in rates.split(",")]
    runs = list(derive_runs(master, loader, lines, 0))
    assert sorted(isinstance(run, RefusedRun) and "nope" in run.reason for run in runs) == [False, True]


@pytest.mark.parametrize(
    ("subdir", "names"), [("${hydra.job.num}", ["0", "1"]), ("s${seed}/x", ["s3/x", "s4/x"])]
)
@pytest.mark.parametrize("plus", ["", "++"])
def test_the_command_line_may_name_the_folders(subdir: str, names: list[str], plus: str) -> None:
    _, loader = sweep()
    line = f"{plus}hydra.sweep.subdir={subdir}"
    master = loader.load_configuration("train", ["name=s", line], RunMode.MULTIRUN)
    runs = derive_runs(master, loader, grid(loader, ["seed=3,4"], name_folders=False), 0)
    assert [run.folder for run in runs] == [Path("outputs/s") / name for name in names]


def test_a_group_can_be_swept_by_pattern() -> None:
    runs, theirs = derived("loss=glob(m*)")
    assert [each["loss"] for each in theirs] == [{"name": "mae"}, {"name": "mse"}]
    assert_composed(runs, theirs)


def test_the_grid() -> None:
    _, loader = sweep()
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
        for path in ("a b", "a/b", "a_b", "x" * 200, "x" * 201, "字" * 100)
    }
    assert len(names) == 6
    assert all(len(name.encode()) < 140 and "/" not in name for name in names)


@pytest.mark.parametrize("path", ["it's", "a\\", "a\\'b", "with space", "a,b", "100%"])
def test_any_folder_can_be_a_sweeps(path: str) -> None:
    master, loader = sweep()
    master.hydra.sweep.dir = path
    (run,) = derive_runs(master, loader, grid(loader, []), 0)
    assert run.folder == Path(path) / "run"
