"""`benchmark.py` as users run it, with little to measure."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest
from support import ROOT, assert_short_answer, process

SCRIPT = str(ROOT / "scripts/benchmark.py")


def test_help_and_a_name_that_is_none(tmp_path: Path) -> None:
    assert process([SCRIPT, "--help"], tmp_path).out.startswith("This project beside its peers")
    assert_short_answer(
        process([SCRIPT, "stak"], tmp_path), ["unknown benchmark", "stak", "step, sweep or stack"]
    )


@pytest.mark.slow
def test_a_stack_is_measured_and_stored(tmp_path: Path) -> None:
    ended = process([SCRIPT, "stack", "repeats=1", "members=1,4", "output=stack.json"], tmp_path)
    assert ended.status == 0, ended.err
    assert "microseconds of one member in one step" in ended.out
    stored = json.loads((tmp_path / "stack.json").read_text())
    assert stored["packages"]["torch"] == version("torch")
    assert len(stored["times"]) == 15 * 2
    assert all(time["seconds"][0] > 0 for time in stored["times"])
