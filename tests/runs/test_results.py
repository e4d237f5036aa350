import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
import yaml

from mlplab.errors import UserError
from mlplab.runs import show
from mlplab.runs.results import results


def write(folder: Path, lr: float, seed: int, rmse: float | None, status: str = "done", **more: Any) -> None:
    folder.mkdir(parents=True)
    config = {"name": folder.name, "seed": seed, "optimizer": {"lr": lr}, "model": {"hidden": [8, 8]}, **more}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
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
    found = results([sweep])
    assert found.by == ("optimizer.lr",)
    best, other = found.groups
    assert best.key == ("0.01",)
    assert best.runs == 1
    assert best.others == {"diverged": 1, "running": 1}
    assert best.scores["test/rmse"][0] == 3
    values = [5.0, 6.0, 10.0]
    assert other.scores["test/rmse"] == pytest.approx((mean(values), stdev(values), stdev(values) / 3**0.5))


def test_grouping_and_sorting(sweep: Path) -> None:
    assert [group.key for group in results([sweep], ["seed"], "seed").groups] == [("0",), ("1",), ("2",)]
    assert [group.key for group in results([sweep], sort="optimizer.lr").groups] == [("0.01",), ("0.1",)]
    runs = results([sweep / "s/lr=0.1,seed=2", sweep / "s/lr=0.1,seed=0"], ["run"])
    assert [group.scores["test/rmse"][0] for group in runs.groups] == [5, 10]
    assert [group.key[0] for group in results([sweep], sort="val/rmse").groups] == ["0.1", "0.01"]


def test_a_key_that_only_some_runs_have_differs(sweep: Path) -> None:
    write(sweep / "alone", 0.1, 0, 1.0, loss={"delta": 2.0})
    assert set(results([sweep]).by) == {"optimizer.lr", "loss.delta"}


def test_a_run_counts_once_however_often_it_is_named(sweep: Path) -> None:
    found = results([sweep, sweep / "s", sweep / "s/lr=0.1,seed=0"])
    assert [group.runs for group in found.groups] == [1, 3]


def test_a_run_without_metrics_is_shown(sweep: Path) -> None:
    run = sweep / "s/lr=0.1,seed=0"
    (run / "metrics.json").unlink()
    (run / "checkpoints").mkdir()
    assert results([sweep], sort="optimizer.lr").groups[1].others == {"unknown": 1}


def test_the_three_forms(sweep: Path) -> None:
    found = results([sweep])
    assert (
        show.results_markdown(found)
        .splitlines()[0]
        .startswith("| optimizer.lr | runs | val/rmse ± SD (SE) |")
    )
    assert "| 0.1 | 3 | -7 ± 2.6 (1.5) | 7 ± 2.6 (1.5) |" in show.results_markdown(found)
    assert "1 diverged, 1 running" in show.results_markdown(found)
    header, first, _ = show.results_csv(found).splitlines()
    assert header.startswith("optimizer.lr,runs,val/rmse,val/rmse SD,val/rmse SE,test/rmse,")
    assert first.startswith("0.01,1,-3.0,,,3.0,,,")
    assert show.results_grid(found).row_count == 2


@pytest.mark.parametrize(
    ("by", "sort", "said"),
    [
        (["lr"], "test/rmse", r"--by: no run knows this \(found 'lr'.*\n  did you mean optimizer.lr"),
        (["seed"], "rmse", "--sort: no run knows this"),
    ],
)
def test_unknown_names_are_told(sweep: Path, by: list[str], sort: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        results([sweep], by, sort)


def test_damaged_runs_and_empty_folders_are_told(sweep: Path) -> None:
    (sweep / "empty").mkdir()
    with pytest.raises(UserError, match="holds no run"):
        results([sweep / "empty"])
    with pytest.raises(UserError, match="no such folder"):
        results([sweep / "nowhere"])
    (sweep / "s/lr=0.1,seed=0/metrics.json").write_text("{")
    with pytest.raises(UserError, match=r"metrics.json: is damaged"):
        results([sweep])
