"""`benchmark.py quality` on tables that are fitted in a moment."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from benchmarks.quality import contenders as quality_contenders
from benchmarks.quality.bundled import write_tables
from benchmarks.quality.measure import Quality, measure
from benchmarks.quality.summary import Mean, summaries_of
from benchmarks.quality.tables import read_tables

from mlplab.cli.arguments import read_arguments
from mlplab.errors import UserError

ROWS = 40


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """A table of numbers with two splits, one of classes with one; a gap and a category in each."""
    drawn = np.random.default_rng(0)
    x = drawn.normal(size=ROWS)
    colour = drawn.choice(["red", "blue"], ROWS)
    gap = pl.Series(drawn.normal(size=ROWS)).scatter(3, None)
    inputs = pl.DataFrame({"x": x, "colour": colour, "gap": gap})
    folder = tmp_path / "tables"
    (folder / "splits").mkdir(parents=True)
    inputs.with_columns(y=pl.Series(2 * x)).write_csv(folder / "line.csv")
    inputs.with_columns(y=pl.Series(np.where(x > 0, "yes", "no"))).write_csv(folder / "sign.csv")
    for name, number in (("line", 0), ("line", 1), ("sign", 0)):
        words = ["val" if row == number else "test" if row % 4 == number else "train" for row in range(ROWS)]
        (folder / f"splits/{name}-{number}.txt").write_text("\n".join(words))
    return folder


def quality(*words: str) -> None:
    measure(read_arguments(words, Quality))


def test_each_score_is_measured_once_and_shown(
    tables: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "scores.jsonl"
    words = (
        f"tables={tables}",
        "contenders=mlp,linear,boosting",
        "variants=short: trainer.max_epochs=1 model.hidden=[4]",
        f"output={output}",
    )
    quality(*words)
    first = capsys.readouterr()
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    trials = [line["trial"] for line in lines]
    contenders = ["mlplab short", "mlp", "linear", "boosting"]
    assert [(each["table"], each["split"], each["contender"]) for each in trials] == [
        (table, split, contender)
        for table, split in (("line", 0), ("line", 1), ("sign", 0))
        for contender in contenders
    ]
    assert [each["task"] for each in trials[::4]] == ["regression", "regression", "binary"]
    assert all(line["fit_seconds"] > 0 and line["predict_seconds"] > 0 for line in lines)
    assert lines[0]["metrics"].keys() == {"rmse"}
    assert lines[-1]["metrics"].keys() == {"log_loss", "accuracy", "calibration_error"}
    assert lines[2]["metrics"]["rmse"] < lines[0]["metrics"]["rmse"]  # it is a line, and one epoch is short
    assert all(f"  {name} " in first.out for name in contenders)
    assert all(len(line) <= 80 for line in first.out.splitlines() if str(output) not in line)
    assert "12/12 sign-0, boosting, seed 0: log_loss" in first.err

    quality(*words)
    again = capsys.readouterr()
    assert again.out == first.out
    assert again.err == ""
    quality(*words, "seeds=2", "only=sign")
    assert [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        "2/6 sign-0, mlplab short, seed 1",
        "4/6 sign-0, mlp, seed 1",
    ]
    (tables / "splits/sign-0.txt").write_text("\n".join(["test", "train"] * (ROWS // 2)))
    quality(*words, "only=sign")
    assert len(capsys.readouterr().err.splitlines()) == 4


def test_mistakes_are_explained(tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "scores.jsonl"

    def answer(*words: str) -> str:
        with pytest.raises(UserError) as raised:
            quality(f"tables={tables}", f"output={output}", *words)
        return str(raised.value)

    assert "(found lin, expected some of line, sign)" in answer("only=lin,sign")
    assert "each variant needs a name and overrides" in answer("variants=model.hidden=[4]")
    assert "model.hiden" in answer("variants=typo: model.hiden=[4]", "contenders=mlp")
    assert "figure" in answer("figure=error.pdf")
    monkeypatch.setattr(quality_contenders, "find_spec", lambda name: None)
    assert "needs pytabkit: uv run --extra bench" in answer("contenders=mlp,realmlp")
    (tables / "splits/line-1.txt").write_text("train test")
    assert "line-1.txt: does not fit the table (found 2 words, expected 40, one a row)" in answer()
    output.write_text("{}\n")
    assert "scores.jsonl, line 1: is not a score" in answer()


def test_a_table_that_ships_has_folds_and_classes_of_text(tmp_path: Path) -> None:
    write_tables(tmp_path, folds=3)
    tables = {table.name: table for table in read_tables(tmp_path, ())}
    assert [name for name, table in tables.items() if table.task == "regression"] == [
        "concrete",
        "diabetes",
        "friedman1",
    ]
    penguins = tables["penguins"]
    assert penguins.classes == ["Adelie", "Chinstrap", "Gentoo"]
    assert list(penguins.x.dtypes.astype(str)) == ["category", *["float64"] * 4, "category", "float64"]
    assert (np.sum([split.test for split in penguins.splits], axis=0) == 1).all()
    assert len({split.hash for split in penguins.splits}) == 3
    shares = [np.bincount(penguins.y[split.test]) / split.test.sum() for split in penguins.splits]
    assert np.ptp(shares, axis=0).max() < 0.02


def test_contenders_are_compared_over_tables() -> None:
    def means(**errors: float) -> dict[str, Mean]:
        return {name: Mean(error, {}, 10 * error, error) for name, error in errors.items()}

    found = summaries_of({"a": means(one=2, two=1, three=2), "b": means(one=4, two=8, three=5)}, "two")
    one, two, three = found.values()
    assert (one.ratio, one.geometric_ratio) == (1.25, 1)
    assert (two.ratio, two.geometric_ratio) == (1, 1)
    assert [one.rank, two.rank, three.rank] == [1.75, 2, 2.25]
    assert (one.fit_seconds, one.predict_seconds) == (30, 3)


def test_names_in_the_figure_do_not_cover_each_other() -> None:
    figure = pytest.importorskip("benchmarks.quality.figure", exc_type=ImportError)
    places = [(100.0, 100.0), (110.0, 104.0), (104.0, 96.0)]
    boxes = figure.name_boxes(["mlplab", "mlplab wide", "boosting"], places)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
