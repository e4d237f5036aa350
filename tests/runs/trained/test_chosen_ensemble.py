"""The file of a chosen ensemble, which may come from a stranger."""

from pathlib import Path

import pytest

from mlplab.errors import UserError
from mlplab.runs.trained.chosen_ensemble import ChosenEnsemble, is_written_later

CHOSEN = ChosenEnsemble({"a": 0.75, "b": 0.25}, {"val/mae": 1.5, "test/r2": None})
HALVES = '{"runs": {"a": 0.5, "%s": 0.5}, "scores": {}}'
NO_FILE, NO_SUM, NOT_BESIDE = "is not the file of a chosen", "no weights with the sum 1", "not beside it"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file in the folder of a sweep."""
    for run in ("s/a", "s/b", "elsewhere"):
        (tmp_path / run / "checkpoints").mkdir(parents=True)
        (tmp_path / run / "config.yaml").touch()
    return tmp_path / "s/ensemble-2.json"


def test_it_is_read_as_written(path: Path) -> None:
    for ensemble in (ChosenEnsemble({"a": 1.0}, {}), CHOSEN):  # the second replaces the first
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
    with pytest.raises(UserError, match=f"ensemble-2.json: .*{message}.*\n.*choose again"):
        ChosenEnsemble.read(path)
