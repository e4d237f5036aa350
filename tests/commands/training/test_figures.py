"""The figures that runs and sweeps leave behind."""

import errno
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pytest
from lightning.pytorch.loggers.logger import DummyLogger
from support import SMALL, Ended, events_of, write_config

from mlplab.commands.train import draw_figures
from mlplab.figures import is_drawn
from mlplab.figures.files import read_figures
from mlplab.sweeps.summary import draw_sweep, results_of

Command = Callable[..., Ended]

OF_ALL = {"learning_curves", "coverage"}
OF_NUMBERS = {*OF_ALL, "predicted_vs_actual", "residuals"}
OF_CLASSES = {*OF_ALL, "confusion", "roc_and_precision_recall", "calibration"}
QUICK = ("model.hidden=[8]", "trainer.max_epochs=2", "figures=auto", "data=csv", "data.path=t.csv", "name=r")
PLAIN = ("baselines=[linear]", "ensemble=1")

pytestmark = pytest.mark.usefixtures("quick_images")


def table(rows: int = 300) -> pl.DataFrame:
    """A column of each kind, with missing values, and targets."""
    rng = np.random.default_rng(0)
    size, colour = rng.normal(1e6, 3, rows), rng.choice(["red", "green", "blue"], rows)
    start = np.datetime64("2020-01-01")
    return pl.DataFrame(
        {
            "size [mm]": np.where(rng.uniform(size=rows) < 0.1, np.nan, size),
            "the.colour": colour,
            "sold": start + rng.integers(0, 900, rows).astype("timedelta64[D]"),
            "new": rng.choice([True, False], rows),
            "price": size - 1e6 + (colour == "red") + rng.normal(size=rows),
            "weight": np.where(colour == "red", 0, rng.uniform(1, 2, rows)),
            "shade": rng.normal(size=rows),
            "kind": np.where(size > 1e6, "</script>", "two"),
        }
    ).with_columns(pl.col("size [mm]").fill_nan(None))


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
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    overrides: list[str],
    expected: set[str],
) -> None:
    frame = table()
    frame.write_csv(tmp_path / "t.csv")
    ended = command(*QUICK, *PLAIN, *overrides)
    assert ended.status == 0, ended
    assert "no figures" not in ended.out
    folder = tmp_path / "outputs/r"
    figures = read_figures(folder)
    assert figures.keys() == expected
    assert {path.stem for path in (folder / "figures").glob("*.png")} == expected
    assert {tag.removeprefix("visuals/") for tag in events_of(folder).Tags()["images"]} == expected
    assert all(figure["description"] for figure in figures.values())
    for figure in figures.values():  # TensorBoard shrinks wider images, and their texts, to 350 pixels
        assert not {"hconcat", "concat"} & figure.keys()
        assert max(map(int, re.findall(r'"width": (\d+)', json.dumps(figure)))) <= 420
    drawn = json.dumps(figures["learning_curves"])
    assert all(f'"curve": "{name}"' in drawn for name in ("train/loss", "val/loss"))
    if "data.target=price" in overrides:  # what is drawn are the test predictions of rows that have weight
        predicted = pl.read_csv(folder / "test_predictions.csv")
        has_weight = frame["weight"].gather(predicted["row"] - 1) > 0
        assert 0 < has_weight.sum() < len(predicted)
        predicted = predicted.filter(has_weight)
        points = figures["predicted_vs_actual"]["layer"][1]["data"]["values"]
        ours = [point for point in points if point["model"] == "this network"]
        for name, column in (("row", "row"), ("actual", "price"), ("predicted", "prediction")):
            assert [point[name] for point in ours] == pytest.approx(predicted[column].to_list())
    (tmp_path / "t.csv").unlink()
    monkeypatch.setattr("mlplab.commands.train.heavy_imports", None)  # neither table nor torch is needed
    again = command("resume=outputs/r")
    assert (again.status, again.out.splitlines()[0]) == (0, "outputs/r has already finished")


@pytest.mark.parametrize(
    ("figures", "expected"), [("auto", {"best"}), ("all", {"best", "other"}), ("none", set())]
)
def test_of_a_sweep_the_best_run_is_drawn_or_all_are_or_none(
    tmp_path: Path, figures: str, expected: set[str]
) -> None:
    for name, score in {"best": 1.0, "other": 2.0, "failed": 0.5, "drawn": 3.0}.items():
        (tmp_path / name / "figures").mkdir(parents=True)
        write_config(tmp_path / name, {"monitor": "val/mae", "figures": figures, "optimizer": {"lr": score}})
        status = "failed" if name == "failed" else "done"
        metrics = {"status": status, "val/mae": score, "test/rmse": score}
        (tmp_path / name / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "drawn/figures/residuals.vl.json").touch()
    drawn = set[str]()

    class Recorder:
        def call(self, function: Callable[..., None], folder: Path) -> None:
            assert function is draw_figures
            drawn.add(folder.name)

    draw_sweep(results_of(tmp_path), Recorder())
    assert drawn == expected


def drawn(sweep: Path) -> set[str]:
    return {path.parent.name for path in sweep.glob("*/figures")}


def test_a_figure_that_cannot_be_drawn_is_a_warning(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("not drawn")

    with monkeypatch.context() as patched:
        patched.setattr("mlplab.figures.files.image", fails)
        ended = command(*SMALL, "figures=auto", "name=r")
        sweep = command("-m", *SMALL, "figures=auto", "seed=0,1", "name=s")
    assert (ended.status, sweep.status) == (0, 0)
    assert "warning: no figures of outputs/r: ValueError: not drawn" in ended.out
    assert "rmse" in ended.out
    assert "run folder: outputs/r" in ended.out
    assert sweep.out.count("warning: no figures of outputs/s") == 1
    folder = tmp_path / "outputs/r"
    assert json.loads((folder / "metrics.json").read_text())["status"] == "done"
    assert not is_drawn(folder)
    assert command("resume=outputs/r").status == 0  # draws what is missing
    assert is_drawn(folder)
    assert command("-m", *SMALL, "figures=auto", "seed=0,1", "name=s").status == 0
    assert len(drawn(tmp_path / "outputs/s")) == 1


def test_of_a_full_disk_the_scores_are_printed(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("mlplab.figures.files.image", fails)
    for words in (SMALL, ("-m", *SMALL, "seed=0,1")):
        ended = command(*words, "figures=auto", f"name={len(words)}")
        assert ended.status == 1
        assert "rmse" in ended.out
        assert "No space left on device" in ended.err


class Remote(DummyLogger):
    """A logger that would start a run elsewhere when it is made."""

    made: ClassVar[list[str]] = []

    def __init__(self, save_dir: str) -> None:
        super().__init__()
        self.made.append(save_dir)


def test_other_loggers_are_not_made_again(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPLAB_ALLOWED_CLASSES", "remote.Remote")
    monkeypatch.setitem(sys.modules, "remote", sys.modules[__name__])
    custom = "+logger.remote._target_=remote.Remote"
    assert command(*SMALL, "figures=auto", "name=r", custom).status == 0
    assert Remote.made.count("outputs/r") == 1


def test_a_run_that_trains_on_is_drawn_again(command: Command, tmp_path: Path) -> None:
    first = (*SMALL[:-1], "scheduler=constant", "trainer.max_epochs=2", "figures=auto", "name=r")
    first = (*first, "model.linear_path=false")
    assert command(*first).status == 0
    folder = tmp_path / "outputs/r"
    (folder / "figures/importance.png").write_bytes(b"of the network so far")
    before = read_figures(folder)["predicted_vs_actual"]
    assert command("resume=outputs/r", "trainer.max_epochs=4").status == 0
    assert read_figures(folder)["predicted_vs_actual"] != before
    assert not (folder / "figures/importance.png").exists()


def test_the_best_value_of_an_ensemble_is_of_all_its_networks(command: Command, tmp_path: Path) -> None:
    stopping = ("callbacks.early_stopping.patience=1", "optimizer.lr=0.03", "trainer.max_epochs=30")
    assert command(*SMALL[:-1], *stopping, "ensemble=4", "name=r").status == 0
    best = [point.value for point in events_of(tmp_path / "outputs/r").Scalars("val/mae_best")]
    assert len(best) > 2
    assert best == sorted(best, reverse=True)
