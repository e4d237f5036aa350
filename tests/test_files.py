from pathlib import Path

import pytest

from mlplab.files import replacing


def test_a_file_is_replaced_whole_or_left(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replacing(path) as partial:
        partial.write_text("first")
        assert not path.exists()

    def half() -> None:
        with replacing(path) as partial:
            partial.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="full"):
        half()
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]
