"""Runs derived from one composition are those that Hydra composes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support import ROOT, parsed

from mlplab.composition.compose import Compose, composing, plain
from mlplab.composition.compose_sweep import compose_sweep
from mlplab.config import parse, quoted
from mlplab.data.cache import DataCache
from mlplab.errors import UserError, reason_of
from mlplab.sweeps.check_runs import ComposedRun, RefusedRun
from mlplab.sweeps.conclude import how_to_train
from mlplab.sweeps.grid import folder_name, grid, lines_of
from mlplab.sweeps.launch import ComposedSweep


@pytest.fixture(scope="module", autouse=True)
def compose() -> Iterator[Compose]:
    with composing([ROOT / "conf"]) as compose:
        yield compose


def composed(*overrides: str) -> ComposedSweep:
    return compose_sweep(parsed(*overrides), [ROOT / "conf"])


def runs_of(*overrides: str) -> Sequence[ComposedRun | RefusedRun]:
    sweep = composed("name=s", *overrides)
    return sweep.compose(grid(sweep.overrides))


@pytest.mark.parametrize(
    "overrides",
    [
        ["data=csv", "data.path=a.csv", "data.target=y", "data/split=time", "data.split.time=t", "seed=3,4"],
        ["optimizer=adam,sgd", "optimizer.weight_decay=${optimizer.lr}", "optimizer.lr=0.1,0.2"],
        ["model.hidden=[8],[4,4]", "data.batch_size=null,16", "~logger.tensorboard", "loss=glob(m*)"],
        ["model=linear,mlp", "experiment=article", "+callbacks.t._target_=lightning.pytorch.callbacks.Timer"],
    ],
    ids=" ".join,
)
def test_options_interpolations_and_additions(compose: Compose, overrides: Sequence[str]) -> None:
    """All values and their types are those that Hydra composes."""
    sweep = composed("name=s", *overrides)
    overrides_of_runs = grid(sweep.overrides)
    runs = sweep.compose(overrides_of_runs)
    for run, of_run in zip(runs, overrides_of_runs.values(), strict=True):
        values = plain(compose(parsed(*lines_of(of_run))))
        if isinstance(run, RefusedRun):
            assert run.values == values
        else:
            assert run.config.model_dump_json() == parse(values).model_dump_json()
    assert len({run.folder for run in runs}) == len(runs) > 1


def test_runs_share_sections_that_are_equal_also_in_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPLAB_ALLOWED_CLASSES", "a.B")
    runs = runs_of("model=custom", "model._target_=a.B", "+model.alpha=0,1,1.0,true,nan,inf,null", "seed=1,2")
    configs = [run.config for run in runs if isinstance(run, ComposedRun)]
    alphas = [repr(config.plain()["model"]["alpha"]) for config in configs[::2]]
    assert alphas == ["0", "1", "1.0", "True", "nan", "inf", "None"]
    assert len({id(config.optimizer) for config in configs}) == 1
    assert len({id(config.model) for config in configs}) == len(alphas)


@pytest.mark.parametrize("key", ["", "data="])
def test_tables_of_a_sweep_need_no_key(here: Path, key: str) -> None:
    word = f"{key}a.csv,b.csv"
    assert grid(parsed(word)) == grid(parsed("data.path=a.csv,b.csv"))
    (here / "a.csv,b.csv").touch()
    assert [each.value() for each in parsed(word)] == ["csv", "a.csv,b.csv"]


@pytest.mark.parametrize(
    ("overrides", "refused", "reason"),
    [
        (["optimizer.lr=0.1,-1,0.2"], [1], "optimizer.lr: invalid value (found -1, "),
        (["optimizer=adagrad,adam", "seed=1,2"], [0, 1], "expected one of adam, adamw, sgd"),
        (["optimizer.lr=0.1,'${nope}'"], [1], "nope"),
    ],
)
def test_a_mistake_refuses_its_runs_only(overrides: list[str], refused: list[int], reason: str) -> None:
    runs = runs_of(*overrides)
    assert [number for number, run in enumerate(runs) if isinstance(run, RefusedRun)] == refused
    assert all(reason in reason_of(run.error) for run in runs if isinstance(run, RefusedRun))
    assert {run.folder.parent for run in runs} == {Path("outputs/s")}


def test_a_run_has_nothing_of_the_run_before_it() -> None:
    lines = {"a": ["optimizer.lr=0.5"], "b": ["seed=3"], "c": ["optimizer.lr=oops"], "d": ["seed=4"]}
    runs = composed("name=s").compose({name: parsed("name=s", *further) for name, further in lines.items()})
    values = [run.config.optimizer.lr if isinstance(run, ComposedRun) else "refused" for run in runs]
    assert values == [0.5, "auto", "refused", "auto"]


@pytest.mark.parametrize(
    ("typed", "folder"),
    [
        ([], None),
        (["hydra.sweep.dir='it\\'s with, 100%'"], "it's with, 100%"),
        (["name=n-${seed}", "seed=1,2"], "outputs/n-0"),
        (["hydra.sweep.dir=outputs/n-${seed}", "seed=1,2"], "outputs/n-0"),
    ],
)
def test_any_folder_can_be_a_sweeps_even_if_it_depends_on_a_run(typed: list[str], folder: str | None) -> None:
    sweep = composed("optimizer=sgd,adam", *typed)
    runs = [run for run in sweep.compose(grid(sweep.overrides)) if isinstance(run, ComposedRun)]
    assert {run.folder.parent for run in runs} == {sweep.root} == {Path(folder or sweep.root)}
    assert folder or len({run.config.name for run in runs}) == 1  # which is the time


def test_the_grid() -> None:
    runs = grid(parsed("seed=range(2)", "optimizer.lr=0.1,0.2", "model.hidden=[8,8]"))
    assert {name: lines_of(run) for name, run in runs.items()} == {
        f"lr={lr},seed={seed}": [f"seed={seed}", f"optimizer.lr={lr}", "model.hidden=[8,8]"]
        for seed in (0, 1)
        for lr in (0.1, 0.2)
    }


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("seed=range(0)", r"seed: has no values \(found range\(0\)\)\n.*seed=range\(4\)"),
        ("seed=1,1", "seed=1: two runs have the same folder"),
        ("seed=range(400) threads=range(1,400)", "seed, threads: more than 100,000 runs"),
        ("hydra.launcher.workers=1,2", "hydra.launcher.workers: cannot be swept"),
        ("sed=1", r"sed: unknown key\n  did you mean seed\?"),
        ("data=synthetic data.features={a:1}", "data.features: "),
        ("hydra/launcher=basic", "hydra/launcher: is not supported"),
        ("hydra/sweeper=basic", "hydra/sweeper: is not supported"),
        ("hydra.sweep.subdir=a", "hydra.sweep.subdir: is not supported"),
    ],
)
def test_what_no_run_can_be_made_of_is_refused(compose: Compose, overrides: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(plain(compose(next(iter(grid(parsed(*overrides.split())).values())))))


def test_two_texts_do_not_become_one_name() -> None:
    paths = ("a b", "a/b", "a_b", "x" * 200, "x" * 201, "字" * 100)
    names = {folder_name(parsed(f"data.path={quoted(path)}")) for path in paths}
    assert len(names) == len(paths)
    assert all(len(name.encode()) < 140 and "/" not in name for name in names)


def test_no_command_is_shown_for_a_winner_that_needs_a_fold() -> None:
    """A file of the user's may set one that the folds of the sweep do not have."""
    sweep, shared = composed("name=s"), ("data/split=kfold", "data.split.folds=3", "seed=1")
    without, with_fold = parsed(*shared, "data.split.fold=7"), parsed(*shared, "data.split.fold=2")
    assert how_to_train(sweep.compose, without, DataCache()) == []
    assert "or with ensemble=8 as an ensemble" in how_to_train(sweep.compose, with_fold, DataCache())[0]
    line, command = how_to_train(sweep.compose, parsed("seed=1", "ensemble=3"), DataCache())
    assert line == "To train the best again:"
    assert command.endswith("seed=1 ensemble=3")
