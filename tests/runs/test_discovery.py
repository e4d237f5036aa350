"""Run folders, those of other versions, and the files of a search."""

import logging
from pathlib import Path

import pytest
import yaml
from support import write_config

from mlplab.commands.results import read_runs
from mlplab.errors import UserError
from mlplab.runs.compare.run_result import RunResult, trials_in_order
from mlplab.runs.discovery import BEST_TRIAL_FILE, read_config, write_best_trial
from mlplab.runs.folder import RunFolder


def run_of(folder: Path, text: str | None = None) -> Path:
    folder.mkdir()
    write_config(folder, {"seed": 1})
    if text is not None:
        (folder / "config.yaml").write_text(text)
    (folder / "metrics.json").write_text('{"status": "done", "test/rmse": 1.0}')
    return folder


def test_this_version_reads_its_own_folders(tmp_path: Path) -> None:
    RunFolder(tmp_path / "r").create({"seed": 1})
    assert read_config(tmp_path / "r") == {"seed": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\ninit: null\n", "was written by mlplab 0.1"),
        ("# mlplab 9.1.0\nseed: 1\n", "was written by mlplab 9.1"),
        ("", "is damaged"),
        ("seed: [", "is damaged"),
    ],
)
def test_other_folders_are_refused_with_the_reason(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_config(run_of(tmp_path / "r", text))


def test_a_table_leaves_out_runs_of_other_versions(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("mlplab").propagate = True
    run_of(tmp_path / "new")
    run_of(tmp_path / "old", "seed: 1\n")
    [run] = read_runs([tmp_path])
    assert run.folder == tmp_path / "new"
    assert "left out, because it cannot be read: " in caplog.text
    with pytest.raises(UserError, match=r"was written by mlplab 0\.1"):
        read_runs([tmp_path / "old"])


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
def test_the_best_trial_is_read_as_it_was_written(tmp_path: Path, odd: str) -> None:
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
