from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from support import SMALL, train_into, write_config

import mlplab
from mlplab.commands.arguments import Evaluate
from mlplab.commands.evaluate import evaluate, score
from mlplab.data import synthetic
from mlplab.data.cache import DataCache
from mlplab.errors import UserError
from mlplab.runs import checkpoint
from mlplab.runs.read_folder import read_config
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.trained_run import TrainedRun

pytestmark = pytest.mark.usefixtures("full_speed")

FRAME = synthetic.draw("friedman1", rows=60, features=None, noise=0.0, seed=0)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    train_into(folder, [*SMALL, "seed=0"], [*SMALL, "seed=1"])
    return folder


def test_predictions_do_not_depend_on_the_form_of_the_frame(sweep: Path) -> None:
    run = mlplab.load(sweep / "0")
    expected = run.predict(FRAME)
    assert (expected.shape, expected.dtype) == ((60,), np.float64)
    reordered, text = FRAME.select(reversed(FRAME.columns)), FRAME.with_columns(pl.all().cast(pl.String))
    pandas = FRAME.to_pandas()
    twice = pd.concat([pandas, pandas[["target"]]], axis=1)  # it is no input
    for frame in (reordered, text, twice, FRAME.drop("target")):
        np.testing.assert_array_equal(run.predict(frame), expected)
    np.testing.assert_array_equal(run.predict(FRAME[::-1]), expected[::-1])
    np.testing.assert_allclose(run.predict(FRAME[:1]), expected[:1], rtol=1e-6)


def test_a_column_that_is_not_there_counts_as_missing(sweep: Path) -> None:
    run, empty = mlplab.load(sweep / "0"), FRAME.with_columns(x2=None)
    imputed = run.predict(FRAME.drop("x2"), missing_columns="impute")
    np.testing.assert_array_equal(imputed, run.predict(empty))
    with pytest.raises(UserError, match=r"lacks the column x2(.|\n)*missing_columns=impute"):
        run.predict(FRAME.drop("x2"))
    with pytest.raises(UserError, match="lacks columns x1, x2"):
        run.evaluate(FRAME.drop("x1", "x2"))


def test_runs_whose_columns_have_other_offsets_predict_together(sweep: Path) -> None:
    one = TrainedRun.read(sweep / "0")
    columns = tuple(replace(column, offset=column.offset + 3) for column in one.schema.inputs)
    together = Ensemble([one, one.with_offsets(replace(one.schema, inputs=columns))])
    np.testing.assert_allclose(together.predict(FRAME), mlplab.load(sweep / "0").predict(FRAME), rtol=1e-5)
    first, second = score(together, DataCache(), FRAME, include=True).runs
    assert first == pytest.approx(second, rel=1e-5)


def test_runs_of_several_folders_are_one_ensemble(sweep: Path) -> None:
    one, both = mlplab.load(sweep / "0"), mlplab.load(sweep, runs="all")
    together = mlplab.load([sweep / "0", sweep])
    expected = one.predict(FRAME) / 2 + both.predict(FRAME) / 2
    np.testing.assert_allclose(together.predict(FRAME), expected)
    assert together.networks == 3
    with pytest.raises(UserError, match="is empty"):
        mlplab.load([])


@pytest.mark.parametrize("linear_path", ["false", "true"])
def test_a_run_from_before_keys_were_added_predicts_as_before(tmp_path: Path, linear_path: str) -> None:
    """Nor had embedded categories weights in the linear model, if there was one."""
    frame = pl.DataFrame({"item": [f"c{row * 7 % 20}" for row in range(60)], "x": range(60)})
    frame.with_columns(y=pl.Series(np.arange(60.0) ** 2 % 7)).write_csv(tmp_path / "t.csv")
    words = ("data=csv", f"data.path={tmp_path / 't.csv'}", "data.target=y", *SMALL[2:])
    train_into(tmp_path, (*words, "model.piecewise_linear_bins=0", f"model.linear_path={linear_path}"))
    content = checkpoint.load(path := tmp_path / "0/checkpoints/best.ckpt")
    if linear_path == "true":
        content["state"]["linear_path.category_weight"].zero_()
        checkpoint.save(path, content)
    expected = mlplab.load(tmp_path / "0").predict(frame)
    values = read_config(tmp_path / "0")
    for config in (content["config"], values):
        added = ("input_scale", "parametric_activation", "initial_weights", "piecewise_linear_bins")
        for key in (*added, "piecewise_linear_width", *["linear_path"] * (linear_path == "false")):
            del config["model"][key]
        del config["model"]["preprocessing"]["clip_predictions"]
    write_config(tmp_path / "0", values)
    if linear_path == "true":
        assert content["state"].pop("linear_path.category_weight").shape[1] == 20
        del content["state"]["linear_path.mode_for_unknown"]
    checkpoint.save(path, content)
    np.testing.assert_array_equal(mlplab.load(tmp_path / "0").predict(frame), expected)


def test_predictions_are_clipped_to_the_runs_targets(here: Path) -> None:
    """Of three runs, the second and the third start from the first; the third does not clip."""
    run = ["data=csv", "data.path=t.csv", "data.target=y", "data.weight=w", *SMALL[2:], "test=false"]
    run += ["trainer.max_epochs=15", "optimizer.lr=0.1", "logger=[]", "model.linear_path=false"]
    run += ["model.piecewise_linear_bins=0", "model.activation=relu"]
    clip, ranges, predicted = "model.preprocessing.clip_predictions=true", [], []
    for times, more in ((1, [clip]), (9, [clip, "init_from=1/0"]), (2, ["init_from=1/0"])):
        y = times * np.arange(1.0, 61)
        pl.DataFrame({"x": y / times, "y": y, "w": 1.0 * (y <= 50 * times)}).write_csv(here / "t.csv")
        train_into(Path(str(times)), [*run, *more])
        transform = TrainedRun.read(Path(f"{times}/0")).network.preprocessing.target_transform
        limits = transform.minimum, transform.maximum
        ranges.append([None if limit is None else limit.item() / times for limit in limits])
        predicted.append(mlplab.load(Path(f"{times}/0")).predict({"x": [-1e3, 1e3]}) / times)
    assert ranges[0] == ranges[1]
    assert 1 <= ranges[0][0] < ranges[0][1] <= 50
    for found in predicted[:2]:
        assert ranges[0][0] <= found.min() < found.max() == ranges[0][1]
    assert ranges[2] == [None, None]
    assert predicted[2].max() > ranges[0][1]


def test_evaluate_on_another_file_by_hand(sweep: Path, tmp_path: Path) -> None:
    other = synthetic.draw("friedman1", rows=50, features=None, noise=1.0, seed=9)
    other.write_csv(tmp_path / "other.csv")
    report = evaluate(Evaluate.model_validate({"run": str(sweep), "data.path": str(tmp_path / "other.csv")}))
    errors = [mlplab.load(sweep / run).predict(other) - other["target"].to_numpy() for run in "01"]
    rmse = [np.sqrt(np.mean(each**2)) for each in errors]
    assert [scores["rmse"] for scores in report.runs] == pytest.approx(rmse, rel=1e-6)
    mean, sd = (report.models()[name][1] for name in ("runs/", "runs/sd/"))
    assert mean["mae"] == pytest.approx(np.mean(np.abs(errors)), rel=1e-6)
    assert sd["rmse"] == pytest.approx(np.std(rmse, ddof=1), rel=1e-6)
    assert report.plain()["ensemble/test/rmse"] == pytest.approx(np.sqrt(np.mean(np.mean(errors, 0) ** 2)))
