"""`benchmark.py search`, with little to search; and what it reads from the folders of searches."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import polars as pl
import pytest
import yaml
from benchmarks.search.compare import searched
from benchmarks.search.folder import curve_of, trials_of
from benchmarks.search.kills import changed, equal_trials, left_by, stamps_of
from benchmarks.search.measure import measure
from benchmarks.search.peers import seconds_to, target_of
from benchmarks.search.ready import found_in
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial
from support import ROOT, Ended, process

from mlplab.errors import UserError

SCRIPT = str(ROOT / "scripts/benchmark.py")

LR = optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True)


def write_run(folder: Path, **metrics: Any) -> None:
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"status": "done", **metrics}))


def write_search(sweep: Path, errors: Sequence[float | None], *, best: Mapping[str, Any]) -> None:
    """Trials of ten epochs with these validation errors; those without one were pruned after two."""
    storage = JournalStorage(JournalFileBackend(str(sweep.parent / "study.journal")))
    study = optuna.create_study(storage=storage)
    for number, error in enumerate(errors):
        folder, lr = sweep / f"trial-{number:04}", {"lr": 0.01 / (number + 1)}
        if error is None:
            write_run(folder, status="pruned", epochs=2, **{"val/rmse": 99.0})
            trial = create_trial(state=TrialState.PRUNED, params=lr, distributions={"lr": LR})
        else:
            write_run(folder, epochs=10, **{"val/rmse": error})
            trial = create_trial(value=error, params=lr, distributions={"lr": LR})
        study.add_trial(trial)
    (sweep.parent / "study.journal").rename(sweep / "study.journal")
    content = {"monitor": "val/rmse", **best}
    (sweep / "best.yaml").write_text(yaml.safe_dump(content))


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A search of four trials, of which one was pruned."""
    write_search(tmp_path / "sweep", [5.0, None, 4.0, 6.0], best={"trial": 2, "value": 4.0})
    return tmp_path / "sweep"


def test_a_search_is_counted(sweep: Path) -> None:
    found = searched(sweep, 3.0)
    assert (found.seconds, found.best, found.epochs) == (3.0, 4.0, 32)
    assert json.loads(json.dumps(asdict(found)))["ended"] == {"done": 3, "pruned": 1}


def test_a_curve_falls_with_complete_trials(sweep: Path) -> None:
    curve = curve_of(trials_of(sweep))
    assert [error for _, error in curve] == [5, 4, 4]
    moments = [moment for moment, _ in curve]
    written = (sweep / "study.journal").stat().st_mtime
    assert moments == sorted(moments)
    assert written - 60 < moments[-1] <= written + 1


def test_an_error_is_reached_at_a_moment_or_not() -> None:
    curves = [[(1.0, 9.0), (2.0, 5.0)], [(1.0, 4.0)], [(3.0, 6.0)]]
    target = target_of(curves, 0.1)
    assert target == pytest.approx(5.5)
    assert [seconds_to(target, curve) for curve in (*curves, [])] == [2, 1, inf, inf]


def test_trials_that_ended_before_a_kill_are_recognised(sweep: Path) -> None:
    running = sweep / "trial-0004"
    write_run(running, status="running")
    (sweep / "trial-0005").mkdir()
    (sweep / "trial-0005/metrics.json").touch()  # killed while it was created
    before = stamps_of(sweep)
    assert [*before] == ["trial-0000", "trial-0001", "trial-0002", "trial-0003"]
    tested = {"status": "done", "epochs": 10, "val/rmse": 4.0, "test/rmse": 4.2, "linear/test/rmse": 10}
    (sweep / "trial-0002/metrics.json").write_text(json.dumps(tested))
    assert changed(before, stamps_of(sweep)) == []
    os.utime(sweep / "trial-0000/metrics.json", (0, 0))
    (sweep / "trial-0001/metrics.json").unlink()
    (sweep / "trial-0002/metrics.json").write_text(json.dumps({**tested, "val/rmse": 3.9}))
    assert changed(before, stamps_of(sweep)) == ["trial-0000", "trial-0001", "trial-0002"]


def test_two_searches_are_compared(sweep: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_search(other, [5.0, 7.0, 4.0], best={"trial": 2, "value": 4.0})
    assert equal_trials(sweep, sweep) == 4
    assert equal_trials(sweep, other) == 2
    assert left_by(other) == {
        "trials in the study": 3,
        "of these not ended": 0,
        "numbers without a gap": True,
        "folders of trials": 3,
        "best value": 4.0,
    }


def test_a_search_is_compared_with_the_default(tmp_path: Path) -> None:
    write_run(tmp_path / "default", **{"val/rmse": 4.5, "test/rmse": 5.0})
    write_run(tmp_path / "single", **{"val/rmse": 4.8, "test/rmse": 5.6})
    sweep = tmp_path / "search"
    write_search(sweep, [5.0, 4.0], best={"trial": 1, "value": 4.0})
    tested = {"status": "done", "epochs": 10, "val/rmse": 4.0, "test/rmse": 5.2}
    (sweep / "trial-0001/metrics.json").write_text(json.dumps(tested))
    found = found_in(tmp_path, "concrete", 0, "test/rmse")
    assert found.val == {"network": 4.8, "search": 4.0}
    assert found.test == {"default": 5.0, "network": 5.6, "search": 5.2}
    (sweep / "ensemble-5").mkdir()
    (sweep / "ensemble-5/ensemble.json").write_text(json.dumps({"runs": {"trial-0001": 1}, "test/rmse": 4.9}))
    assert found_in(tmp_path, "concrete", 0, "test/rmse").test["ensemble"] == 4.9


@pytest.mark.parametrize("words", [(), ("what=locksteps",), ("what=kills", "what=ready")])
def test_one_benchmark_is_named(words: Sequence[str]) -> None:
    with pytest.raises(UserError, match=r"what: .*one of lockstep, .*bookkeeping, ready"):
        measure(words)


def test_each_benchmark_has_its_own_arguments() -> None:
    with pytest.raises(UserError, match="cap"):
        measure(["what=kills", "cap=3"])
    with pytest.raises(UserError, match="tables"):
        measure(["what=ready"])


def measured(what: str, folder: Path, *words: str) -> tuple[Ended, dict[str, Any]]:
    """A search benchmark that has ended well, and its file."""
    ended = process([SCRIPT, "search", f"what={what}", *words], folder)
    assert ended.status == 0, ended.err
    return ended, json.loads((folder / f"outputs/benchmarks/search-{what}.json").read_text())


SMALL = ("trials=4", "batch=2", "epochs=3")


@pytest.mark.slow
def test_peers_reach_an_error(tmp_path: Path) -> None:
    ended, stored = measured("peers", tmp_path, "repeats=1", "epochs=2", "target=14", "pruner=median")
    assert "seconds until val/rmse 14 on concrete" in ended.out
    curves = stored["best so far"]
    assert [*curves] == ["scikit-learn with Optuna", "Lightning with Optuna"]
    for [curve] in curves.values():
        assert 0 < curve[0][0] <= curve[-1][0] < 300
        assert curve[-1][1] <= 14
        assert all(error > 14 for _, error in curve[:-1])


@pytest.mark.slow
def test_a_peer_stops_at_its_cap(tmp_path: Path) -> None:
    _, stored = measured("peers", tmp_path, "repeats=1", "epochs=1", "target=0.01", "cap=0.001")
    assert [len(curve) for [curve] in stored["best so far"].values()] == [1, 1]


@pytest.mark.slow
def test_mlplab_reaches_its_own_error_and_peers_try(tmp_path: Path) -> None:
    few = (*SMALL, "repeats=1", "cap=1")
    ended, stored = measured("peers", tmp_path, *few)
    [curve] = stored["best so far"]["mlplab"]
    assert len(curve) == 4
    assert stored["target"] == pytest.approx(curve[-1][1] * 1.01)
    assert "1 of 1" in ended.out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "variants"),
    [
        ("lockstep", ["batches of 2", "one trial at a time"]),
        ("widths", ["batches of 2", "one trial at a time"]),
        ("pruning", ["pruning=none", "pruning=halving", "pruning=hyperband"]),
    ],
)
def test_variants_of_a_search_are_compared(tmp_path: Path, what: str, variants: list[str]) -> None:
    _, stored = measured(what, tmp_path, *SMALL, "repeats=1")
    assert [*stored["searches"]] == variants
    for [search] in stored["searches"].values():
        assert search["seconds"] > 0
        assert search["best"] > 0
        assert sum(search["ended"].values()) == 4
        assert search["epochs"] <= 12
    assert stored["searches"][variants[0]][0]["epochs"] == 12


@pytest.mark.slow
def test_bookkeeping_is_measured_without_training(tmp_path: Path) -> None:
    ended, stored = measured("bookkeeping", tmp_path, "trials=6", "batch=3")
    assert "bookkeeping of 6 trials" in ended.out
    assert 0 < stored["sampler"] < stored["search"] < 60


@pytest.mark.slow
def test_a_search_is_killed(tmp_path: Path) -> None:
    _, stored = measured("kills", tmp_path, "kills=2", "trials=4", "batch=2", "epochs=300")
    for name in ("left alone", "killed"):
        assert stored[name]["trials in the study"] == stored[name]["folders of trials"] == 4
        assert stored[name]["of these not ended"] == 0
        assert stored[name]["numbers without a gap"]
    assert stored["changed"] == []


@pytest.mark.slow
def test_the_ready_search_is_compared(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0)
    x = drawn.normal(size=60)
    (tmp_path / "tables/splits").mkdir(parents=True)
    pl.DataFrame({"x": x, "z": drawn.normal(size=60), "y": 2 * x}).write_csv(tmp_path / "tables/line.csv")
    words = ["test" if row % 4 == 0 else "train" for row in range(60)]
    (tmp_path / "tables/splits/line-0.txt").write_text("\n".join(words))
    search = "search=sweep=quick sweep.trials=2 sweep.ensemble=2"
    _, stored = measured("ready", tmp_path, "tables=tables", search, "overrides=trainer.max_epochs=2")
    [found] = stored["errors"]
    assert (found["table"], found["split"], found["trials"]) == ("line", 0, 2)
    assert [*found["val"]] == ["network", "search"]
    assert [*found["test"]] == ["default", "network", "search", "ensemble"]
