"""The commands on tables whose target is a class."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from commands.mistakes import Mistake, assert_refused, each
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, log_loss
from support import Ended, events_of, train_into

import mlplab
from mlplab.config.metrics import CLASSIFICATION
from mlplab.runs.compare.ranking import select_runs

Command = Callable[..., Ended]
ROWS = 240
TABLE = (
    *("data=csv", "data.path=t.csv", "data.target=bought", "data.batch_size=32", "model.hidden=[8]"),
    *("model.linear_path=false", "ensemble=1"),
)
SMALL = (*TABLE, "baselines=[]", "trainer.max_epochs=4")
LONG = ("trainer.max_epochs=20", "optimizer.lr=0.02")
"""Long enough to learn."""


def people(seed: int = 0, rows: int = ROWS) -> pl.DataFrame:
    """Text, gaps, dates, truth values, and who has bought."""
    draw = np.random.default_rng(seed)
    size, colour = draw.normal(size=rows), np.array(["red", "green", "blue"])[draw.integers(0, 3, rows)]
    chance = 1 / (1 + np.exp(-3 * size - 2 * (colour == "red")))
    frame = pl.DataFrame(
        {
            "size": size,
            "colour": colour,
            "day": np.datetime64("2024-01-01") + draw.integers(0, 300, rows).astype("timedelta64[D]"),
            "member": draw.integers(0, 2, rows).astype(bool),
            "bought": np.where(draw.random(rows) < chance, "yes", "no"),
        }
    )
    return frame.with_columns(
        pl.when(pl.Series(draw.random(rows) > 0.1)).then(name).alias(name) for name in ("size", "colour")
    )


FRAME, NEW = people(), people(seed=1).drop_nulls("size")
MARKS = np.digitize(np.nan_to_num(FRAME["size"].to_numpy()), [-0.8, 0.6]) + 1
"""1, 2 or 3."""


@pytest.fixture(autouse=True)
def table(tmp_path: Path) -> None:
    FRAME.write_csv(tmp_path / "t.csv")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of a sweep."""
    folder = tmp_path_factory.mktemp("trained")
    FRAME.write_csv(folder / "t.csv")
    path, *others = (
        f"data.path={folder / 't.csv'}",
        *TABLE[:1],
        *TABLE[2:],
        *LONG,
        "baselines=[linear,constant]",
    )
    train_into(folder / "s", [path, *others, "seed=0"], [path, *others, "seed=1"])
    return folder / "s"


@pytest.fixture
def here(trained: Path, tmp_path: Path) -> Path:
    """A folder with a run, a sweep and tables."""
    shutil.copytree(trained, tmp_path / "s")
    shutil.copytree(trained / "0", tmp_path / "r")
    NEW.write_csv(tmp_path / "n.csv")
    return tmp_path


def cells_of(printed: str, row: str) -> list[str]:
    """The cells of a row of a table, after its name."""
    [line] = [line for line in printed.splitlines() if line.startswith(f"│ {row} ")]
    return [cell.strip() for cell in line.strip("│").split("│")][1:]


def metrics_of(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return content


def scores_of(content: dict[str, Any], prefix: str = "test/") -> dict[str, float]:
    return {name: content[f"{prefix}{name}"] for name in CLASSIFICATION}


def test_a_run_says_what_it_predicts_and_how_well(command: Command, tmp_path: Path) -> None:
    ended = command(*TABLE, "trainer.max_epochs=4", "name=r")
    assert ended.status == 0, ended
    assert (
        "t.csv: 240 rows, 4 columns → bought (binary: 'no', 'yes'); train 168, val 36, test 36" in ended.out
    )
    assert "  log_loss " in ended.out
    for row in ("this network", "gradient", "logistic", "class shares"):
        assert any(line.startswith(f"│ {row}") for line in ended.out.splitlines()), row
    run = tmp_path / "outputs/r"
    metrics = metrics_of(run)
    for prefix in ("val/", "test/", *(f"{name}/test/" for name in ("boosting", "linear", "constant"))):
        assert all(np.isfinite(value) for value in scores_of(metrics, prefix).values())
    assert metrics["temperature"] > 0
    assert metrics["threshold"] == 0.5
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert (config["task"], config["loss"]["name"], config["monitor"]) == (
        "auto",
        "cross_entropy",
        "val/log_loss",
    )
    schema = json.loads((run / "schema.json").read_text())
    assert (schema["classes"], schema["class_kind"]) == (["no", "yes"], "text")
    events = events_of(run)
    curve = events.Scalars("val/log_loss")
    assert min(curve, key=lambda point: point.value).step == metrics["best_epoch"]
    assert events.Scalars("val/log_loss_best")[-1].value == pytest.approx(metrics["val/log_loss"])


def test_the_test_rows_predictions_give_the_scores(here: Path) -> None:
    predicted = pl.read_csv(here / "r/test_predictions.csv")
    assert predicted.columns == ["row", "bought", "prediction", "probability_no", "probability_yes"]
    assert predicted["bought"].to_list() == FRAME["bought"][(predicted["row"] - 1).to_list()].to_list()
    metrics = metrics_of(here / "r")
    accuracy = accuracy_score(predicted["bought"], predicted["prediction"])
    assert metrics["test/accuracy"] == pytest.approx(accuracy)
    loss = log_loss(predicted["bought"], predicted.select("probability_no", "probability_yes").to_numpy())
    assert metrics["test/log_loss"] == pytest.approx(loss, rel=1e-6)


def test_evaluate_gives_the_figures_of_the_training(run_script: Command, here: Path) -> None:
    ended = run_script("evaluate", "run=r")
    assert ended.status == 0, ended
    found = json.loads((here / "r/evaluation.json").read_text())
    metrics = metrics_of(here / "r")
    for prefix in ("test/", "linear/test/", "constant/test/"):
        assert scores_of(found, prefix) == scores_of(metrics, prefix)
    assert found["test/loss"] == metrics["test/loss"]
    predicted = pl.read_csv(here / "r/test_predictions.csv")
    for label, counts in zip(
        ("no", "yes"), confusion_matrix(predicted["bought"], predicted["prediction"]), strict=True
    ):
        cells = cells_of(ended.out, label)
        assert [*cells[:2], cells[-1]] == [str(count) for count in (*counts, counts.sum())]


def test_rows_without_a_target_and_with_weights_are_evaluated(
    command: Command, run_script: Command, tmp_path: Path
) -> None:
    rows = pl.int_range(pl.len())
    frame = FRAME.with_columns(bought=pl.when(rows % 9 > 0).then("bought"), w=rows % 3)
    frame.write_csv(tmp_path / "t.csv")
    ended = command(
        *SMALL, "data.weight=w", "data.missing_target=drop", "data.class_weights=balanced", "name=r"
    )
    assert ended.status == 0, ended
    frame.filter(rows % 2 == 0).write_csv(tmp_path / "n.csv")
    ended = run_script("evaluate", "run=outputs/r", "data.path=n.csv", "training_rows=include")
    assert ended.status == 0, ended
    metrics = metrics_of(tmp_path / "outputs/r")
    assert run_script("evaluate", "run=outputs/r").status == 0
    assert scores_of(json.loads((tmp_path / "outputs/r/evaluation.json").read_text())) == scores_of(metrics)


def test_predict_adds_the_label_and_the_probability_of_each(run_script: Command, here: Path) -> None:
    new = people(seed=1).drop("bought")  # also gaps
    new.write_csv(here / "n.csv")
    new.write_parquet(here / "n.parquet")
    run = mlplab.load(here / "s")
    expected = run.predict_proba(new)
    for name in ("n.csv", "n.parquet"):
        ended = run_script("predict", "run=s", f"input={name}", f"output=o-{name}")
        assert (ended.status, "warning" in ended.err) == (0, False), ended
        read = pl.read_csv if name == "n.csv" else pl.read_parquet
        found = read(here / f"o-{name}")
        assert found.columns == [*new.columns, "prediction", "probability_no", "probability_yes"]
        probabilities = found.select("probability_no", "probability_yes").to_numpy()
        np.testing.assert_array_equal(probabilities, expected)
        np.testing.assert_allclose(probabilities.sum(1), 1)
        assert found["prediction"].to_list() == run.predict(new).tolist()
        assert set(found["prediction"]) == {"no", "yes"}


def test_a_threshold_moves_the_border(run_script: Command, here: Path) -> None:
    for threshold in (0, 0.25, 0.75, 1):
        arguments = ("run=r", "input=n.csv", "output=o.csv", "overwrite=true", f"threshold={threshold}")
        assert run_script("predict", *arguments).status == 0
        found = pl.read_csv(here / "o.csv")
        assert ((found["prediction"] == "yes") == (found["probability_yes"] >= threshold)).all()


@pytest.mark.parametrize("ensemble", [1, 3])
def test_a_chosen_threshold_decides_everywhere(
    command: Command, run_script: Command, tmp_path: Path, ensemble: int
) -> None:
    rare = FRAME.with_columns(bought=pl.when(pl.col("size") > 0.8).then("bought").fill_null("no"))
    rare.write_csv(tmp_path / "t.csv")
    words = (*TABLE[:-1], "trainer.max_epochs=4", "baselines=[]", f"ensemble={ensemble}")
    assert command("-m", *words, "threshold=0.5,auto", "name=s").status == 0
    half, auto = tmp_path / "outputs/s/threshold=0.5", tmp_path / "outputs/s/threshold=auto"
    assert run_script("evaluate", f"run={auto}").status == 0
    metrics, before = metrics_of(auto), metrics_of(half)
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
    evaluation = json.loads((auto / "evaluation.json").read_text())
    assert scores_of(evaluation) == scores_of(metrics)
    expected = confusion_matrix(written["bought"], written["prediction"])
    assert evaluation["confusion"] == expected.tolist()
    run = mlplab.load(auto).model
    assert (run.predict(NEW) == "yes").tolist() == (run.predict_proba(NEW)[:, 1] >= run.threshold).tolist()
    assert mlplab.load(auto.parent, "all").threshold == pytest.approx((0.5 + run.threshold) / 2)


@pytest.mark.parametrize(
    ("frame", "more", "classes", "name"),
    [
        (FRAME.with_columns(bought=(pl.col("bought") == "yes").cast(pl.Int64)), (), [0, 1], "t.csv"),
        (FRAME.with_columns(bought=pl.col("bought") == "yes"), (), [False, True], "t.parquet"),
        (FRAME.with_columns(bought=MARKS), ("task=multiclass",), [1, 2, 3], "t.csv"),
    ],
    ids=["0 and 1", "booleans", "whole numbers"],
)
def test_labels_are_those_of_the_training_table(
    command: Command,
    run_script: Command,
    tmp_path: Path,
    frame: pl.DataFrame,
    more: tuple[str, ...],
    classes: list[Any],
    name: str,
) -> None:
    frame.write_csv(tmp_path / name) if name == "t.csv" else frame.write_parquet(tmp_path / name)
    train = [word for word in SMALL if not word.startswith("data.path=")]
    assert command(*train, f"data.path={name}", *more, "name=r").status == 0
    assert mlplab.load(tmp_path / "outputs/r").classes.tolist() == classes
    ended = run_script("predict", "run=outputs/r", f"input={name}", "output=o.parquet")
    assert ended.status == 0, ended
    found = pl.read_parquet(tmp_path / "o.parquet")
    assert found["prediction"].dtype == frame["bought"].dtype
    assert set(found["prediction"]) <= set(classes)
    labels = [str(each).lower() for each in classes]
    assert found.columns[-len(classes) :] == [f"probability_{label}" for label in labels]
    written = pl.read_csv(tmp_path / "outputs/r/test_predictions.csv")
    rows = (written["row"] - 1).to_list()
    assert written["bought"].cast(frame["bought"].dtype).to_list() == frame["bought"][rows].to_list()
    np.testing.assert_allclose(written[:, 3:].to_numpy(), found[rows, -len(classes) :].to_numpy(), rtol=1e-6)


UNSEEN = NEW.with_columns(
    bought=pl.when(pl.int_range(pl.len()) < 3).then(pl.lit("maybe")).otherwise("bought")
)
EVALUATE = ("evaluate", "run=r", "data.path=n.csv")
PREDICT = ("predict", "run=r", "input=t.csv", "output=o.csv")
MISTAKES = [
    Mistake(
        "an unseen class",
        lambda here: UNSEEN.write_csv(here / "n.csv"),
        EVALUATE,
        (
            "n.csv, target column 'bought', line 2, data row 1: a value is not as in training; 3 such cells",
            "found 'maybe', expected one of 'no', 'yes'",
        ),
    ),
    Mistake(
        "a missing class",
        lambda here: NEW.with_columns(bought=pl.when(pl.col("member")).then("bought")).write_csv(
            here / "n.csv"
        ),
        EVALUATE,
        ("target column 'bought', line", "a value is missing", "fill it in, or remove such rows"),
    ),
    Mistake(
        "a threshold above 1",
        {},
        (*PREDICT, "threshold=1.5"),
        ("threshold: invalid value (found '1.5', expected less than or equal to 1",),
    ),
]


@each(MISTAKES)
def test_a_mistake_gets_a_short_answer(run_script: Command, here: Path, mistake: Mistake) -> None:
    assert_refused(mistake, here, run_script)


def test_a_threshold_needs_two_classes(command: Command, run_script: Command, tmp_path: Path) -> None:
    for name, task, found in (("n", "regression", "a number as target"), ("m", "multiclass", "3 classes")):
        FRAME.with_columns(bought=MARKS).write_csv(tmp_path / "t.csv")
        assert command(*SMALL[:-1], "trainer.max_epochs=1", f"task={task}", f"name={name}").status == 0
        ended = run_script("predict", f"run=outputs/{name}", "input=t.csv", "output=o.csv", "threshold=0.5")
        assert ended.status == 2
        assert f"threshold=0.5: has a meaning only for two classes (found {found})" in ended.err
    with pytest.raises(mlplab.errors.UserError, match="have no probabilities"):
        mlplab.load(tmp_path / "outputs/n").predict_proba(FRAME)


def test_a_class_run_begins_as_another_ended(command: Command, tmp_path: Path) -> None:
    assert command(*SMALL, "name=a").status == 0
    frozen = ("trainer.max_epochs=1", "optimizer=sgd", "optimizer.lr=1e-30", "optimizer.momentum=0")
    frozen = (*frozen, "data.class_weights=balanced")
    ended = command(*SMALL[:-1], *frozen, "init_from=outputs/a", "name=b")
    assert ended.status == 0, ended
    one, other = (metrics_of(tmp_path / f"outputs/{name}") for name in "ab")
    for name in ("test/accuracy", "test/auroc", "test/log_loss"):
        assert other[name] == pytest.approx(one[name], rel=1e-5)


def test_a_rare_class_has_a_score_without_prediction_sets(
    command: Command, run_script: Command, tmp_path: Path
) -> None:
    classes = np.where(np.arange(ROWS) % 8 == 0, "ALARM", "ok")
    FRAME.with_columns(bought=classes).write_csv(tmp_path / "t.csv")
    for words in (["name=a"], ["name=b", "init_from=outputs/a", "data.split.seed=1"]):
        assert command(*SMALL, "figures=none", *words).status == 0
    people(seed=1).with_columns(bought=classes).write_csv(tmp_path / "n.csv")
    assert run_script("evaluate", "run=outputs/b", "data.path=n.csv").status == 0
    evaluation = json.loads((tmp_path / "outputs/b/evaluation.json").read_text())
    for scores in (metrics_of(tmp_path / "outputs/b"), evaluation):
        names = {name.partition("/")[2] for name in scores}
        assert "average_precision/ALARM" in names
        assert "coverage_0.9" not in names


def test_a_class_that_the_test_set_lacks_has_no_score(
    command: Command, run_script: Command, tmp_path: Path
) -> None:
    words = np.array(["train"] * 160 + ["val"] * 40 + ["test"] * 40)
    words[(FRAME["bought"] == "no").to_numpy() & (words == "test")] = "train"
    (tmp_path / "parts.txt").write_text("\n".join(words))
    ended = command(*SMALL, "data/split=file", "data.split.path=parts.txt", "name=r")
    assert ended.status == 0, ended
    assert "warning: the test set has no row of 'no': it does not count" in ended.out
    metrics = metrics_of(tmp_path / "outputs/r")
    undefined = ("auroc", "average_precision")
    assert {metrics[f"test/{name}"] for name in undefined} == {None}
    assert all(np.isfinite(metrics[f"test/{name}"]) for name in CLASSIFICATION if name not in undefined)
    ended = run_script("evaluate", "run=outputs/r")
    assert ended.status == 0, ended
    assert cells_of(ended.out, "this network")[4] == "–"
    correct = [
        each == "yes" for each in pl.read_csv(tmp_path / "outputs/r/test_predictions.csv")["prediction"]
    ]
    recall = f"{np.mean(correct):.4f}"
    assert cells_of(ended.out, "yes") == [
        str(correct.count(False)),
        str(sum(correct)),
        "1.0000",
        recall,
        f"{len(correct)}",
    ]
    assert cells_of(ended.out, "no")[-2:] == ["–", "0"]


def test_the_highest_accuracy_is_the_best(command: Command, run_script: Command, tmp_path: Path) -> None:
    words = ("monitor=val/accuracy", "trainer.max_epochs=15", "callbacks.early_stopping.patience=3")
    sweep = ("-m", *SMALL[:-1], *words, "optimizer.lr=1e-6,0.02", "seed=0,1", "name=s")
    ended = command(*sweep)
    assert ended.status == 0, ended
    runs = {run.name: run for run in (tmp_path / "outputs/s").glob("lr=*")}
    for run in runs.values():
        metrics, events = metrics_of(run), events_of(run)
        curve = [point.value for point in events.Scalars("val/accuracy")]
        best = [point.value for point in events.Scalars("val/accuracy_best")]
        assert best == np.maximum.accumulate(curve).tolist()
        assert metrics["best_epoch"] == 1 + int(np.argmax(curve))
        assert metrics["val/accuracy"] == pytest.approx(max(curve))
        assert len(curve) in (15, metrics["best_epoch"] + 3)
    rows = run_script("results", "outputs/s", "--format", "csv").out.splitlines()
    assert [row.split(",")[1] for row in rows] == ["optimizer.lr", "0.02", "1e-06"]
    assert rows[0].split(",")[5] == "val/accuracy"
    accuracy = {name: metrics_of(run)["val/accuracy"] for name, run in runs.items()}
    [best] = select_runs(tmp_path / "outputs/s", 1)
    assert accuracy[best.name] == max(accuracy.values())
    assert {path.name.partition(",")[0] for path in select_runs(tmp_path / "outputs/s")} == {"lr=0.02"}
