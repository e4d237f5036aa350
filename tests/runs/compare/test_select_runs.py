"""Which runs of a sweep predict."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from support import write_config

from mlplab.runs.compare.ranking import select_runs


@pytest.mark.parametrize(("monitor", "best_first"), [("val/mae", [1, 2, 3]), ("val/accuracy", [3, 2, 1])])
def test_runs_are_chosen_by_their_validation_metric_and_never_by_the_test(
    tmp_path: Path, monitor: str, best_first: Sequence[int]
) -> None:
    for place, value in enumerate(best_first):
        run = tmp_path / f"lr={place}"
        run.mkdir()
        write_config(run, {"seed": 0, "monitor": monitor, "optimizer": {"lr": place}})
        metrics = {"status": "done", monitor: value, monitor.replace("val", "test"): -value}
        (run / "metrics.json").write_text(json.dumps(metrics))
    assert [run.name for run in select_runs(tmp_path, "best")] == ["lr=0"]
    assert [run.name for run in select_runs(tmp_path, 2)] == ["lr=0", "lr=1"]
