"""The trials of a search, and the file about the best of them."""

from pathlib import Path

import pytest
import yaml

from mlplab.runs.compare.run_result import RunResult, trials_in_order
from mlplab.runs.discovery import BEST_TRIAL_FILE, write_best_trial

BEST = {
    "trial": "trial-0042",
    "monitor": "val/mae",
    "value": 3.141,
    "trials": {"done": 40, "pruned": 20, "diverged": 4},
    "configuration": {"optimizer.lr": 1e-05, "model.hidden": [128, 128], "model.norm": None},
    "command": "uv run scripts/train.py 'model.hidden=[128,128]' 'name=é: x' optimizer.lr=1e-05",
    "test": {"rmse": 5.1, "r2": None},
}


@pytest.mark.parametrize("odd", ["a: x", "a\nb: [", "a\u2028b: [", "a\x85b: [", "a\x1bb"])
def test_it_is_read_as_it_was_written(tmp_path: Path, odd: str) -> None:
    for best in (BEST, BEST | {"test": {}}, BEST | {"command": odd, "configuration": {"data.path": odd}}):
        write_best_trial(tmp_path, best)
        assert yaml.safe_load((tmp_path / BEST_TRIAL_FILE).read_text(encoding="utf-8")) == best
    assert [path.name for path in tmp_path.iterdir()] == [BEST_TRIAL_FILE]


def test_trials_are_in_their_order_and_apart_from_other_runs() -> None:
    def ordered(*names: str) -> list[str]:
        return [run.folder.name for run in trials_in_order([RunResult(Path(name), {}, {}) for name in names])]

    assert ordered("trial-12345", "trial-0042", "trial-9999") == ["trial-0042", "trial-9999", "trial-12345"]
    for other in ("trial-42", "lr=0.1", "trial-0042,x", "a-trial-0042"):
        assert ordered("trial-0001", other) == []
