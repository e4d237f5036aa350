"""Training from Python: the same as by commands, in a process that stays as it was."""

import gc
import logging
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import polars as pl
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from support import Command, process

import mlplab
from mlplab.api.training import process_as_before
from mlplab.data import synthetic
from mlplab.errors import Interrupted
from mlplab.sweeps.engines.worker import train_stack

pytestmark = pytest.mark.usefixtures("full_speed", "quick_images")

FRAME = synthetic.draw("friedman1", rows=60, features=None, noise=0.5, seed=5)
SMALL: dict[str, Any] = {"model": {"hidden": [8, 8]}, "trainer": {"max_epochs": 3}}
SMALL |= {"data": {"batch_size": 16}, "baselines": ["linear"], "ensemble": 1, "progress": False}
WORDS = ("model.hidden=[8,8]", "trainer.max_epochs=3", "data.batch_size=16", "baselines=[linear]")
TOO_FAST = SMALL | {"optimizer": {"lr": 1e9}, "scheduler": "constant"}


def scores(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metrics.items() if "seconds" not in name}


@pytest.fixture(scope="module")
def run(quick_images: None) -> mlplab.FinishedRun:
    return mlplab.train(FRAME, "target", **SMALL | {"figures": "all"})


def test_a_frame_is_as_its_file(run: mlplab.FinishedRun, command: Command, tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "t.parquet")
    assert command("data.path=t.parquet", "data.target=target", "name=a", *WORDS, "ensemble=1").status == 0
    of_command = mlplab.load(tmp_path / "outputs/a")
    assert scores(of_command.metrics) == scores(run.metrics)
    np.testing.assert_array_equal(of_command.predict(FRAME), run.predict(FRAME))
    by_path = mlplab.train(tmp_path / "t.parquet", "target", overrides=[*WORDS, "ensemble=1"], progress=False)
    assert scores(by_path.metrics) == scores(run.metrics)
    assert by_path.config["data"]["path"].endswith("t.parquet")


def test_test_rows_are_found_again_by_their_identifiers() -> None:
    names = [None if row == 7 else f"flat {row * 7919 % 1000}" for row in range(len(FRAME))]
    frame = FRAME.with_columns(pl.Series("flat", names), row=pl.int_range(5, 5 + len(FRAME)))
    rows = mlplab.train(frame, "target", **SMALL).test_predictions
    assert rows.columns[:4] == ["data row", "flat", "row", "target"]
    found = frame[rows["data row"].to_numpy() - 1]
    assert rows["flat", "row", "target"].equals(found["flat", "row", "target"])


def test_a_run_has_everything_that_its_folder_holds(run: mlplab.FinishedRun, tmp_path: Path) -> None:
    assert run.history["epoch"].to_list() == [1, 2, 3]
    assert run.metrics["linear_share"] > 0
    assert run.history["val/mae"].min() > run.metrics["val/mae"]  # before the share is chosen
    rows = run.test_predictions
    inputs = FRAME[rows["row"].to_numpy() - 1]
    np.testing.assert_allclose(run.predict(inputs), rows["prediction"])
    assert run.evaluate()["test/rmse"] == run.metrics["test/rmse"]
    assert run.evaluate(FRAME)["rows"] == len(rows)  # the others took part in training
    assert set(run.importance()["column"]) == set(run.schema.names)
    assert "predicted_vs_actual" in run.figures
    assert run.config["data"]["name"] == "frame"
    assert "run folder: none; run.save(path) writes one" in repr(run)
    assert "<svg" in run._repr_html_()
    copy = mlplab.load(run.save(tmp_path / "copy"))
    with pytest.raises(mlplab.UserError, match="exists"):
        run.save(tmp_path / "copy")
    with pytest.raises(mlplab.UserError, match="is a frame in memory"):
        copy.evaluate()
    assert copy.evaluate(FRAME)["linear/test/rmse"] == run.metrics["linear/test/rmse"]
    FRAME.write_csv(tmp_path / "t.csv")
    assert copy.evaluate(tmp_path / "t.csv")["test/rmse"] == run.metrics["test/rmse"]
    with pytest.raises(mlplab.UserError, match="is a path, and no frame"):
        copy.predict("t.csv")


def test_what_fails_leaves_no_temporary_folder_and_no_sweep_what_has_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(mlplab.RunFailed, match="try a lower optimizer"):
        mlplab.train(FRAME, "target", **TOO_FAST)
    with pytest.raises(mlplab.RunFailed, match="2 of 2 runs failed"):
        mlplab.sweep(FRAME, "target", seeds=2, **TOO_FAST)
    assert not list(tmp_path.iterdir())
    keys = SMALL | {"scheduler": "constant"}
    found = mlplab.sweep(FRAME, "target", grid={"optimizer.lr": [1e-3, 1e9]}, **keys)
    assert found.results["not done"].to_list() == [None, "1 diverged"]
    assert "1 of 2 runs failed; lr=1000000000.0: diverged" in caplog.text


def test_a_temporary_sweep_lives_as_long_as_its_best_run(tmp_path: Path) -> None:
    found = mlplab.sweep(FRAME, "target", grid={"model.activation": ["relu", "elu"], "seed": [3, 4]}, **SMALL)
    assert found.results["runs"].to_list() == [2, 2]
    folder, best, saved = found.folder, found.best, found.save(tmp_path / "saved")
    del found
    gc.collect()
    assert best.predict(FRAME).shape == (60,)
    assert "run folder: temporary" in repr(best)
    del best
    gc.collect()
    assert not folder.exists()
    assert len(mlplab.load(saved, "all").runs) == 4  # type: ignore[union-attr]


def state_of_the_process() -> dict[str, Any]:
    loggers = [logging.getLogger(name) for name in ("", "mlplab", "mlplab.data.infer")]
    return {
        "random": (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()),
        "threads": torch.get_num_threads(),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "logging": [(logger.level, list(logger.handlers), logger.disabled) for logger in loggers],
        "warnings": list(warnings.filters),
        "hydra": GlobalHydra.instance().hydra,
        "resolver": OmegaConf.create({"of_user": "${command:}"}).of_user,
        "optuna": optuna.logging.get_verbosity(),
        "garbage": (gc.isenabled(), gc.get_freeze_count() > 0),
        "flushed": sys.float_info.min / 2 == 0,
    }


@pytest.fixture
def unusual_process() -> Iterator[None]:
    """A process in which a user has changed what can be changed."""
    logging.getLogger("mlplab.data.infer").setLevel(logging.CRITICAL)
    OmegaConf.register_new_resolver("command", lambda: 42, replace=True)
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.DEBUG)
    torch.set_flush_denormal(True)
    gc.disable()
    with warnings.catch_warnings(action="error", category=BytesWarning):
        yield
    gc.enable()
    torch.set_flush_denormal(False)
    optuna.logging.set_verbosity(verbosity)
    OmegaConf.clear_resolver("command")
    logging.getLogger("mlplab.data.infer").setLevel(logging.NOTSET)


@pytest.mark.parametrize("use", ["", pytest.param("(trainer={'max_epochs': 1})", marks=pytest.mark.slow)])
def test_the_first_use_in_a_process_leaves_its_random_numbers(tmp_path: Path, use: str) -> None:
    """In a process of its own: here, the types that tests check at run time draw some."""
    code = f"import random, mlplab; b = random.getstate(); mlplab.train{use}; assert random.getstate() == b"
    assert process(["-c", code], tmp_path).status == 0


@pytest.mark.usefixtures("unusual_process")
def test_a_program_of_hydra_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlplab.commands.results.MOST_TRIALS", 1)  # a search lists all
    (tmp_path / "own.yaml").write_text("answer: 42")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        before = state_of_the_process()
        mlplab.train(FRAME, "target", **SMALL | {"threads": torch.get_num_threads() + 1}).evaluate()
        space = {"optimizer.lr": "interval(0.001,0.1)"}
        found = mlplab.search(FRAME, "target", trials=2, space=space, **SMALL)
        assert ("test/rmse" in found.best.metrics, found.results.height) == (True, 2)
        assert state_of_the_process() == before
        assert compose("own").answer == 42


def test_other_threads_may_use_hydra_while_a_sweep_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[bool] = []

    def during(*arguments: Any) -> None:
        states.append(GlobalHydra.instance().is_initialized())
        other = threading.Thread(target=mlplab.describe, args=(FRAME,))
        other.start()
        other.join(60)
        states.append(other.is_alive())
        train_stack(*arguments)

    monkeypatch.setattr("mlplab.sweeps.launch.train_stack", during)
    mlplab.sweep(FRAME, "target", seeds=2, **SMALL)
    assert states == [False, False]


def test_a_signal_ends_training_and_reaches_the_handler_of_the_user() -> None:
    received: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        with pytest.raises(KeyboardInterrupt), process_as_before():
            raise Interrupted("after epoch 3", signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert received == [signal.SIGTERM]


def test_threads_take_turns_and_give_the_same_bits(run: mlplab.FinishedRun) -> None:
    with ThreadPoolExecutor(2) as threads:
        same, other = threads.map(lambda seed: mlplab.train(FRAME, "target", seed=seed, **SMALL), (0, 1))
    assert scores(same.metrics) == scores(run.metrics) != scores(other.metrics)
    assert not GlobalHydra.instance().is_initialized()


def test_a_run_on_a_frame_is_resumed_with_the_same_frame_only(tmp_path: Path) -> None:
    folder, longer = tmp_path / "r", {"trainer": {"max_epochs": 6}}
    keys = SMALL | {"scheduler": "constant", "logger": [], "figures": "none"}
    short = mlplab.train(FRAME, "target", folder=folder, **keys)
    with pytest.raises(mlplab.UserError, match="train with logger=tensorboard"):
        _ = short.history
    assert short.folder == folder
    assert f"run folder: {folder}" in repr(short)
    with pytest.raises(mlplab.UserError, match="has changed since training"):
        mlplab.train(FRAME.reverse(), resume=folder, progress=False, **longer)
    with pytest.raises(mlplab.UserError, match="is a frame in memory"):
        mlplab.train(resume=folder, progress=False, **longer)
    with pytest.raises(mlplab.UserError, match="folder: is that of the resumed run"):
        mlplab.train(FRAME, resume=folder, folder=tmp_path / "other", **longer)
    resumed = mlplab.train(FRAME, resume=folder, progress=False, **longer)
    whole = mlplab.train(FRAME, "target", **keys | longer)
    assert scores(resumed.metrics) == scores(whole.metrics)


def test_a_sweep_has_results_a_best_run_and_ensembles(tmp_path: Path) -> None:
    keys = SMALL | {"grid": {"optimizer.lr": [1e-3, 1e-2]}, "seeds": 2, "folder": tmp_path / "s"}
    found = mlplab.sweep(FRAME, "target", **keys)
    assert found.results["runs"].to_list() == [2, 2]
    assert set(found.results["optimizer.lr"]) == {1e-3, 1e-2}
    runs = sorted(found.folder.glob("lr=*"))
    assert [path.name for path in runs] == [f"lr={lr},seed={seed}" for lr in (0.001, 0.01) for seed in (0, 1)]
    best = found.best
    assert best.metrics["val/mae"] == min(mlplab.load(path).metrics["val/mae"] for path in runs)
    assert best.evaluate()["test/rmse"] == best.metrics["test/rmse"]
    assert found.ensemble(2).predict(FRAME).shape == (60,)
    assert mlplab.sweep(FRAME, "target", **keys).results.equals(found.results)
    with pytest.raises(mlplab.UserError, match="seed: is given twice"):
        mlplab.sweep(FRAME, "target", **keys | {"grid": {"seed": [1, 2]}, "seeds": np.int64(2)})


@pytest.mark.parametrize(
    ("table", "keys", "message"),
    [
        (FRAME, {"target": np.arange(59)}, "another number of rows than the frame"),
        (FRAME, {"target": FRAME["x1"]}, "has the name of a column, 'x1'"),
        (3, {}, "is not a table, but of type int"),
        (FRAME, {"traget": "target"}, "did you mean target="),
        (FRAME, {"name": "a"}, "use folder="),
        (FRAME, {"logger": "wandb"}, "logger=wandb: needs a folder"),
        (FRAME, {"overrides": "seed=1"}, r"write overrides=\['seed=1'\]"),
        ("t.csv", {"target": [1, 2]}, "is given as values, and the table as a path"),
        (FRAME, {"data": {"target": "y"}}, r"found .*data\.target=target and .*data\.target=y"),
        (FRAME, {"sweep": {"trials": 3}}, r"sweep\.trials=3: is for a sweep"),
        (FRAME, {"data": {"columns": {"a b": "?"}}}, r"a b: '\?' is not a kind"),
    ],
)
def test_mistakes_are_explained(table: Any, keys: dict[str, Any], message: str) -> None:
    keys = {"progress": False, **({} if "traget" in keys else {"target": "target"}), **keys}
    with pytest.raises(mlplab.UserError, match=message) as error:
        mlplab.train(table, **keys)
    assert isinstance(error.value, ValueError)
    assert len(str(error.value).splitlines()) <= 3
