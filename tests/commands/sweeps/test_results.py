import json
import logging
import re
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from statistics import stdev
from typing import Any

import pytest
from commands.mistakes import Command
from searches import change
from support import write_config

from mlplab.commands.results import STATISTIC_SUFFIXES, Results, read_runs, results_by_table, results_of_table
from mlplab.errors import UserError
from mlplab.runs.compare.ranking import select_runs
from mlplab.runs.compare.run_result import in_brief, labelled, short_keys

Terminal = Callable[..., list[str]]


def results(folders: Sequence[Path], by: Sequence[str] | None = None, sort: str | None = None) -> Results:
    return results_of_table(read_runs(folders), by, sort)


def scores(found: Results, row: int) -> list[float]:
    return [found.frame["test/rmse" + part][row] for part in STATISTIC_SUFFIXES]


def write(folder: Path, lr: object, seed: int, rmse: float | None, status: str = "done", **more: Any) -> None:
    """Writes a run's folder; `scores` are its other metrics, and the rest is its configuration."""
    folder.mkdir(parents=True)
    scores = more.pop("scores", {}) | ({"test/rmse": rmse, "val/rmse": -rmse} if rmse is not None else {})
    config = {"name": folder.name, "seed": seed, "optimizer": {"lr": lr}, "model": {"hidden": [8, 8]}, **more}
    write_config(folder, config)
    (folder / "metrics.json").write_text(json.dumps({"status": status, **scores}))


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    for seed, rmse in enumerate([5.0, 6.0, 10.0]):
        write(tmp_path / f"s/lr=0.1,seed={seed}", 0.1, seed, rmse)
    write(tmp_path / "s/lr=0.01,seed=0", 0.01, 0, 3.0, data={"memory_gib": 8})  # no configuration
    write(tmp_path / "s/lr=0.01,seed=1", 0.01, 1, 999.0, status="diverged")
    write(tmp_path / "s/lr=0.01,seed=2", 0.01, 2, None, status="running")
    return tmp_path


def test_seeds_are_averaged_and_the_unfinished_shown_but_never_averaged_in(sweep: Path) -> None:
    found = results([sweep], sort="test/rmse")
    assert found.by == ("run", "optimizer.lr")
    best, other = found.frame.rows(named=True)
    assert (best["optimizer.lr"], best["runs"], best["over"]) == ("0.01", 1, None)
    assert (best["not done"], best["test/rmse"]) == ("1 diverged, 1 running", 3)
    assert other["over"] == "3 seeds"
    assert scores(found, 1) == pytest.approx([7, stdev([5, 6, 10]), stdev([5, 6, 10]) / 3**0.5])


def test_runs_are_grouped_and_sorted(sweep: Path) -> None:
    assert results([sweep], ["seed"], "seed").frame["seed"].to_list() == ["0", "1", "2"]
    assert results([sweep], sort="val/rmse").frame["optimizer.lr"].to_list() == ["0.1", "0.01"]
    runs = results([sweep / "s/lr=0.1,seed=2", sweep / "s/lr=0.1,seed=0"], ["run"], "test/rmse")
    assert runs.frame["test/rmse"].to_list() == [5, 10]


def test_keys_of_one_option_only_differ_within_it(tmp_path: Path) -> None:
    huber = {"name": "huber", "delta": 1.0}
    for number, loss in enumerate(({"name": "mse"}, huber, huber)):
        write(tmp_path / f"{number}", 0.1, number, 1.0, loss=loss)
    assert results([tmp_path]).by == ("run", "loss.name")
    write(tmp_path / "3", 0.1, 0, 1.0, loss=huber | {"delta": 2.0})
    assert results([tmp_path]).by == ("run", "loss.name", "loss.delta")
    for name, threads in (("4", {}), ("5", {"threads": 2}), ("6", {"threads": 1})):
        write(tmp_path / name, 0.1, 0, 1.0, more={"key": 2.0}, **threads)  # other sums, so other bits
    found = results([tmp_path])
    assert (found.by, len(found.frame)) == (("run", "loss.name", "loss.delta", "more.key", "threads"), 6)


def test_a_refused_run_is_with_the_runs_of_its_sweep_and_no_difference(tmp_path: Path) -> None:
    known = {"loss": {"name": "cross_entropy", "delta": 1.0}, "scores": {"val/log_loss": 0.3}}
    for seed in (0, 1):
        write(tmp_path / f"{seed}", 0.1, seed, None, monitor="val/log_loss", **known)
    auto = {"monitor": "auto", "loss": {"name": "auto"}}
    write(tmp_path / "refused", "auto", -1, None, status="failed", **auto)
    [found] = results_by_table(read_runs([tmp_path]))
    assert (found.title, found.by) == ("table → target (classes)", ("run",))
    assert found.metrics[0] == "val/log_loss"
    assert found.frame.select("runs", "not done").rows() == [(2, "1 failed")]


def test_runs_count_once(sweep: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = results([sweep, sweep / "s", sweep / "s/lr=0.1,seed=0"])
    assert found.frame["runs"].to_list() == [3, 1]
    write(sweep / "again", 0.1, 0, 5.0)
    write(sweep / "stopped", 0.01, 0, None, status="interrupted")
    logging.getLogger("mlplab").propagate = True
    with caplog.at_level(logging.INFO):
        found = results([sweep])
    assert found.frame.select("runs", "test/rmse").rows() == [(3, 7), (1, 3)]
    assert "left out 2 of 8 runs: same configuration and seed as another run" in caplog.text


OTHERS: list[dict[str, Any]] = [
    {"loss": {"name": "mae"}},
    {"data": {"class_weights": "balanced"}},
    {"model": {"preprocessing": {"target": "log"}}},
]


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: next(iter(other)))
def test_losses_that_differ_do_not_rank_runs(tmp_path: Path, other: dict[str, Any]) -> None:
    same: dict[str, Any] = {"monitor": "val/loss", "loss": {"name": "mse"}}
    same |= {"data": {"class_weights": "none"}, "model": {"preprocessing": {"target": "standard"}}}
    for number, (more, loss) in enumerate(((same, 2.0), (same, 1.0), (same | other, 0.5))):
        write(tmp_path / f"{number}", 0.1, number, -float(number + 1), scores={"val/loss": loss}, **more)
    assert results([tmp_path / "0", tmp_path / "1"]).metrics[0] == "val/loss"
    assert results([tmp_path]).metrics[0] == "val/rmse"
    assert [path.name for path in select_runs(tmp_path)] == ["0", "1"]


HOUSES, CONCRETE = "houses.csv → price (numbers)", "concrete → target (numbers)"


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    csv = {"name": "csv", "path": "houses.csv", "target": ["price"], "na_values": [], "delimiter": None}
    for folder, lr, seed, data in (
        ("first", 0.1, 0, {"name": "concrete"}),
        ("sweep/lr=0.2,seed=0", 0.2, 0, {"name": "concrete"}),
        ("sweep/lr=0.2,seed=1", 0.2, 1, {"name": "concrete"}),
        ("houses", 0.1, 0, csv),
        ("again", 0.1, 1, csv),
    ):
        write(tmp_path / "t" / folder, lr, seed, 1.0, data=data)
    return tmp_path / "t"


def test_runs_of_different_tables_are_not_ranked_together(tables: Path) -> None:
    found = results_by_table(read_runs([tables]))
    assert [(table.title, table.by, len(table.frame)) for table in found] == [
        (HOUSES, ("run",), 1),
        (CONCRETE, ("run", "optimizer.lr"), 2),
    ]
    for choice in ("best", "all", 1):
        with pytest.raises(UserError, match=rf"{re.escape(HOUSES)}: again, houses; concrete.*: first"):
            select_runs(tables, choice)
    for number, path in enumerate(("t.csv", "./t.csv", str(Path("t.csv").absolute()))):
        write(tables / f"paths/{number}", 0.1, 0, 1.0 + number, data={"name": "csv", "path": path})
    assert len(select_runs(tables / "paths", 3)) == 3  # of one table
    for noise in (0.0, 1.0):
        write(tables / f"noise/{noise}", 0.1, 0, 1.0, data={"function": "f", "noise": noise})
    with pytest.raises(UserError, match="different tables"):
        select_runs(tables / "noise")


@pytest.fixture
def on_terminal(succeed: Command, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """The lines of the script results on a terminal of some width."""

    def lines(width: int, *arguments: str) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(width))
        printed = [line.rstrip() for line in succeed("results", *arguments).out.splitlines()]
        assert "csv" in arguments or max(map(len, printed)) <= width
        return printed

    return lines


def test_tables_have_titles_and_runs_names(on_terminal: Terminal, tables: Path, sweep: Path) -> None:
    lines = on_terminal(80, str(tables))
    assert [line.strip() for line in lines if "→" in line] == [HOUSES, CONCRETE]
    cells = [re.findall(r"[^│ ]+(?: [^│ ]+)*", line)[:2] for line in lines if line.startswith("│")]
    assert [row[0] for row in cells[:2]] == ["again", "houses"]
    assert cells[2:] == [["first", "–"], ["sweep", "2 seeds, lr=0.2"]]
    header, *rows = on_terminal(80, str(tables), "--format", "csv")
    assert header.startswith("table,run,runs,over,not done,val/rmse,val/rmse SD,val/rmse SE,test/rmse,")
    assert [row.partition(",1")[0].partition(",2")[0] for row in rows] == [
        f'{HOUSES},"again, houses"',
        *(f"{CONCRETE},{run}" for run in ("first", "sweep")),
    ]
    *_, last = on_terminal(80, str(sweep / "s"), "--format", "csv")
    assert last.startswith('s,0.01,1,,"1 diverged, 1 running",-3.0,,,3.0,,,')


def test_seeds_of_a_fold_are_averaged_before_folds_are(tmp_path: Path) -> None:
    values = {(0, 0): 1.0, (0, 1): 3.0, (1, 0): 5.0, (1, 1): 7.0, (2, 0): 3.0, (2, 1): 5.0}
    for (fold, seed), rmse in values.items():
        write(tmp_path / f"{fold}{seed}", 0.1, seed, rmse, data={"split": {"fold": fold, "seed": 0}})
    found = results([tmp_path])
    assert found.frame["over"].to_list() == ["3 folds, each a mean over seeds (6 runs)"]
    assert scores(found, 0) == pytest.approx([4, stdev([2, 6, 4]), stdev([2, 6, 4]) / 3**0.5])
    found = results([tmp_path / name for name in ("00", "11", "20")])
    assert found.frame["over"].to_list() == ["3 folds"]


def test_settings_are_no_repeats(tmp_path: Path) -> None:
    """Those of a seed are averaged before seeds are."""
    values = {(0, 0.0): 1.0, (0, 0.1): 3.0, (1, 0.0): 5.0, (1, 0.1): 7.0, (2, 0.0): 3.0, (2, 0.1): 5.0}
    for (seed, dropout), rmse in values.items():
        write(tmp_path / f"{seed}-{dropout}", 0.1, seed, rmse, model={"dropout": dropout})
    found = results([tmp_path], ["optimizer.lr"])
    assert found.frame["over"].to_list() == ["3 seeds, each a mean over dropout (6 runs)"]
    assert scores(found, 0) == pytest.approx([4, stdev([2, 6, 4]), stdev([2, 6, 4]) / 3**0.5])
    found = results([tmp_path], ["seed"])
    assert found.frame["over"].to_list() == ["2 runs that differ in dropout"] * 3
    assert found.frame["test/rmse SD"].is_null().all()


def test_mistakes_are_reported(sweep: Path) -> None:
    with pytest.raises(UserError, match=r"--by: unknown .*\(found 'lr'.*\n  did you mean optimizer.lr"):
        results_by_table(read_runs([sweep]), ["lr"], "test/rmse")
    with pytest.raises(UserError, match="--sort: unknown key or metric"):
        results_by_table(read_runs([sweep]), ["seed"], "rmse")
    (sweep / "s/lr=0.1,seed=0/metrics.json").write_text("{")
    with pytest.raises(UserError, match=r"metrics.json: is damaged"):
        read_runs([sweep / "s/lr=0.1,seed=0"])


def test_a_folder_has_a_line_for_each_run_and_each_sweep(on_terminal: Terminal, search: Path) -> None:
    names = [f"2026-11-30_08-2{number}-46-102862_15793" for number in range(3)]
    shared: dict[str, Any] = {"monitor": "val/mae", "model": {"hidden": [8] * 9}}

    def add(name: str, lr: float, seed: int, mae: float, fold: int | None = None) -> None:
        more = shared if fold is None else shared | {"data": {"split": {"fold": fold}}}
        write(search.parent / name, lr, seed, 5.0, scores={"val/mae": mae}, **more)

    for number, name in enumerate(names):
        add(name, 0.1 if number else 0.2, number, 5.0 + number)
    for fold in range(3):
        add(f"folds/fold={fold}", 0.1, 0, 4.5 + fold, fold)
    for lr, fold, seed in product((0.1, 0.3), range(2), range(2)):
        add(f"grid/lr={lr},fold={fold},seed={seed}", lr, seed, 90 * lr, fold)
    write(search.parent / "unfinished", 0.1, 9, None, status="running", **shared)
    lines = on_terminal(80, str(search.parent))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert [row[0] for row in rows] == ["search", names[0], "folds", *names[1:], "grid", "unfinished"]
    settings = [row[1] for row in rows]
    assert settings[0].startswith("best of 60, 19 pru")
    assert settings[1:3] == ["lr=0.2", "3 folds"]  # most have another rate, and no fold
    assert settings[3:] == ["–", "–", "best of 2, 2 folds", "1 running"]
    assert [row[2] for row in rows] == ["3", "5", "5.5", "6", "7", "9", "–"]


def test_less_important_scores_make_room(on_terminal: Terminal, sweep: Path) -> None:
    for seed in range(3):
        change(sweep / f"s/lr=0.1,seed={seed}", **{"test/mae": 3.0 + seed})
    for width, shown, gone in ((80, "test/mae", "…"), (60, "± SD", "test/mae")):
        text = "".join(on_terminal(width, str(sweep)))
        assert (shown in text, gone in text) == (True, False)
        assert all(name in text for name in ("val/rmse", "test/rmse", "3 seeds", "0.01", "1 diverged"))


@pytest.fixture
def search(tmp_path: Path) -> Path:
    """A search with 60 trials of sampled configurations, of which the best has test scores."""
    for number in range(60):
        status = "diverged" if number % 20 == 4 else "pruned" if number % 3 == 1 else "done"
        lr, dropout = 0.1 / (number + 1.2345678901), 0.5 / (number + 2.345678901)
        network = {"hidden": [128, 128], "dropout": dropout, "activation": ("relu", "mish")[number % 2]}
        more = {"monitor": "val/mae", "data": {"batch_size": 64 * (1 + number % 2)}, "model": network}
        scores = {"val/mae": 3 + (number - 41) ** 2 / 7} if status != "diverged" else {}
        scores |= {"test/rmse": 5.125, "test/mae": 4.5, "test/r2": 0.9} if number == 41 else {}
        write(tmp_path / f"search/trial-{number:04d}", lr, 0, None, status, scores=scores, **more)
    return tmp_path / "search"


def test_a_search_shows_its_best_trials(on_terminal: Terminal, search: Path) -> None:
    def trials(lines: list[str]) -> list[str]:
        return [line.split()[1] for line in lines if line.startswith("│ trial-")]

    lines = on_terminal(80, str(search))
    text = " ".join(" ".join(lines).split())
    assert len(trials(lines)) == 20
    assert trials(lines)[:3] == ["trial-0041", "trial-0042", "trial-0039"]
    for part in (
        *("the best 20 by val/mae; all: --sort val/mae", "60 trials: 38 done, 19 pruned, 3 diverged"),
        *("5.125", "0.002368", "0.01154", "mish"),
    ):
        assert part in text
    assert "hidden" not in text  # it is the same in all
    names = trials(on_terminal(120, str(search), "--sort", "optimizer.lr"))
    assert len(names) == 38
    assert names == sorted(names, reverse=True)  # the rate falls with the number
    csv = on_terminal(80, str(search), "--format", "csv")
    assert len(csv) == 61
    assert "0.002367728734912439" in csv[1]


def test_keys_are_shortened_as_long_as_they_differ() -> None:
    keys = ["optimizer.lr", "optimizer.name", "loss.name", "a.b.c", "x.b.c", "seed"]
    assert short_keys(keys) == ["lr", "optimizer", "loss", "a.b.c", "x.b.c", "seed"]
    keys = ["callbacks.timer._target_", "loss._target_", "loss.delta"]
    assert labelled(keys, ["null", "mine.Loss", "1"]) == "loss=mine.Loss,delta=1"


def test_numbers_that_nobody_types_are_rounded() -> None:
    values = "0.0123456789 1.23456789e-07 12345.6789 1e-05 1.2345678e+20 [0.9123456789,0.999] v1.23456789.csv"
    brief = "0.01235 1.235e-07 12346 1e-05 1.235e+20 [0.9123,0.999] v1.23456789.csv"
    assert [*map(in_brief, values.split())] == brief.split()
