import os
import stat
from pathlib import Path

import pytest

from mlplab.errors import FolderInUse
from mlplab.files import FolderLock, replacing


def test_a_file_is_replaced_whole_or_left(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replacing(path) as partial:
        partial.write_text("first")
        assert not path.exists()

    with pytest.raises(OSError, match="full"), replacing(path) as partial:  # noqa: PT012
        partial.write_text("half")
        raise OSError("disk full")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_the_folder_is_synced_after_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a loss of power could bring the older file back."""
    synced: list[str] = []

    def fsync(descriptor: int) -> None:
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        synced.append("folder" if folder else "file")
        assert (tmp_path / "file").exists() == folder

    monkeypatch.setattr(os, "fsync", fsync)
    with replacing(tmp_path / "file") as partial:
        partial.write_text("new")
    assert synced == ["file", "folder"]


def test_one_at_a_time_holds_the_lock_of_a_folder(tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(FolderInUse, match="is in use by another process"):
        FolderLock(tmp_path).acquire()
    assert not any(tmp_path.iterdir())
    with FolderLock(tmp_path):
        assert (tmp_path / ".lock").exists()
