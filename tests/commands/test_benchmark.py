"""`benchmark.py` as users run it, with little to measure."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from benchmarks.browser import CHROMIUM
from benchmarks.csv import cap_of, growth_of
from benchmarks.timing import Times
from support import ROOT, assert_short_answer, process

SCRIPT = str(ROOT / "scripts/benchmark.py")


def test_help_and_a_name_that_is_none(tmp_path: Path) -> None:
    assert process([SCRIPT, "--help"], tmp_path).out.startswith("Compares this project")
    assert_short_answer(
        process([SCRIPT, "stak"], tmp_path),
        [
            "unknown benchmark",
            "stak",
            "one of step, sweep, stack, ensemble, devices, pictures, csv, predict, search, engines, quality",
        ],
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


@pytest.mark.slow
def test_ensembles_are_measured_beside_one_network(tmp_path: Path) -> None:
    ended = process([SCRIPT, "ensemble", "repeats=1", "members=1,2", "output=ensemble.json"], tmp_path)
    assert ended.status == 0, ended.err
    assert "seconds of training by members of the ensemble" in ended.out
    assert len(json.loads((tmp_path / "ensemble.json").read_text())["times"]) == 6


@pytest.mark.slow
def test_several_devices_are_measured_beside_one(tmp_path: Path) -> None:
    ended = process([SCRIPT, "devices", "repeats=1", "epochs=1", "output=devices.json"], tmp_path)
    assert ended.status == 0, ended.err
    assert "an epoch of 40,000 rows" in ended.out
    assert len(json.loads((tmp_path / "devices.json").read_text())["times"]) == 4


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium")
def test_pictures_are_measured(tmp_path: Path) -> None:
    few = ("repeats=1", "runs=1", "look=2", "epochs=3", "output=pictures.json")
    ended = process([SCRIPT, "pictures", *few], tmp_path)
    assert ended.status == 0, ended.err
    assert "opening TensorBoard" in ended.out
    assert len(json.loads((tmp_path / "pictures.json").read_text())["times"]) == 4


def test_growth_is_found_on_a_line_and_as_a_power() -> None:
    line = growth_of({rows: Times([0.1 + 2e-6 * rows]) for rows in (10_000, 100_000, 1_000_000)})
    assert line["start"] == pytest.approx(0.1)
    assert line["each row"] == pytest.approx(2e-6)
    assert line["residual"] < 1e-6
    square = growth_of({rows: Times([3e-9 * rows**2]) for rows in (10, 100, 1000)})
    assert square["exponent"] == pytest.approx(2)
    assert square["residual"] > 0.1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the memory that a process has taken")
def test_reading_and_training_from_a_file_are_measured(tmp_path: Path) -> None:
    few = ("repeats=1", "rows=1000", "epochs=1", "columns=40")
    ended = process([SCRIPT, "csv", *few, "output=csv.json"], tmp_path)
    assert ended.status == 0, ended.err
    assert "wide tables of 2,000 rows" in ended.out
    assert "a CSV file of 1,000 × 21 numbers" in ended.out
    stored = json.loads((tmp_path / "csv.json").read_text())
    answers = {tuple(each["of"]): each["answers"][0] for each in stored["details"]}
    assert {("mlplab", rows) for rows in (10, 100, 1000)} | {("polars", 1000), ("pandas", 1000)} <= set(
        answers
    )
    assert answers["wide", "mlplab", 40]["tensors"] == 2000 * (39 * 4 + 8)
    assert answers["wide", "describe", 40]["seconds"] > 0
    assert [answers[where,]["memmapped"] for where in ("in memory", "from a file")] == [False, True]
    assert answers["from a file",]["rows"] == 800
    assert answers["mlplab", 1000]["tensors"] == 1000 * (20 * 4 + 8)
    assert answers["polars", 1000]["tensors"] == 1000 * 21 * 4
    assert stored["cap"]["budget"] == 1000 * 20
    small = stored["cap"]["small training"]
    assert small["memmapped"]
    assert stored["cap"]["bytes"] == cap_of(small["peak"], 1000 * 20 * 4) > small["peak"] >= small["memory"]


def test_a_cap_is_what_a_small_training_takes_and_less_than_the_table_more() -> None:
    assert cap_of(600, 1000) == 1100
    assert cap_of(600, 0) == 660


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the memory that a process has taken")
def test_prediction_is_measured_beside_polars(tmp_path: Path) -> None:
    words = ("repeats=1", "rows=1000", "runs=3", "output=predict.json")
    ended = process([SCRIPT, "predict", *words], tmp_path)
    assert ended.status == 0, ended.err
    assert "CSV to CSV of 1,000 rows" in ended.out
    assert "3 runs as an ensemble" in ended.out
    times = [time["of"] for time in json.loads((tmp_path / "predict.json").read_text())["times"]]
    by = ["mlplab", "polars", "mlplab, as a process", "mlplab, as a process, one row"]
    of_ensemble = ["load", "all rows", "one row", "all rows, one by one", "one row, one by one"]
    assert [each for _, each in times] == by * 2 + of_ensemble
