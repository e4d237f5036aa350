import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from contracts import assert_close
from support import ROOT, resolved, train_into

from mlplab.commands.arguments import Evaluate
from mlplab.commands.evaluate import evaluate
from mlplab.config.allowed_classes import VARIABLE
from mlplab.data.cache import DataCache
from mlplab.runs import checkpoint
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.callbacks.best_weights import BestWeights, epoch_voters
from mlplab.training.callbacks.stopping import StopOnSignal
from mlplab.training.fit import Observer, StackTrainer
from mlplab.training.members import Members, Progress
from mlplab.training.run import Run, member_configs
from mlplab.training.scoring.scores import Task, scores
from mlplab.training.trainer import lightning_quiet

pytestmark = pytest.mark.usefixtures("full_speed")

RUN = ["model.hidden=[8,8]", "model.dropout=0.1", "trainer.max_epochs=4"]
RUN += ["logger=[]", "baselines=[]", "seed=3"]
NUMBERS = ["data=synthetic", "data.rows=90", "data.noise=1", "data.batch_size=16", *RUN]
CLASSES = ["data=penguins", *RUN]
SEVERAL = "model.activation=[tanh,relu]"


@pytest.mark.parametrize("run", [NUMBERS, CLASSES], ids=["numbers", "classes"])
def test_a_member_trains_as_that_network_alone_with_the_same_rows(tmp_path: Path, run: list[str]) -> None:
    """At the end of training: which epoch is the best is another matter."""
    cache, overrides = DataCache(), [*run, "ensemble=4"]
    train_into(tmp_path / "ensemble", overrides)
    together = checkpoint.load(tmp_path / "ensemble/0/checkpoints/last.ckpt")["state"]
    ensemble = resolved(*overrides, cache=cache)
    members = zip(member_configs(ensemble), cache.data(ensemble).members, strict=True)
    for number, (of_member, data) in enumerate(members):
        words = np.full(len(data.table.x), "train", dtype=object)
        words[data.split.val], words[data.split.test] = "val", "test"
        (tmp_path / "split.txt").write_text("\n".join(words))
        alone = [f"data.split.path={tmp_path / 'split.txt'}", f"data.batch_size={ensemble.data.batch_size}"]
        alone += [f"seed={of_member.seed}", f"model.activation={of_member.model.activation}"]
        train_into(tmp_path / f"{number}", [*run, "data/split=file", *alone])
        own = checkpoint.load(tmp_path / f"{number}/0/checkpoints/last.ckpt")["state"]
        assert_close({key: values[[number]] for key, values in together.items()}, own, 0)


def test_one_network_is_no_ensemble(tmp_path: Path) -> None:
    one, none = train_into(tmp_path, [*NUMBERS, "ensemble=1"])[0], train_into(tmp_path / "b", NUMBERS)[0]
    assert one | {"seconds": 0} == none | {"seconds": 0}
    assert "oof/rmse" not in one


@pytest.mark.parametrize(
    ("run", "members"),  # fewer than folds, and two divisions into folds
    [([*NUMBERS, "model.activation=silu"], 3), ([*CLASSES, SEVERAL], 3), ([*NUMBERS, SEVERAL], 13)],
    ids=["one kind", "classes", "two kinds and divisions"],
)
def test_the_scores_are_those_of_mean_predictions(tmp_path: Path, run: list[str], members: int) -> None:
    overrides = [*run, f"ensemble={members}"]
    [metrics] = train_into(tmp_path, overrides)
    data, trained = DataCache().data(resolved(*overrides)), TrainedRun.read(tmp_path / "0")
    table, test, classes = data.table, data.split.test, len(data.table.schema.classes)
    with torch.inference_mode():
        predicted = trained.network(torch.from_numpy(table.x).expand(members, -1, -1)).numpy()
    held_out = np.zeros(predicted.shape[:2], bool)
    for member, of_member in enumerate(data.members):
        held_out[member, of_member.split.val] = True
    weights = np.ones(members)
    if SEVERAL in run and not classes:
        errors = [np.abs(each - table.y)[rows].mean() for each, rows in zip(predicted, held_out, strict=True)]
        first = np.arange(members) * 2 < members
        for group in (first, ~first):
            weights[group] = np.mean(np.array(errors)[group]) ** -4 / group.sum()
        for group, name in ((first, "tanh"), (~first, "relu")):
            assert metrics[f"weight/{name}"] == pytest.approx(weights[group].sum() / weights.sum(), rel=1e-6)
    mean, task = np.average(predicted[:, test], 0, weights), Task(classes)
    rows = np.flatnonzero(held_out.any(0))
    assert not held_out[:, test].any()
    of_rows = np.stack([predicted[held_out[:, row], row].mean(0) for row in rows])
    out_of_fold = scores(of_rows, table.y[rows], None, task)
    each = [scores(of_member[test], table.y[test], None, task) for of_member in predicted]
    for name, expected in scores(mean, table.y[test], None, task).items():
        assert metrics[f"test/{name}"] == pytest.approx(expected, rel=1e-6)
        assert metrics[f"val/{name}"] == metrics[f"oof/{name}"] == pytest.approx(out_of_fold[name], rel=1e-9)
        assert metrics[f"members/test/{name}"] == pytest.approx(np.mean([s[name] for s in each]), rel=1e-5)
    written = pl.read_csv(tmp_path / "0/test_predictions.csv")
    column = "probability_Adelie" if classes else "prediction"
    np.testing.assert_allclose(written[column], mean[:, 0], rtol=1e-6)


@pytest.mark.parametrize("split", ["time", "group"])
def test_errors_of_groups_and_periods_are_not_compared(tmp_path: Path, split: str) -> None:
    rows, path = np.arange(90), tmp_path / "t.csv"
    pl.DataFrame({"x": np.sin(rows), "part": rows // 4, "y": np.sin(rows) + rows % 3}).write_csv(path)
    table = ["data=csv", f"data.path={path}", "data.target=y", f"data/split={split}"]
    train_into(tmp_path, [*table, f"data.split.{split}=part", *RUN, SEVERAL, "ensemble=4"])
    assert set(TrainedRun.read(tmp_path / "0").member_weights) == {0.25}


def test_several_targets_have_scores_of_their_own(tmp_path: Path) -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 80))
    pl.DataFrame({"a": a, "b": b, "y": a + b, "z": 9 * a}).write_csv(path := tmp_path / "t.csv")
    table = ["data=csv", f"data.path={path}", "data.target=[y,z]"]
    [metrics] = train_into(tmp_path, [*table, *RUN, "ensemble=2"])
    assert metrics["test/rmse"] == pytest.approx((metrics["test/rmse/y"] + metrics["test/rmse/z"]) / 2)
    assert metrics["oof/mae/z"] > 2 * metrics["oof/mae/y"]
    again = evaluate(Evaluate(run=str(tmp_path / "0"))).plain()
    assert metrics.items() >= {each for each in again.items() if each[0].startswith("test/")}


@pytest.mark.parametrize("patience", ["null", "4"])
def test_the_others_choose_the_epoch_of_a_member(patience: str) -> None:
    cache, curves = DataCache(), list[np.ndarray]()
    stopping = f"callbacks.early_stopping.patience={patience}"
    run = resolved(*NUMBERS, "ensemble=4", "trainer.max_epochs=30", "optimizer.lr=0.1", stopping, cache=cache)

    class Curves(Observer):
        def on_epoch(self, stack: StackTrainer) -> None:
            curves.append(stack.module.monitored.double().numpy())

    with lightning_quiet():
        trainer = StackTrainer([Run(run, cache.data(run))], [Curves()], StopOnSignal())
        trainer.fit()
    monitored = np.array(curves)
    of_others = (monitored.sum(1, keepdims=True) - monitored) / 3
    for member, epochs in enumerate(trainer.module.members.epochs.tolist()):
        assert trainer.best.epochs[member] == of_others[:epochs, member].argmin() + 1
    assert trainer.best.epochs.tolist() != (monitored.argmin(0) + 1).tolist()


def test_a_mean_without_a_lost_member_is_not_compared_with_one_that_has_it() -> None:
    best = BestWeights(3, ~torch.eye(3, dtype=torch.bool)[None])
    module: Any = SimpleNamespace(members=Members(3, ensemble=3), progress=Progress(steps=1, max_epochs=3))
    module.network = torch.nn.Identity()
    for epoch, values in enumerate(([0.0, 1.0, 1.0], [torch.nan, 2.0, 2.0], [torch.nan, 3.0, 3.0])):
        if epoch == 1:
            module.members.diverged, module.members.active[0] = {0: "the loss became nan"}, False
        module.progress.epoch, module.monitored = epoch + 1, torch.tensor(values, dtype=torch.float64)
        module.values = {"val/mae": module.monitored}
        best.on_epoch(SimpleNamespace(module=module))  # type: ignore[arg-type]
    assert best.epochs.tolist() == [1, 2, 2]


def test_members_that_hold_out_the_same_rows_do_not_choose_each_others_epoch() -> None:
    held_out = [np.array(rows) for rows in ([0, 1], [2, 3], [1, 2], [4], [7], [7])]
    assert epoch_voters(held_out, 3).tolist() == [
        [[False, True, False], [True, False, False], [False, False, False]],
        [[False, True, True], [True, False, False], [True, False, False]],
    ]
    assert epoch_voters(held_out, 1) is None


def test_members_that_diverge_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "tests/faults")
    monkeypatch.setenv(VARIABLE, "troubled.Troubled")
    diverging = ["data=synthetic", "data.rows=60", *RUN[2:]]
    diverging += ["model=custom", "model._target_=troubled.Troubled"]
    caplog.set_level(logging.INFO, "mlplab")
    train_into(tmp_path, [*diverging, "ensemble=4", "+model.lost=[13,14]"])  # the seeds are 12, …, 15
    trained = TrainedRun.read(tmp_path / "0")
    assert (trained.metrics["status"], trained.metrics["members"]) == ("done", 2)
    assert "2 of the 4 networks diverged; the ensemble is made of the others" in caplog.text
    assert trained.member_weights.tolist() == [0.5, 0.5]
    assert np.isfinite([trained.metrics["oof/rmse"], trained.metrics["test/rmse"]]).all()
    [one] = train_into(tmp_path / "one", [*diverging, "ensemble=2", "+model.lost=[7]"])
    assert one["members"] == 1
    assert not any(name.startswith("members/sd/") for name in one)
    [none] = train_into(tmp_path / "none", [*diverging, "ensemble=2", "+model.lost=[6,7]"])
    assert none["status"] == "diverged"
    assert "the loss became nan" in none["reason"]


def test_rows_without_weight_spoil_no_member(tmp_path: Path) -> None:
    rows, path = np.arange(90), tmp_path / "t.csv"
    frame = pl.DataFrame({"x": rows % 7, "g": rows % 9, "w": (rows % 9 > 2) * 1, "y": rows % 7 + rows % 2})
    frame.write_csv(path)
    table = ["data=csv", f"data.path={path}", "data.target=y", "data.weight=w", *RUN, "ensemble=8"]
    [metrics] = train_into(tmp_path, [*table, "data/split=group", "data.split.group=g"])
    assert (metrics["status"], metrics["members"]) == ("done", 8)
