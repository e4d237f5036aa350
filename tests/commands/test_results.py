import io
import json
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
from rich.console import Console
from support import Ended, write_config

from mlplab.commands.results import Results, group_runs, read_runs, results_by_table
from mlplab.commands.results_table import results_table
from mlplab.commands.results_text import results_csv, results_markdown, wide_table
from mlplab.errors import UserError
from mlplab.runs.selection import in_brief, select_runs, short_keys


def results(folders: Sequence[Path], by: Sequence[str] | None = None, sort: str | None = None) -> Results:
    return group_runs(read_runs(folders), by, sort)


def write(
    folder: Path, lr: float | str, seed: int, rmse: float | None, status: str = "done", **more: Any
) -> None:
    folder.mkdir(parents=True)
    config = {"name": folder.name, "seed": seed, "optimizer": {"lr": lr}, "model": {"hidden": [8, 8]}, **more}
    write_config(folder, config)
    metrics = {"status": status} | ({"test/rmse": rmse, "val/rmse": -rmse} if rmse is not None else {})
    (folder / "metrics.json").write_text(json.dumps(metrics))


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    for seed, rmse in enumerate([5.0, 6.0, 10.0]):
        write(tmp_path / f"s/lr=0.1,seed={seed}", 0.1, seed, rmse)
    write(tmp_path / "s/lr=0.01,seed=0", 0.01, 0, 3.0)
    write(tmp_path / "s/lr=0.01,seed=1", 0.01, 1, 999.0, status="diverged")
    write(tmp_path / "s/lr=0.01,seed=2", 0.01, 2, None, status="running")
    return tmp_path


def test_seeds_are_averaged_and_the_unfinished_shown_but_never_averaged_in(sweep: Path) -> None:
    found = results([sweep], sort="test/rmse")
    assert found.by == ("optimizer.lr",)
    best, other = found.groups
    assert best.key == ("0.01",)
    assert best.runs == 1
    assert best.unfinished == {"diverged": 1, "running": 1}
    assert best.scores["test/rmse"].mean == 3
    values = [5.0, 6.0, 10.0]
    assert astuple(other.scores["test/rmse"]) == pytest.approx(
        (mean(values), stdev(values), stdev(values) / 3**0.5)
    )
    assert (best.over, other.over) == ("", "3 seeds")


def test_grouping_and_sorting(sweep: Path) -> None:
    assert [group.key for group in results([sweep], ["seed"], "seed").groups] == [("0",), ("1",), ("2",)]
    assert [group.key for group in results([sweep], sort="optimizer.lr").groups] == [("0.01",), ("0.1",)]
    runs = results([sweep / "s/lr=0.1,seed=2", sweep / "s/lr=0.1,seed=0"], ["run"], "test/rmse")
    assert [group.scores["test/rmse"].mean for group in runs.groups] == [5, 10]
    assert [group.key[0] for group in results([sweep], sort="val/rmse").groups] == ["0.1", "0.01"]


def test_a_key_that_only_some_runs_have_differs(sweep: Path) -> None:
    write(sweep / "alone", 0.1, 0, 1.0, loss={"delta": 2.0})
    assert set(results([sweep]).by) == {"optimizer.lr", "loss.delta"}


def test_what_only_one_option_has_is_no_difference(tmp_path: Path) -> None:
    huber = {"name": "huber", "delta": 1.0}
    for number, loss in enumerate(({"name": "mse"}, huber, huber)):
        write(tmp_path / f"{number}", 0.1, number, 1.0, loss=loss)
    assert results([tmp_path]).by == ("loss.name",)
    write(tmp_path / "3", 0.1, 0, 1.0, loss=huber | {"delta": 2.0})
    assert results([tmp_path]).by == ("loss.name", "loss.delta")


def test_what_a_refused_run_left_open_is_no_difference(sweep: Path) -> None:
    loss, auto = {"name": "huber", "delta": 1.0}, {"monitor": "auto", "loss": {"name": "auto"}}
    for seed in (0, 1):
        write(sweep / f"t/{seed}", 0.1, seed, 5.0, monitor="val/mae", loss=loss)
    write(sweep / "t/refused", "auto", -1, None, status="failed", **auto)
    found = results([sweep / "t"])
    assert (found.by, found.metrics[0]) == ((), "val/mae")
    [group] = found.groups
    assert (group.runs, group.unfinished) == (2, {"failed": 1})
    write(sweep / "t/other", 0.2, 0, 5.0, monitor="val/mae", loss=loss | {"delta": 2.0})
    assert set(results([sweep / "t"]).by) == {"optimizer.lr", "loss.delta"}


def test_a_run_counts_once_however_often_it_is_named(sweep: Path) -> None:
    found = results([sweep, sweep / "s", sweep / "s/lr=0.1,seed=0"])
    assert [group.runs for group in found.groups] == [3, 1]


def test_runs_of_one_configuration_and_seed_count_once(sweep: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(sweep / "again", 0.1, 0, 5.0)
    write(sweep / "stopped", 0.01, 0, None, status="interrupted")
    logging.getLogger("mlplab").propagate = True
    with caplog.at_level(logging.INFO):
        found = results([sweep])
    assert [(group.runs, group.scores["test/rmse"].mean) for group in found.groups] == [(3, 7), (1, 3)]
    assert "left out 2 of 8 runs: same configuration and seed as another run" in caplog.text


def test_what_a_machine_has_is_no_configuration(tmp_path: Path) -> None:
    for seed, memory in enumerate((None, 8)):
        write(tmp_path / f"{seed}", 0.1, seed, 1.0, data={"memory_gib": memory})
    [group] = results([tmp_path]).groups
    assert group.over == "2 seeds"
    assert len(select_runs(tmp_path)) == 2


def test_runs_are_ranked_by_the_validation_metric_that_they_monitor(tmp_path: Path) -> None:
    for lr, val, test in ((0.1, 2.0, 1.0), (0.2, 1.0, 3.0), (0.3, 3.0, 2.0)):
        write(tmp_path / f"{lr}", lr, 0, test, monitor="val/mae")
        path = tmp_path / f"{lr}/metrics.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"val/mae": val}))
    found = results([tmp_path])
    assert found.metrics[0] == "val/mae"
    assert [group.key for group in found.groups] == [("0.2",), ("0.1",), ("0.3",)]
    assert [path.name for path in select_runs(tmp_path, "best")] == ["0.2"]
    assert [path.name for path in select_runs(tmp_path, 2)] == ["0.2", "0.1"]


@pytest.mark.parametrize(
    "other",
    [
        {"loss": {"name": "mae"}},
        {"data": {"class_weights": "balanced"}},
        {"model": {"preprocessing": {"target": "log"}}},
    ],
)
def test_losses_that_differ_do_not_rank_runs(tmp_path: Path, other: dict[str, Any]) -> None:
    same: dict[str, Any] = {
        "monitor": "val/loss",
        "loss": {"name": "mse"},
        "data": {"class_weights": "none"},
        "model": {"preprocessing": {"target": "standard"}},
    }
    for number, (more, loss) in enumerate(((same, 2.0), (same, 1.0), (same | other, 0.5))):
        write(tmp_path / f"{number}", 0.1, number, -float(number + 1), **more)
        path = tmp_path / f"{number}/metrics.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"val/loss": loss}))
    assert results([tmp_path / "0", tmp_path / "1"]).metrics[0] == "val/loss"
    assert results([tmp_path]).metrics[0] == "val/rmse"
    assert [path.name for path in select_runs(tmp_path)] == ["0", "1"]
    assert [path.name for path in select_runs(tmp_path, 1)] == ["0"]


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Runs of two tables and of a sweep."""
    csv = {"name": "csv", "path": "houses.csv", "target": ["price"], "na_values": [], "delimiter": None}
    for folder, lr, data in (
        ("first", 0.1, {"name": "concrete"}),
        ("sweep/lr=0.2,seed=0", 0.2, {"name": "concrete"}),
        ("sweep/lr=0.2,seed=1", 0.2, {"name": "concrete"}),
        ("houses", 0.1, csv),
        ("again", 0.1, csv),
    ):
        seed = int(folder.endswith("=1") or folder == "again")
        write(tmp_path / "t" / folder, lr, seed, 1.0, data=data)
    return tmp_path / "t"


def test_runs_of_different_tables_are_not_ranked_together(tables: Path) -> None:
    found = results_by_table(read_runs([tables]))
    assert [(title, each.by, len(each.groups)) for title, each in found] == [
        ("houses.csv → price (numbers)", (), 1),
        ("concrete → target (numbers)", ("optimizer.lr",), 2),
    ]
    for choice in ("best", "all", 1):
        with pytest.raises(
            UserError, match=r"houses.csv → price \(numbers\): again, houses; concrete.*: first"
        ):
            select_runs(tables, choice)
    for number, path in enumerate(("t.csv", "./t.csv", str(Path("t.csv").absolute()))):
        write(tables / f"paths/{number}", 0.1, 0, 1.0 + number, data={"name": "csv", "path": path})
    assert len(select_runs(tables / "paths", 3)) == 3  # of one table
    write(tables / "noise/0", 0.1, 0, 1.0, data={"function": "f", "noise": 0.0})
    write(tables / "noise/1", 0.1, 0, 2.0, data={"function": "f", "noise": 1.0})
    with pytest.raises(UserError, match="different tables"):
        select_runs(tables / "noise")


@pytest.mark.parametrize("width", [80, 120])
def test_tables_have_titles_and_runs_names(
    run_script: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, tables: Path, width: int
) -> None:
    lines = on_terminal(run_script, monkeypatch, width, str(tables))
    cells = [re.findall(r"[^│ ]+(?: [^│ ]+)*", line)[:3] for line in lines if line.startswith("│")]
    assert cells[0][0] == "again, houses"
    assert [row[:2] for row in cells[1:]] == [["first", "0.1"], ["sweep", "0.2"]]
    assert "na_values" not in "".join(lines)
    by_lr = on_terminal(run_script, monkeypatch, width, str(tables), "--by", "optimizer.lr")
    assert "first" not in "".join(by_lr)
    assert "sweep" not in "".join(
        on_terminal(run_script, monkeypatch, width, str(tables / "sweep"), "--by", "seed")
    )


def test_tables_in_other_formats(run_script: Callable[..., Ended], tables: Path) -> None:
    header, *rows = run_script("results", str(tables), "--format", "csv").out.splitlines()
    assert header.startswith("table,optimizer.lr,runs,over,val/rmse,")
    assert [row.partition(",1")[0].partition(",2")[0] for row in rows] == [
        "houses.csv → price (numbers),",
        "concrete → target (numbers),0.1",
        "concrete → target (numbers),0.2",
    ]
    text = run_script("results", str(tables), "--format", "markdown").out
    assert "**concrete → target (numbers)**\n\n| optimizer.lr | runs |" in text
    wide = run_script("results", str(tables)).out.splitlines()
    assert [line.strip() for line in wide if "→" in line] == [
        "houses.csv → price (numbers)",
        "concrete → target (numbers)",
    ]


def test_seeds_of_a_fold_are_averaged_before_folds_are(tmp_path: Path) -> None:
    values = {(0, 0): 1.0, (0, 1): 3.0, (1, 0): 5.0, (1, 1): 7.0, (2, 0): 3.0, (2, 1): 5.0}
    for (fold, seed), rmse in values.items():
        write(tmp_path / f"{fold}{seed}", 0.1, seed, rmse, data={"split": {"fold": fold, "seed": 0}})
    [group] = results([tmp_path]).groups
    folds = [2.0, 6.0, 4.0]
    assert group.over == "3 folds, each the mean of its seeds (6 runs)"
    assert astuple(group.scores["test/rmse"]) == pytest.approx((4, stdev(folds), stdev(folds) / 3**0.5))
    [group] = results([tmp_path / name for name in ("00", "11", "20")]).groups
    assert group.over == "3 folds"


def test_a_run_without_metrics_is_shown(sweep: Path) -> None:
    run = sweep / "s/lr=0.1,seed=0"
    (run / "metrics.json").unlink()
    (run / "checkpoints").mkdir()
    assert results([sweep], sort="optimizer.lr").groups[1].unfinished == {"unknown": 1}


def test_the_three_forms(sweep: Path) -> None:
    found = results([sweep])
    assert (
        results_markdown(found)
        .splitlines()[0]
        .startswith("| optimizer.lr | runs | over | val/rmse ± SD (SE) |")
    )
    assert "| 0.1 | 3 | 3 seeds | -7 ± 2.6 (1.5) | 7 ± 2.6 (1.5) |" in results_markdown(found)
    assert "1 diverged, 1 running" in results_markdown(found)
    header, _, last = results_csv([("", found)]).splitlines()
    assert header.startswith("optimizer.lr,runs,over,val/rmse,val/rmse SD,val/rmse SE,test/rmse,")
    assert last.startswith("0.01,1,,-3.0,,,3.0,,,")
    assert results_table(found, 80).row_count == wide_table(found).row_count == 2


@pytest.mark.parametrize(
    ("by", "sort", "said"),
    [
        (
            ["lr"],
            "test/rmse",
            r"--by: unknown key or metric .*\(found 'lr'.*\n  did you mean optimizer.lr",
        ),
        (["seed"], "rmse", "--sort: unknown key or metric"),
    ],
)
def test_unknown_names_are_reported(sweep: Path, by: list[str], sort: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        results([sweep], by, sort)


def test_damaged_runs_and_empty_folders_are_reported(sweep: Path) -> None:
    (sweep / "empty").mkdir()
    with pytest.raises(UserError, match="contains no run"):
        results([sweep / "empty"])
    with pytest.raises(UserError, match="no such folder"):
        results([sweep / "nowhere"])
    (sweep / "s/lr=0.1,seed=0/metrics.json").write_text("{")
    with pytest.raises(UserError, match=r"metrics.json: is damaged"):
        results([sweep])


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Runs of numbers and of classes with many different keys; some have seeds, some are unfinished."""
    number = 0
    for lr in (0.001, 0.01):
        for hidden in ([64, 64], [128, 128, 128]):
            for seed in range(3):
                number += 1
                more = {
                    "loss": {"name": "huber", "delta": 1.0 + lr},
                    "optimizer": {"name": "adamw", "lr": lr, "weight_decay": 0.2},
                    "model": {"name": "mlp", "hidden": hidden, "dropout": 0.1},
                    "trainer": {"max_epochs": 1000 + len(hidden), "precision": 32},
                }
                status = "running" if number == 1 else "done"
                write(tmp_path / f"m/n/{number}", lr, seed, 1234.5 + number, status, **more)
                path = tmp_path / f"m/n/{number}/metrics.json"
                metrics = json.loads(path.read_text()) | {"test/mae": 1000.5 + number, "test/r2": 0.5}
                path.write_text(json.dumps(metrics))
    for rate in (0.1, 0.2):
        write(tmp_path / f"m/c/{rate}", rate, 0, None, loss={"name": "cross_entropy", "delta": None})
        scores = {"val/log_loss": rate, "test/log_loss": 0.3, "test/accuracy": 0.9, "test/auroc": 0.95}
        (tmp_path / f"m/c/{rate}/metrics.json").write_text(json.dumps({"status": "done", **scores}))
    return tmp_path / "m"


def on_terminal(
    run_script: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, width: int, *arguments: str
) -> list[str]:
    """The lines of the script results on a terminal of that width."""
    for name, value in {"FORCE_COLOR": "1", "TERM": "dumb", "COLUMNS": str(width), "LINES": "99"}.items():
        monkeypatch.setenv(name, value)
    ended = run_script("results", *arguments)
    assert ended.status == 0, ended
    return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in ended.out.splitlines()]


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_mixed_folder_is_readable(
    run_script: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, mixed: Path, width: int
) -> None:
    lines = on_terminal(run_script, monkeypatch, width, str(mixed))
    assert max(map(len, lines)) <= width
    assert lines[0] == "table → target (classes)"
    start = lines.index("table → target (numbers)")
    classes, numbers = lines[:start], lines[start:]
    assert len([line for line in classes if line.startswith("│")]) == 2
    assert "lr" in classes[2]
    assert "delta" not in "".join(classes)
    assert "rmse" not in "".join(classes)
    assert "log_loss" not in "".join(numbers)
    text = "".join(numbers)
    assert "…" not in text
    for needed in ("lr", "hidden", "val/rmse", "test/rmse", "± 1 ", "1 running"):
        assert needed in text, needed
    assert "optimizer." not in text
    words = [word for line in numbers if line.startswith("│") for word in line.split()]
    for value in ("0.001", "0.01", "[64,64]", "[128,128,128]"):
        assert any(value in word for word in words), value


def test_keys_without_a_difference_are_hidden_on_a_terminal_only(
    run_script: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, sweep: Path
) -> None:
    write(sweep / "s/odd", 0.2, 0, 4.0, loss={"delta": None})
    arguments = (str(sweep), "--by", "optimizer.lr,model.hidden,loss.delta,run")
    header = on_terminal(run_script, monkeypatch, 120, *arguments)[1]
    assert "lr" in header
    assert "run" in header
    assert not any(hidden in header for hidden in ("optimizer.", "hidden", "delta"))
    (first, *_) = run_script("results", *arguments, "--format", "markdown").out.splitlines()
    assert first.startswith("| optimizer.lr | model.hidden | loss.delta | run | runs |")
    for name in ("FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name)
    wide = run_script("results", *arguments).out.splitlines()
    assert "optimizer.lr" in wide[1]
    assert "model.hidden" in wide[1]
    assert not any("\x1b" in line for line in wide)


@pytest.mark.parametrize(
    ("width", "shown", "gone"),
    [(120, "(SE)", "…"), (70, "± SD", "(SE)"), (58, "± SD", "test/r2")],
)
def test_less_important_scores_make_room(sweep: Path, width: int, shown: str, gone: str) -> None:
    for seed in range(3):
        path = sweep / f"s/lr=0.1,seed={seed}/metrics.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"test/mae": 3.0 + seed, "test/r2": 0.9}))
    written = io.StringIO()
    console = Console(file=written, width=width, force_terminal=True, no_color=True)
    console.print(results_table(results([sweep]), width))
    text = written.getvalue()
    assert shown in text
    assert gone not in text
    assert all(name in text for name in ("val/rmse", "test/rmse", "3 seeds", "0.01", "1 diverged"))
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in text.splitlines()) <= width


def test_a_refused_run_is_with_the_runs_of_its_sweep(mixed: Path) -> None:
    write(mixed / "c/refused", "auto", 0, None, status="failed", loss={"name": "auto"})
    [(title, found)] = results_by_table(read_runs([mixed / "c"]))
    assert title == "table → target (classes)"
    assert [group.unfinished for group in found.groups if group.unfinished] == [{"failed": 1}]
    [(title, _)] = results_by_table(read_runs([mixed / "c/refused"]))
    assert title == "table → target (numbers)"
    assert len(results_by_table(read_runs([mixed]), sort="test/accuracy")) == 2
    [(_, classes), _] = results_by_table(read_runs([mixed]), ["loss.delta", "model.dropout"])
    assert classes.by == ("loss.delta",)


def test_short_keys_differ() -> None:
    keys = ["optimizer.lr", "optimizer.name", "loss.name", "a.b.c", "x.b.c", "seed"]
    assert short_keys(keys) == ["lr", "optimizer", "loss", "a.b.c", "x.b.c", "seed"]
    assert short_keys(["name", "loss.name"]) == ["name", "loss"]


@pytest.fixture
def search(tmp_path: Path) -> Path:
    """A search with 60 trials of sampled configurations, of which the best has test scores."""
    for number in range(60):
        status = "diverged" if number % 20 == 4 else "pruned" if number % 3 == 1 else "done"
        lr, dropout = 0.1 / (number + 1.2345678901), 0.5 / (number + 2.345678901)
        network = {"hidden": [128, 128], "dropout": dropout, "activation": ("relu", "mish")[number % 2]}
        more = {"monitor": "val/mae", "data": {"batch_size": 64 * (1 + number % 2)}, "model": network}
        write(tmp_path / f"search/trial-{number:04d}", lr, 0, None, status, **more)
        scores = {"val/mae": 3 + (number - 41) ** 2 / 7} if status != "diverged" else {}
        tested = {"test/rmse": 5.125, "test/mae": 4.5, "test/r2": 0.9} if number == 41 else {}
        content = json.dumps({"status": status, **scores, **tested})
        (tmp_path / f"search/trial-{number:04d}/metrics.json").write_text(content)
    return tmp_path / "search"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_search_shows_its_best_trials(
    run_script: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, search: Path, width: int
) -> None:
    lines = on_terminal(run_script, monkeypatch, width, str(search))
    assert max(map(len, lines)) <= width
    rows = [line for line in lines if line.startswith("│ trial-")]
    assert len(rows) == 20
    assert [row.split()[1] for row in rows[:3]] == ["trial-0041", "trial-0042", "trial-0039"]
    text = " ".join(lines)
    for part in (
        "the best 20 by val/mae; all: --sort val/mae",
        "60 trials: 38 done, 19 pruned, 3 diverged",
        "test scores of trial-0041: rmse 5.125, mae 4.5, r2 0.9000",
    ):
        assert part in re.sub(r"\s+", " ", text)
    assert not re.search(r"\d\.\d{8}", text)
    assert "–" not in text
    assert "hidden" not in text  # it is the same in all
    for needed in ("0.002368", "0.01154", "mish", "128", "3"):
        assert needed in text


def test_a_search_is_sorted_as_asked(
    run_script: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, search: Path
) -> None:
    lines = on_terminal(run_script, monkeypatch, 120, str(search), "--sort", "optimizer.lr")
    names = [line.split()[1] for line in lines if line.startswith("│ trial-")]
    assert len(names) == 38
    assert names == sorted(names, reverse=True)  # the rate falls with the number
    by_run = on_terminal(run_script, monkeypatch, 200, str(search), "--by", "run")
    assert sum("search/trial-" in line for line in by_run) == 60


def test_a_search_without_a_finished_trial_shows_the_others(
    run_script: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, search: Path
) -> None:
    for path in search.glob("*/metrics.json"):
        path.write_text('{"status": "running"}')
    lines = on_terminal(run_script, monkeypatch, 100, str(search))
    assert "60 trials: 60 running" in lines[-1]
    assert sum("1 running" in line for line in lines) == 20


def test_several_tested_trials_have_columns(
    run_script: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, search: Path
) -> None:
    path = search / "trial-0042/metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"test/rmse": 6.5, "test/r2": 0.8}))
    lines = on_terminal(run_script, monkeypatch, 160, str(search))
    assert "test/rmse" in lines[1]
    assert "test scores of" not in lines[-1]


def test_other_formats_have_all_trials_in_full(run_script: Callable[..., Ended], search: Path) -> None:
    lines = run_script("results", str(search), "--format", "csv").out.splitlines()
    assert len(lines) == 61
    assert "0.002367728734912439" in lines[1]
    assert lines[1].count(".") > 5


@pytest.mark.parametrize(
    ("value", "brief"),
    [
        ("0.0123456789", "0.01235"),
        ("1.23456789e-07", "1.235e-07"),
        ("-0.0123456789", "-0.01235"),
        ("12345.6789", "12346"),
        ("0.012345", "0.012345"),
        ("1e-05", "1e-05"),
        ("123456789", "123456789"),
        ("[0.9123456789,0.999]", "[0.9123,0.999]"),
        ("[64,64]", "[64,64]"),
        ("v1.23456789.csv", "v1.23456789.csv"),
        ("2024-01-01", "2024-01-01"),
        ("null", "null"),
    ],
)
def test_numbers_that_nobody_types_are_rounded(value: str, brief: str) -> None:
    assert in_brief(value) == brief


def test_values_of_a_chosen_configuration_are_rounded_in_the_log(
    search: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("mlplab").propagate = True
    with caplog.at_level(logging.INFO):
        [best] = select_runs(search)
    assert best.name == "trial-0041"
    assert "lr=0.002368" in caplog.text
