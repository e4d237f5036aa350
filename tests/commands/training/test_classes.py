"""The commands on tables whose target is a class."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from commands.mistakes import Command
from commands.people import people
from sklearn.metrics import balanced_accuracy_score, confusion_matrix
from support import assert_short_answer, events_of, metrics_of, train_into

import mlplab
from mlplab.config.metrics import CLASSIFICATION
from mlplab.runs.compare.ranking import select_runs

TABLE = ("data=csv", "data.path=t.csv", "data.target=bought", "data.batch_size=32", "model.hidden=[8]")
TABLE += ("model.linear_path=false", "ensemble=1")
SMALL = (*TABLE, "baselines=[]", "trainer.max_epochs=4")
RUN = Path("outputs/r")
COLUMNS = ("size", "colour", "day", "member", "bought")
FRAME = people().select(COLUMNS)
MARKS = np.digitize(np.nan_to_num(FRAME["size"].to_numpy()), [-0.8, 0.6]) + 1


@pytest.fixture(autouse=True)
def table(tmp_path: Path) -> None:
    FRAME.write_csv(tmp_path / "t.csv")


def cells_of(printed: str, row: str) -> list[str]:
    """The cells of a row of a table, after its name."""
    [line] = [line for line in printed.splitlines() if line.startswith(f"│ {row} ")]
    return [cell.strip() for cell in line.strip("│").split("│")][1:]


def scores_of(content: dict[str, Any], prefix: str = "test/") -> dict[str, float]:
    return {name: content[f"{prefix}{name}"] for name in CLASSIFICATION}


def test_a_run_says_what_it_predicts_and_how_well(succeed: Command) -> None:
    ended = succeed("train", *TABLE, "trainer.max_epochs=4", "name=r")
    assert "t.csv: 240 rows, 4 columns → bought (binary: 'no', 'yes'); train 168, val 36, " in ended.out
    for row in ("this network", "gradient", "logistic", "class shares"):
        assert any(line.startswith(f"│ {row}") for line in ended.out.splitlines()), row
    metrics = metrics_of(RUN)
    for prefix in ("val/", "test/", *(f"{name}/test/" for name in ("boosting", "linear", "constant"))):
        assert all(np.isfinite(value) for value in scores_of(metrics, prefix).values())
    assert (metrics["threshold"], metrics["temperature"] > 0) == (0.5, True)
    config, schema = yaml.safe_load((RUN / "config.yaml").read_text()), metrics_of(RUN, "schema")
    chosen = (config["task"], config["loss"]["name"], config["monitor"])
    assert chosen == ("auto", "cross_entropy", "val/log_loss")
    assert (schema["classes"], schema["class_kind"]) == (["no", "yes"], "text")


def test_rows_without_a_target_and_with_weights_are_evaluated(succeed: Command) -> None:
    rows = pl.int_range(pl.len())
    FRAME.with_columns(bought=pl.when(rows % 9 > 0).then("bought"), w=rows % 3).write_csv("t.csv")
    words = ("data.weight=w", "data.missing_target=drop", "data.class_weights=balanced", "name=r")
    succeed("train", *SMALL, *words)
    for more in (("data.path=t.csv", "training_rows=include"), ()):
        succeed("evaluate", "run=outputs/r", *more)
    assert scores_of(metrics_of(RUN, "evaluation")) == scores_of(metrics_of(RUN))


def test_predict_adds_the_label_and_the_probability_of_each(succeed: Command, run_script: Command) -> None:
    new = people(seed=1).select(COLUMNS[:-1])  # also gaps
    new.write_csv("n.csv")
    words = (*SMALL[:-1], "trainer.max_epochs=20", "optimizer.lr=0.02")
    train_into(Path("s"), [*words, "seed=0"], [*words, "seed=1"])
    run = mlplab.load("s")
    predict = ("predict", "run=s", "input=n.csv", "output=o.csv", "overwrite=true")
    for threshold in (0.5, 0, 0.25, 1):
        assert "warning" not in succeed(*predict, f"threshold={threshold}").err
        found = pl.read_csv("o.csv")
        assert found.columns == [*new.columns, "prediction", "probability_no", "probability_yes"]
        np.testing.assert_array_equal(found[:, -2:].to_numpy(), run.predict_proba(new))
        assert ((found["prediction"] == "yes") == (found["probability_yes"] >= threshold)).all()
    refused = "threshold: invalid value (found '1.5', expected less than or equal to 1"
    assert_short_answer(run_script(*predict, "threshold=1.5"), [refused])
    new.with_columns(bought=pl.lit("maybe")).write_csv("n.csv")
    said = "target column 'bought', line 2, data row 1: a value is not as in training; 240 such cells"
    unseen = (said, "found 'maybe', expected one of 'no', 'yes'")
    assert_short_answer(run_script("evaluate", "run=s", "data.path=n.csv"), unseen)


@pytest.mark.parametrize("ensemble", [1, 3])
def test_a_chosen_threshold_decides_everywhere(succeed: Command, ensemble: int) -> None:
    rare = FRAME.with_columns(bought=pl.when(pl.col("size") > 0.8).then("bought").fill_null("no"))
    rare.write_csv("t.csv")
    words = (*TABLE[:-1], "trainer.max_epochs=4", "baselines=[]", f"ensemble={ensemble}")
    succeed("train", "-m", *words, "threshold=0.5,auto", "name=s")
    auto = Path("outputs/s/threshold=auto")
    succeed("evaluate", f"run={auto}")
    metrics, before = metrics_of(auto), metrics_of(auto.with_name("threshold=0.5"))
    assert metrics["threshold"] != 0.5
    assert f"; threshold {metrics['threshold']:.3g}; " in (auto / "train.log").read_text()
    assert (before["threshold"], metrics["threshold_rows"]) == (0.5, "val" if ensemble == 1 else "oof")
    assert scores_of(metrics, "val/") == scores_of(before, "val/")  # not by what has seen these rows
    unchanged = ("log_loss", "auroc", "average_precision", "calibration_error")
    assert [metrics[f"test/{name}"] for name in unchanged] == [before[f"test/{name}"] for name in unchanged]
    written = pl.read_csv(auto / "test_predictions.csv")
    assert ((written["prediction"] == "yes") == (written["probability_yes"] >= metrics["threshold"])).all()
    score = balanced_accuracy_score(written["bought"], written["prediction"])
    assert metrics["test/balanced_accuracy"] == pytest.approx(score)
    evaluation = metrics_of(auto, "evaluation")
    assert scores_of(evaluation) == scores_of(metrics)
    expected = confusion_matrix(written["bought"], written["prediction"])
    assert evaluation["confusion"] == expected.tolist()
    other = mlplab.load(auto.with_name("threshold=0.5"))  # the same networks
    with pytest.raises(mlplab.UserError, match=r"threshold: invalid value \(found 1.5, expected less than"):
        other.evaluate(threshold=1.5)
    assert other.evaluate(threshold=metrics["threshold"]) == evaluation | {"threshold": metrics["threshold"]}
    assert scores_of(other.evaluate()) == scores_of(before)
    ended = succeed("evaluate", "run=outputs/s", "runs=all", f"threshold={metrics['threshold']}")
    assert f" test rows: {len(written)} rows, threshold {metrics['threshold']:g}\n" in ended.out
    together = metrics_of(auto.parent, "evaluation")
    for model in ("runs", "ensemble"):
        assert scores_of(together, f"{model}/test/") == pytest.approx(scores_of(metrics)), model
    assert (together["confusion"], together["threshold"]) == (expected.tolist(), metrics["threshold"])
    run, new = mlplab.load(auto).model, people(seed=1).select(COLUMNS)
    assert (run.predict(new) == "yes").tolist() == (run.predict_proba(new)[:, 1] >= run.threshold).tolist()
    assert mlplab.load(auto.parent, "all").threshold == pytest.approx((0.5 + run.threshold) / 2)


def test_whole_numbers_may_be_classes_but_need_no_threshold(succeed: Command, run_script: Command) -> None:
    FRAME.with_columns(bought=MARKS).write_csv("t.csv")
    for name, task, found in (("n", "regression", "a number as target"), ("m", "multiclass", "3 classes")):
        succeed("train", *SMALL[:-1], "trainer.max_epochs=1", f"task={task}", f"name={name}")
        predict = ("predict", f"run=outputs/{name}", "input=t.csv", f"output={name}.parquet")
        refused = f"threshold=0.5: has a meaning only for two classes (found {found})"
        for command in (predict, ("evaluate", f"run=outputs/{name}")):
            assert_short_answer(run_script(*command, "threshold=0.5"), [refused])
        succeed(*predict)
    predicted = pl.read_parquet("m.parquet")
    assert predicted.columns[-4:] == ["prediction", *(f"probability_{mark}" for mark in (1, 2, 3))]
    assert set(predicted["prediction"]) <= {1, 2, 3}
    with pytest.raises(mlplab.errors.UserError, match="have no probabilities"):
        mlplab.load("outputs/n").predict_proba(FRAME)


def test_a_class_that_the_test_set_lacks_has_no_score(succeed: Command, tmp_path: Path) -> None:
    words = np.array(["train"] * 160 + ["val"] * 40 + ["test"] * 40)
    words[(FRAME["bought"] == "no").to_numpy() & (words == "test")] = "train"
    (tmp_path / "parts.txt").write_text("\n".join(words))
    ended = succeed("train", *SMALL, "data/split=file", "data.split.path=parts.txt", "name=r")
    assert "warning: the test set has no row of 'no': it does not count" in ended.out
    metrics, undefined = metrics_of(RUN), ("auroc", "average_precision")
    assert {metrics[f"test/{name}"] for name in undefined} == {None}
    assert all(np.isfinite(metrics[f"test/{name}"]) for name in CLASSIFICATION if name not in undefined)
    printed = succeed("evaluate", "run=outputs/r").out
    assert cells_of(printed, "this network")[4] == "–"
    is_yes = pl.read_csv(RUN / "test_predictions.csv")["prediction"] == "yes"
    counts = [str(count) for count in ((~is_yes).sum(), is_yes.sum(), len(is_yes))]
    assert cells_of(printed, "yes") == [*counts[:2], "1.0000", f"{is_yes.mean():.4f}", counts[2]]
    assert cells_of(printed, "no")[-2:] == ["–", "0"]


def test_the_highest_accuracy_is_the_best(succeed: Command) -> None:
    words = ("monitor=val/accuracy", "trainer.max_epochs=15", "callbacks.early_stopping.patience=3")
    succeed("train", "-m", *SMALL[:-1], *words, "optimizer.lr=1e-6,0.02", "seed=0,1", "name=s")
    sweep, accuracy = Path("outputs/s"), dict[str, float]()
    for run in sweep.glob("lr=*"):
        metrics, events = metrics_of(run), events_of(run)
        curve = [point.value for point in events.Scalars("val/accuracy")]
        best = [point.value for point in events.Scalars("val/accuracy_best")]
        assert best == np.maximum.accumulate(curve).tolist()
        assert metrics["best_epoch"] == 1 + int(np.argmax(curve))
        assert metrics["val/accuracy"] == pytest.approx(max(curve))
        assert len(curve) in (15, metrics["best_epoch"] + 3)
        accuracy[run.name] = metrics["val/accuracy"]
    rows = succeed("results", "outputs/s", "--format", "csv").out.splitlines()
    assert [row.split(",")[1] for row in rows] == ["optimizer.lr", "0.02", "1e-06"]
    assert rows[0].split(",")[5] == "val/accuracy"
    [chosen] = select_runs(sweep, 1)
    assert accuracy[chosen.name] == max(accuracy.values())
    assert {path.name.partition(",")[0] for path in select_runs(sweep)} == {"lr=0.02"}
