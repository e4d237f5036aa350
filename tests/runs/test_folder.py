"""Run folders: who gets one, what is refused, and what is written of a failure."""

import threading
from pathlib import Path

import pytest

from mlplab.errors import FolderInUse, UserError
from mlplab.files import FolderLock
from mlplab.runs.discovery import read_metrics
from mlplab.runs.folder import RunFolder, record_failure


def test_one_of_many_gets_a_folder(tmp_path: Path) -> None:
    outcomes: list[bool] = []
    barrier = threading.Barrier(20)

    def create() -> None:
        barrier.wait()
        try:
            RunFolder(tmp_path / "run").create({})
            outcomes.append(True)
        except UserError:
            outcomes.append(False)

    threads = [threading.Thread(target=create) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] * 19 + [True]


def test_a_folder_in_use_and_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderInUse, match="exists and is not empty"):
        RunFolder(tmp_path).create({})
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(FolderInUse, match="exists and is not empty"):
        RunFolder(tmp_path / "link").create({})
    with pytest.raises(UserError, match="is a file, not a folder") as error:
        RunFolder(tmp_path / "file").create({})
    assert not isinstance(error.value, FolderInUse)  # for which a sweep would wait


def test_a_failure_is_recorded_of_a_run_that_was_to_grow(tmp_path: Path) -> None:
    """Otherwise its sweep would hand it over for ever, as one that was stopped."""
    folder, epochs = RunFolder(tmp_path / "run"), {"max_epochs": 3}
    folder.create({"seed": 0, "trainer": epochs})
    folder.write_metrics({"status": "interrupted", "reason": "a signal"})
    folder.lock.release()
    for config, status in (({"seed": 1}, "interrupted"), ({"seed": 0}, "failed")):
        record_failure(folder.path, {**config, "trainer": {"max_epochs": 4}}, "its state is damaged")
        assert read_metrics(folder.path)["status"] == status


def test_a_run_in_use_is_not_called_failed(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r/metrics.json").write_text('{"status": "running"}')
    with FolderLock(tmp_path / "r"):
        record_failure(tmp_path / "r", {}, "in use")
    assert read_metrics(tmp_path / "r")["status"] == "running"
