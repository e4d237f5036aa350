"""Which runs of a sweep predict."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from support import write_config

from mlplab.errors import UserError
from mlplab.runs.compare.ranking import select_runs


@pytest.mark.parametrize(("monitor", "best_first"), [("val/mae", [1, 2, 3]), ("val/accuracy", [3, 2, 1])])
def test_runs_are_chosen_by_their_validation_metric_and_never_by_the_test(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monitor: str, best_first: Sequence[int]
) -> None:
    caplog.set_level("INFO", "mlplab")
    for place, value in enumerate(best_first):
        run = tmp_path / f"lr={place}"
        run.mkdir()
        write_config(run, {"seed": 0, "monitor": monitor, "optimizer": {"lr": place}})
        metrics = {"status": "done", monitor: value, monitor.replace("val", "test"): -value}
        (run / "metrics.json").write_text(json.dumps(metrics))
    assert [run.name for run in select_runs(tmp_path, "best")] == ["lr=0"]
    assert [run.name for run in select_runs(tmp_path, 2)] == ["lr=0", "lr=1"]
    assert {run.name for run in select_runs(tmp_path, "all")} == {"lr=0", "lr=1", "lr=2"}
    assert select_runs(tmp_path / "lr=2") == [tmp_path / "lr=2"]
    assert caplog.messages == [
        f"{tmp_path}: 1 of 3 runs, those with lr=0: the best of 3 configurations by {monitor}",
        f"{tmp_path}: the 2 best of 3 runs by {monitor}",
        f"{tmp_path}: all 3 runs",
    ]
    expected = "expected best, all, or a number of runs"
    with pytest.raises(UserError, match=rf"runs: invalid value \(found 'some', {expected}\)"):
        select_runs(tmp_path, "some")
