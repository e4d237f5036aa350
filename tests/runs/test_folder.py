"""Run folders: who gets one, those of other versions, what is written of a failure; the files of a search."""

import json
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import yaml
from support import write_config

from mlplab.commands.results import read_runs
from mlplab.errors import FolderInUse, UserError
from mlplab.files import FolderLock, Plain, read_json
from mlplab.runs import folder as folders
from mlplab.runs.compare.ranking import select_runs
from mlplab.runs.compare.run_result import RunResult, trials_in_order
from mlplab.runs.discovery import BEST_TRIAL_FILE, ChosenEnsemble, is_written_later, write_best_trial
from mlplab.runs.folder import RunFolder, record_failure
from mlplab.runs.read_folder import read_config, read_metrics
from mlplab.runs.trained.load import load_runs
from mlplab.runs.versions import VERSION


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


def test_a_run_may_begin_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process writes its file at any moment: here after each read."""

    def read_before_it_is_written(path: Path) -> Plain:
        content = read_json(path)
        (tmp_path / "metrics.json").write_text('{"status": "running"}')
        return content

    monkeypatch.setattr("mlplab.runs.read_folder.read_json", read_before_it_is_written)
    (tmp_path / "metrics.json").touch()
    assert read_metrics(tmp_path) == {"status": "unknown"}


def test_new_files_are_changes_of_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a", *words], cwd=tmp_path, check=True)

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    monkeypatch.setattr(folders, "__file__", str(tmp_path / "folder.py"))
    for changed in (False, True):
        state = folders._git_state.__wrapped__()
        assert (len(state["commit"]), state["changed"]) == (40, changed)
        (tmp_path / "new.py").touch()


def run_of(folder: Path) -> Path:
    folder.mkdir()
    write_config(folder, {"seed": 1})
    (folder / "metrics.json").write_text('{"status": "done", "test/rmse": 1.0}')
    return folder


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\n", rf"by mlplab 0.1, which this version \({VERSION}\) cannot read\n.*use mlplab 0.1"),
        ("# mlplab 9.1.0\nseed: 1\n", "was written by mlplab 9.1"),
        ("", "is damaged"),
        ("seed: [", "is damaged"),
    ],
)
def test_other_folders_are_refused_with_the_reason_and_left_out_of_tables(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, message: str
) -> None:
    caplog.set_level("INFO", "mlplab")
    new, other = run_of(tmp_path / "new"), run_of(tmp_path / "other")
    (other / "config.yaml").write_text(text)
    assert read_config(new) == {"seed": 1}
    with pytest.raises(UserError, match=message):
        read_config(other)
    assert [run.folder for run in read_runs([tmp_path])] == [new]
    assert "left out, because it cannot be read: " in caplog.text
    with pytest.raises(UserError, match=message):
        read_runs([other])


@pytest.mark.parametrize("odd", ["a: x", "a\nb: [", "a\u2028b: [", "a\x85b: [", "a\x1bb"])
def test_the_best_trial_is_read_as_it_was_written(tmp_path: Path, odd: str) -> None:
    sampled = {"optimizer.lr": 1e-05, "model.hidden": [128, 128], "data.path": odd}
    best = {"trial": "trial-0042", "value": 3.141, "configuration": sampled, "command": f"'[1,2]' {odd}"}
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


CHOSEN = ChosenEnsemble({"a": 0.75, "b": 0.25})
HALVES = '{"runs": {"a": 0.5, "%s": 0.5}, "scores": {}}'
NO_FILE, NO_SUM, NOT_BESIDE = "is not the file of a chosen", "no weights with the sum 1", "not beside it"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    for run in ("s/a", "s/b", "elsewhere"):
        (tmp_path / run / "checkpoints").mkdir(parents=True)
        (tmp_path / run / "config.yaml").touch()
    return tmp_path / "s/ensemble-2.json"


def test_it_is_read_as_written(path: Path) -> None:
    for ensemble in (ChosenEnsemble({"a": 1.0}), CHOSEN):  # the second replaces the first
        ensemble.write(path)
        assert ChosenEnsemble.read(path) == ensemble
    assert is_written_later(path.name)
    assert not is_written_later("ensemble-2.json.txt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        *((content, NO_FILE) for content in ("", "{", "[]", "[" * 100_000, " " * 2**21, HALVES[:-1] % "b")),
        *((HALVES.replace("0.5,", weight) % "b", NO_FILE) for weight in ("NaN,", "1e999,", '"x",', "[],")),
        *((HALVES.replace("0.5,", weight) % "b", NO_SUM) for weight in ("0,", "-0.5,", "1.5,", "2e300,")),
        *((HALVES % name, NOT_BESIDE) for name in ("c", "../elsewhere", "", ".", "b/checkpoints", "b/../b")),
    ],
)
def test_hostile_files_are_refused(path: Path, content: str, message: str) -> None:
    path.write_text(content)
    with pytest.raises(UserError, match=f"ensemble-2.json: .*{message}.*\n.*average the best"):
        ChosenEnsemble.read(path)


def test_a_file_that_is_too_large_is_not_read(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**26 + 1)
    said = r"too large for a chosen ensemble: more than 64 MiB\n.*average the best"
    with pytest.raises(UserError, match=said):
        ChosenEnsemble.read(path)


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
    assert select_runs(tmp_path / "lr=2", "best") == [tmp_path / "lr=2"]
    assert caplog.messages == [
        f"{tmp_path}: 1 of 3 runs, those with lr=0: the best of 3 configurations by {monitor}",
        f"{tmp_path}: the 2 best of 3 runs by {monitor}",
        f"{tmp_path}: all 3 runs",
    ]
    expected = "expected best, all, or a number of runs"
    with pytest.raises(UserError, match=rf"runs: invalid value \(found 'some', {expected}\)"):
        select_runs(tmp_path, "some")
    (tmp_path / "ensemble-2.json").touch()
    for path, found in (("lr=2", "a single run"), ("ensemble-2.json", "a chosen ensemble")):
        message = rf"runs=3: has a meaning only for a sweep \(found {found}\)\n.*remove it"
        with pytest.raises(UserError, match=message):
            load_runs(tmp_path / path, 3)
