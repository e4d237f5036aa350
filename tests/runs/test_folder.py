"""Run folders: who gets one, those of other versions, what is written of a failure; the files of a search."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import yaml
from support import write_config

from mlplab.commands.results import read_runs
from mlplab.errors import FolderInUse, UserError
from mlplab.files import FolderLock
from mlplab.runs.compare.run_result import RunResult, trials_in_order
from mlplab.runs.discovery import BEST_TRIAL_FILE, read_config, read_metrics, write_best_trial
from mlplab.runs.folder import RunFolder, record_failure


def test_one_of_many_gets_a_folder(tmp_path: Path) -> None:
    barrier = Barrier(20)

    def create(_: int) -> bool:
        barrier.wait()
        try:
            RunFolder(tmp_path / "run").create({})
        except UserError:
            return False
        return True

    with ThreadPoolExecutor(20) as threads:
        assert sum(threads.map(create, range(20))) == 1


def test_a_folder_in_use_and_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for folder in (tmp_path, tmp_path / "link"):
        with pytest.raises(FolderInUse, match="exists and is not empty"):
            RunFolder(folder).create({})
    with pytest.raises(UserError, match="is a file, not a folder") as error:
        RunFolder(tmp_path / "file").create({})
    assert not isinstance(error.value, FolderInUse)  # for which a sweep would wait


def test_a_failure_is_recorded_of_a_run_that_was_to_grow(tmp_path: Path) -> None:
    """Otherwise its sweep would hand it over for ever, as one that was stopped."""
    folder, epochs = RunFolder(tmp_path / "run"), {"max_epochs": 3}
    folder.create({"seed": 0, "trainer": epochs})
    folder.write_metrics({"status": "interrupted", "reason": "a signal"})
    folder.lock.release()
    longer = {"seed": 0, "trainer": {"max_epochs": 4}}
    record_failure(folder.path, longer | {"seed": 1}, "its state is damaged")
    with FolderLock(folder.path):
        record_failure(folder.path, longer, "in use")
    assert read_metrics(folder.path)["status"] == "interrupted"
    record_failure(folder.path, longer, "its state is damaged")
    assert read_metrics(folder.path)["status"] == "failed"


def run_of(folder: Path, text: str | None = None) -> Path:
    folder.mkdir()
    write_config(folder, {"seed": 1})
    if text is not None:
        (folder / "config.yaml").write_text(text)
    (folder / "metrics.json").write_text('{"status": "done", "test/rmse": 1.0}')
    return folder


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\ninit: null\n", "was written by mlplab 0.1"),
        ("# mlplab 9.1.0\nseed: 1\n", "was written by mlplab 9.1"),
        ("", "is damaged"),
        ("seed: [", "is damaged"),
    ],
)
def test_other_folders_are_refused_with_the_reason_and_left_out_of_tables(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, message: str
) -> None:
    caplog.set_level("INFO", "mlplab")
    new, other = run_of(tmp_path / "new"), run_of(tmp_path / "other", text)
    assert read_config(new) == {"seed": 1}
    with pytest.raises(UserError, match=message):
        read_config(other)
    assert [run.folder for run in read_runs([tmp_path])] == [new]
    assert "left out, because it cannot be read: " in caplog.text
    with pytest.raises(UserError, match=message):
        read_runs([other])


@pytest.mark.parametrize("odd", ["a: x", "a\nb: [", "a\u2028b: [", "a\x85b: [", "a\x1bb"])
def test_the_best_trial_is_read_as_it_was_written(tmp_path: Path, odd: str) -> None:
    best = {
        "trial": "trial-0042",
        "monitor": "val/mae",
        "value": 3.141,
        "trials": {"done": 40, "pruned": 20, "diverged": 4},
        "configuration": {"optimizer.lr": 1e-05, "model.hidden": [128, 128], "data.path": odd},
        "command": f"uv run scripts/train.py 'model.hidden=[128,128]' {odd}",
    }
    for test in ({"rmse": 5.1, "r2": None}, {}):
        write_best_trial(tmp_path, best | {"test": test})
        found = yaml.safe_load((tmp_path / BEST_TRIAL_FILE).read_text(encoding="utf-8"))
        assert found == best | {"test": test}
    assert [path.name for path in tmp_path.iterdir()] == [BEST_TRIAL_FILE]


def test_trials_are_in_their_order_and_apart_from_other_runs() -> None:
    def ordered(*names: str) -> list[str]:
        return [run.folder.name for run in trials_in_order([RunResult(Path(name), {}, {}) for name in names])]

    assert ordered("trial-12345", "trial-0042", "trial-9999") == ["trial-0042", "trial-9999", "trial-12345"]
    for other in ("trial-42", "lr=0.1", "trial-0042,x", "a-trial-0042"):
        assert ordered("trial-0001", other) == []
