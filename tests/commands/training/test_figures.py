"""The figures that runs and sweeps leave behind."""

import errno
import json
import re
from pathlib import Path
from unittest.mock import Mock

import polars as pl
import pytest
from commands.mistakes import Command
from commands.people import people
from support import SMALL, status_of, write_config

from mlplab.commands.train import draw_figures
from mlplab.figures import is_drawn
from mlplab.figures.write_figures import read_figures
from mlplab.sweeps.conclude import draw_sweep, results_of

OF_ALL = {"learning_curves", "coverage"}
OF_NUMBERS = {*OF_ALL, "predicted_vs_actual", "residuals"}
OF_CLASSES = {*OF_ALL, "confusion", "roc_and_precision_recall", "threshold", "calibration"}
QUICK = (
    *("model.hidden=[8]", "trainer.max_epochs=2", "baselines=[linear]", "ensemble=1", "figures=auto"),
    *("data=csv", "data.path=t.csv", "name=r"),
)
RUN = Path("outputs/r")

pytestmark = pytest.mark.usefixtures("quick_images")


def table() -> pl.DataFrame:
    """With odd names of columns and classes, and rows without weight."""
    frame = people(rows=300).rename({"size": "size [mm]", "colour": "the.colour", "bought": "kind"})
    return frame.with_columns(
        pl.col("size [mm]") + 1e6,
        kind=pl.col("kind").replace("yes", "</script>"),
        weight=pl.when(pl.col("the.colour") != "red").then("weight").fill_null(0),
    )


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["data.target=price", "data.columns.kind=drop", "data.weight=weight"], OF_NUMBERS),
        (["data.target=[price,weight]", "data.columns.kind=drop"], OF_NUMBERS),
        (["data.target=kind"], OF_CLASSES),
    ],
    ids=["regression", "several targets", "two classes"],
)
def test_a_run_alone_is_drawn(
    succeed: Command, monkeypatch: pytest.MonkeyPatch, overrides: list[str], expected: set[str]
) -> None:
    (frame := table()).write_csv("t.csv")
    assert "no figures" not in succeed("train", *QUICK, *overrides).out
    figures = read_figures(RUN)
    assert figures.keys() == {path.stem for path in RUN.glob("figures/*.png")} == expected
    for figure in figures.values():
        assert figure["description"]
        assert not {"hconcat", "concat"} & figure.keys()  # they fit beside text, and on a phone
        assert max(map(int, re.findall(r'"width": (\d+)', json.dumps(figure)))) <= 420
    if "data.target=price" in overrides:  # what is drawn are the test predictions of rows that have weight
        predicted = pl.read_csv(RUN / "test_predictions.csv")
        has_weight = frame["weight"].gather(predicted["row"] - 1) > 0
        assert 0 < has_weight.sum() < len(predicted)
        points = figures["predicted_vs_actual"]["layer"][1]["data"]["values"]
        ours = [point["predicted"] for point in points if point["model"] == "this network"]
        assert ours == pytest.approx(predicted.filter(has_weight)["prediction"].to_list())
    Path("t.csv").unlink()
    monkeypatch.setattr("mlplab.commands.train.heavy_imports", None)  # neither table nor torch is needed
    again = succeed("train", "resume=outputs/r")
    assert again.out.splitlines()[0] == "outputs/r has already finished"


@pytest.mark.parametrize(("figures", "expected"), [("auto", "best"), ("all", "best other"), ("none", "")])
def test_of_a_sweep_the_best_or_all_are_drawn(tmp_path: Path, figures: str, expected: str) -> None:
    for name, score in {"best": 1.0, "other": 2.0, "failed": 0.5, "drawn": 3.0}.items():
        (tmp_path / name / "figures").mkdir(parents=True)
        write_config(tmp_path / name, {"monitor": "val/mae", "figures": figures, "optimizer": {"lr": score}})
        status = "failed" if name == "failed" else "done"
        metrics = {"status": status, "val/mae": score, "test/rmse": score}
        (tmp_path / name / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "drawn/figures/coverage.vl.json").touch()
    draw_sweep(results_of(tmp_path), drawing := Mock())
    assert all(call.args[0] is draw_figures for call in drawing.call.call_args_list)
    assert {call.args[1].name for call in drawing.call.call_args_list} == {*expected.split()}


FAULTS = [(ValueError("not drawn"), 0), (OSError(errno.ENOSPC, "No space left on device"), 1)]


@pytest.mark.parametrize(("fault", "status"), FAULTS)
def test_a_figure_that_cannot_be_drawn_is_a_warning_unless_the_disk_is_full(
    command: Command, monkeypatch: pytest.MonkeyPatch, fault: Exception, status: int
) -> None:
    words = {"r": (*SMALL, "figures=auto"), "s": ("-m", *SMALL, "figures=auto", "seed=0,1")}
    with monkeypatch.context() as patched:
        patched.setattr("mlplab.figures.write_figures.image", Mock(side_effect=fault))
        for name in words:
            ended = command(*words[name], f"name={name}")
            assert ended.status == status, ended
            assert "rmse" in ended.out
            assert ended.out.count(f"warning: no figures of outputs/{name}") == 1 - status
            assert fault.args[-1] in " ".join((ended.out + ended.err).split())
    assert (status_of(RUN), is_drawn(RUN)) == ("done", False)
    assert command("resume=outputs/r").status == 0  # draws what is missing
    assert is_drawn(RUN)
    assert command(*words["s"], "name=s").status == 0
    assert len([*Path("outputs/s").glob("*/figures")]) == 1


def test_a_run_that_trains_on_is_drawn_again(succeed: Command) -> None:
    words = ("scheduler=constant", "model.linear_path=false", "figures=auto", "name=r")
    succeed("train", *SMALL[:-1], *words, "trainer.max_epochs=2")
    (RUN / "figures/importance.png").write_bytes(b"of the network so far")
    before = read_figures(RUN)["predicted_vs_actual"]
    succeed("train", "resume=outputs/r", "trainer.max_epochs=4")
    assert read_figures(RUN)["predicted_vs_actual"] != before
    assert not (RUN / "figures/importance.png").exists()
