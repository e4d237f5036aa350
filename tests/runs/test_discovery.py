"""Run folders, and those of other versions."""

import logging
from pathlib import Path

import pytest
from support import write_config

from mlplab.commands.results import read_runs
from mlplab.errors import UserError
from mlplab.runs.discovery import read_config
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
