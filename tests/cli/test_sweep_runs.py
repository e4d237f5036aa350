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
from mlplab.sweeps.checks import ComposedRun, RefusedRun
from mlplab.sweeps.folder import folder_name
from mlplab.sweeps.grid import grid


@cache
def loaded() -> tuple[DictConfig, ConfigLoader]:
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        loader = hydra.config_loader
        return loader.load_configuration("train", ["name=s"], RunMode.MULTIRUN), loader


def derived(*overrides: str) -> list[ComposedRun | RefusedRun]:
    """The runs of a sweep."""
    master, loader = loaded()
    return list(derive_runs(deepcopy(master), loader, grid(loader, ["name=s", *overrides]), 0))


@pytest.mark.parametrize(
    "overrides",
    [
        ["data=csv", "data.path=a.csv", "data.target=y", "data/split=time", "data.split.time=t", "seed=3,4"],
        ["optimizer=adam,sgd", "optimizer.lr=0.1,0.2"],
        ["model.hidden=[8],[4,4]", "model.dropout=0.1,0.2", "data.batch_size=null,16"],
        ["+callbacks.timer._target_=lightning.pytorch.callbacks.Timer", "seed=1,2"],
        ["monitor=val/mae,val/rmse", "optimizer.weight_decay=${optimizer.lr}", "optimizer.lr=0.1,0.2"],
        ["model=linear,mlp", "experiment=article", "data.noise=0.1,1"],
        ["~logger.tensorboard", "loss=glob(m*)"],
    ],
    ids=" ".join,
)
def test_options_interpolations_and_additions(overrides: Sequence[str]) -> None:
    """All values and their types are those that Hydra composes."""
    master, loader = loaded()
    runs = derived(*overrides)
    for run, lines in zip(runs, grid(loader, ["name=s", *overrides]), strict=True):
        values = plain(loader.load_sweep_config(master, lines))
        if isinstance(run, RefusedRun):
            assert run.values == values
        else:
            assert run.config.model_dump_json() == parse(values).model_dump_json()
    assert len({run.folder for run in runs}) == len(runs) > 1


def test_runs_share_sections_that_are_equal_also_in_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPLAB_ALLOWED_CLASSES", "a.B")
    runs = derived("model=custom", "model._target_=a.B", "+model.alpha=0,1,1.0,true,true")
    configs = [run.config for run in runs if isinstance(run, ComposedRun)]
    assert [repr(each.plain()["model"]["alpha"]) for each in configs] == ["0", "1", "1.0", "True", "True"]


def test_equal_sections_are_stored_once() -> None:
    one, other = (run.config for run in derived("seed=1,2") if isinstance(run, ComposedRun))
    assert one.optimizer is other.optimizer


def test_a_mistake_in_one_run_is_reported_for_that_run_only() -> None:
    good, bad, last = derived("optimizer.lr=0.1,-1,0.2")
    assert isinstance(good, ComposedRun)
    assert isinstance(last, ComposedRun)
    assert (good.config.optimizer.lr, last.config.optimizer.lr) == (0.1, 0.2)
    assert isinstance(bad, RefusedRun)
    assert bad.reason == "optimizer.lr: invalid value (found -1, expected greater than 0, or auto)"
    assert bad.folder == Path("outputs/s/lr=-1")


def test_an_unknown_option_is_reported_for_its_runs_only() -> None:
    *bad, good, other = derived("optimizer=adagrad,adam", "seed=1,2")
    for seed, run in enumerate(bad, 1):
        assert isinstance(run, RefusedRun)
        assert "expected one of adam, adamw, sgd" in run.reason
        assert run.folder == Path(f"outputs/s/optimizer=adagrad,seed={seed}")
    assert [type(run) for run in (good, other)] == [ComposedRun, ComposedRun]


@pytest.mark.parametrize("rates", ["${nope},0.1", "0.1,${nope}"])
def test_an_interpolation_that_leads_nowhere_is_reported_for_its_run_only(rates: str) -> None:
    master, loader = loaded()
    lines = [[f"optimizer.lr='{rate}'"] for rate in rates.split(",")]
    runs = list(derive_runs(deepcopy(master), loader, lines, 0))
    assert sorted(isinstance(run, RefusedRun) and "nope" in run.reason for run in runs) == [False, True]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("hydra.sweep.subdir=${hydra.job.num}", ["0", "1"]),
        ("++hydra.sweep.subdir=s${seed}/x", ["s3/x", "s4/x"]),
    ],
)
def test_the_command_line_may_name_the_folders(line: str, names: list[str]) -> None:
    _, loader = loaded()
    master = loader.load_configuration("train", ["name=s", line], RunMode.MULTIRUN)
    runs = derive_runs(master, loader, grid(loader, ["seed=3,4"], name_folders=False), 0)
    assert [run.folder for run in runs] == [Path("outputs/s") / name for name in names]


def test_the_grid() -> None:
    _, loader = loaded()
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


def test_two_texts_do_not_become_one_name() -> None:
    names = {
        folder_name([f"data.path={path}"], {"data.path"})
        for path in ("a b", "a/b", "a_b", "x" * 200, "x" * 201, "字" * 100)
    }
    assert len(names) == 6
    assert all(len(name.encode()) < 140 and "/" not in name for name in names)


@pytest.mark.parametrize("path", ["it's", "a\\", "a\\'b", "with space", "a,b", "100%"])
def test_any_folder_can_be_a_sweeps(path: str) -> None:
    master, loader = deepcopy(loaded()[0]), loaded()[1]
    master.hydra.sweep.dir = path
    (run,) = derive_runs(master, loader, grid(loader, []), 0)
    assert run.folder == Path(path) / "run"
