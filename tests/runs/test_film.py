"""The film of a run: its numbers against autograd, and the same however the run was trained."""

import errno
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, Mock

import numpy as np
import polars as pl
import pytest
import torch
from films import film_in
from numpy.typing import NDArray
from rich.console import Console
from runs.unfinished import train_until
from support import resolved, train_into
from torch import Tensor
from torch.nn import functional

from mlplab.data.batches.loader import Batch
from mlplab.data.cache import DataCache
from mlplab.errors import CannotWrite, UserError
from mlplab.runs.film import recorder
from mlplab.runs.film.recorder import FilmFrames, film_steps
from mlplab.runs.observers.open_run import WatchedRun
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.read_folder import read_metrics
from mlplab.runs.train_runs import check_buildable, train_runs
from mlplab.training import step_loop
from mlplab.training.run import Run
from mlplab.training.stack.build import build_stack

Weights = list[list[Tensor]]

QUICK = ("baselines=[]", "test=false", "logger=[]")
ARTICLE = ("experiment=article", "trainer.max_epochs=20", *QUICK)
PLAIN = ("experiment=film", "trainer.max_epochs=3", "callbacks.early_stopping.patience=null", *QUICK)

pytestmark = pytest.mark.usefixtures("full_speed")


def forward(weights: Weights, activations: Sequence[str], a: Tensor) -> list[tuple[Tensor, Tensor]]:
    outputs = []
    for (weight, bias), name in zip(weights, activations, strict=True):
        z = a @ weight + bias
        a = getattr(functional, name)(z) if name else z
        outputs.append((z, a))
    return outputs


def adam(network: dict[str, Any], part: dict[str, NDArray[np.float32]], frame: int) -> NDArray[np.float64]:
    """The new weights by the formulas of Kingma & Ba 2015, algorithm 1, from the moments that are shown."""
    settings, step, lr = network["optimizer"], network["steps"][frame] + 1, network["lr"][frame]
    first, second = settings["betas"]
    before, mean, square = (part[name][frame].astype(np.float64) for name in ("before", "mean", "square"))
    change = mean / (1 - first**step) / (np.sqrt(square / (1 - second**step)) + settings["eps"])
    decay = settings["weight_decay"] if settings["name"] == "adamw" else 0
    return before * (1 - lr * decay) - lr * change


@pytest.mark.parametrize(
    "overrides",
    [
        (*ARTICLE, "model.hidden=[5,3]"),
        (*ARTICLE, "model.hidden=[]"),
        (*PLAIN, "data=penguins", "model.activation=silu", "data.batch_size=50"),
        (*PLAIN, "data=concrete", "optimizer=sgd", "optimizer.lr=0.01", "data.batch_size=100"),
    ],
    ids=" ".join,
)
def test_numbers_are_those_of_autograd(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    """To 1e-6 of the largest element: those of the shown rows, and those of each step's rows."""
    train_into(tmp_path, [*overrides, "trainer.precision=64"])
    run = film_in(tmp_path / "0")
    [network] = run["networks"]
    assert ("map" in network) == ("axes" in run) == (overrides[0] == ARTICLE[0])  # of two columns of numbers
    layers, steps = network["layers"], network["steps"]
    activations = [layer["activation"] for layer in layers]
    config, cache = resolved(*overrides, "trainer.precision=64"), DataCache()
    module, datamodule = build_stack([Run(config, cache.data(config))])
    preprocessing = module.network.preprocessing
    batches = [batch for block in datamodule.train_dataloader() for batch in steps_of(block)]

    def by_row(z: Tensor, y: Tensor) -> Tensor:
        if not run["classes"]:
            return functional.mse_loss(z, y, reduction="none")[:, 0]
        smoothing = network["loss"]["label_smoothing"]
        return functional.cross_entropy(z, y[:, 0].long(), reduction="none", label_smoothing=smoothing)

    def leaves(frame: int) -> Weights:
        parts = ([layer[name]["before"][frame] for name in ("weight", "bias")] for layer in layers)
        return [[torch.tensor(part).double().requires_grad_() for part in pair] for pair in parts]

    assert steps[:3] == [0, 1, 2]
    for frame, step in enumerate(steps):
        outputs = forward(leaves(frame), activations, torch.tensor(network["x"][0]).double())
        for z, _ in outputs:
            z.retain_grad()
        losses = by_row(outputs[-1][0], torch.tensor(network["y"]).double())
        losses.sum().backward()
        assert_close(network["losses"][frame], losses, f"losses at {step}")
        for layer, (z, a) in zip(layers, outputs, strict=True):
            for name, expected in (("z", z), ("a", a), ("delta", z.grad)):
                assert_close(layer[name][frame], expected, f"{name} at {step}")
        if step == steps[-1]:
            break
        (x, y, row_weight), weights = batches[step], leaves(frame)
        targets = preprocessing.target_transform.transform(y[None])[0].double()
        z, _ = forward(weights, activations, preprocessing(x[None]).columns[0].double())[-1]
        loss = by_row(z, targets) @ row_weight / row_weight.sum()
        loss.backward()
        assert network["batch"][frame] == row_weight.sum()
        unit = preprocessing.target_transform.unit.item() ** module.val.loss.degree
        assert network["loss"]["train"][frame] == pytest.approx(loss.item() * unit, rel=1e-5)
        parts = [layer[name] for layer in layers for name in ("weight", "bias")]
        gradients = torch.cat([part.grad.flatten() for pair in weights for part in pair])  # type: ignore[union-attr]
        shown = np.concatenate([part["gradients"][frame].ravel() for part in parts])
        assert_close(shown, gradients, f"∂L/∂W at {step}")
        for part in parts:
            if "mean" in part:
                assert_close(part["after"][frame], adam(network, part, frame), f"new W at {step}")
            if steps[frame + 1] == step + 1 != steps[-1]:
                assert np.array_equal(part["after"][frame], part["before"][frame + 1])


def steps_of(block: Batch) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The inputs, targets and weights of the only member's rows in each step of a block."""
    weight = torch.ones_like(block.y[..., :1]) if block.row_weight is None else block.row_weight
    for x, y, row_weight in zip(block.x[0], block.y[0], weight[0], strict=True):
        yield x, y, row_weight[:, 0].double()


def assert_close(shown: NDArray[Any], tensor: Any, where: str) -> None:
    expected = torch.as_tensor(tensor).detach().numpy()
    assert shown.shape == expected.shape, where
    assert np.abs(shown - expected).max() <= 1e-6 * np.abs(expected).max(), where


def test_films_do_not_depend_on_how_a_run_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ("data=synthetic", "data.rows=90", *PLAIN, "data.batch_size=7", "model.dropout=0.2")
    train_into(tmp_path / "auto", run)
    train_into(tmp_path / "steps", [*run, "trainer.block=1"])
    train_into(tmp_path / "stack", [*run, "seed=3"], run)
    with monkeypatch.context() as patch:
        patch.setattr(step_loop, "CACHE_BYTES", 1)  # each member is a part, and makes several steps at a time
        train_into(tmp_path / "parts", [*run, "seed=3"], run)

    cache = DataCache()
    config, folder = resolved(*run, cache=cache), tmp_path / "resumed/0"
    train_until(17, [PlannedRun(config, folder)], cache)  # between two frames
    assert not (folder / "film.html").exists()
    train_runs([PlannedRun(config, folder, resume=True)], cache, Console(quiet=True))
    expected = film_in(tmp_path / "auto/0")
    for path in ("steps/0", "stack/1", "parts/1", "resumed/0"):
        np.testing.assert_equal(film_in(tmp_path / path) | {"name": ""}, expected | {"name": ""})


def test_a_film_goes_on_if_a_run_gets_more_epochs(tmp_path: Path) -> None:
    """The last frame of the first training is none of the second, which has others."""
    cache, words = DataCache(), [word for word in ARTICLE if "max_epochs" not in word]
    folder = tmp_path / "0"
    for epochs, resume in ((17, False), (23, True)):
        config = resolved(*words, f"trainer.max_epochs={epochs}", cache=cache)
        train_runs([PlannedRun(config, folder, resume=resume)], cache, Console(quiet=True))
    train_into(tmp_path / "at once", [*words, "trainer.max_epochs=23"])
    np.testing.assert_equal(film_in(folder), film_in(tmp_path / "at once/0"))


@pytest.mark.parametrize(("second", "kept"), [(30, [0]), (25, [0, 25])])
def test_steps_not_shown_are_dropped(monkeypatch: pytest.MonkeyPatch, second: int, kept: list[int]) -> None:
    """Of runs that were interrupted before a frame of step 25, which with more epochs is none."""
    monkeypatch.setattr(recorder, "film_steps", lambda *_: [0, second, 32])
    film = FilmFrames([Mock(spec=WatchedRun, run=Mock())])
    step = torch.tensor([[0, 25]] * 2)
    film.load_state({"step": step, "before": torch.rand(2, 2, 9), "after": torch.rand(2, 1, 9)})
    film.on_start(MagicMock())
    assert film.state()["step"].tolist() == [kept] * 2
    before = film._of_member(1)["before"]
    assert len(before) == len(kept)
    assert before.untyped_storage().nbytes() == before.nbytes  # it does not hold the frames of all


def test_points_are_rows_that_the_network_holds_out(tmp_path: Path) -> None:
    words = (*PLAIN, "data=concrete", "ensemble=3", "data.split.val=0.1")
    train_into(tmp_path, words)
    run, data = film_in(tmp_path / "0"), DataCache().data(resolved(*words))
    for network, member in zip(run["networks"], data.members, strict=True):
        held_out = data.table.y[member.split.val, 0].astype(np.float32)
        assert np.isin(network["points"]["actual"], held_out).all()
        assert network["held_out"] == np.isin(np.array(run["rows"]) - 1, member.split.val).tolist()
    points = run["networks"][0]["points"]
    assert np.corrcoef(points["predicted"][-1], points["actual"])[0, 1] > 0.5


def test_steps_are_dense_at_first_and_end_with_the_last() -> None:
    run = resolved("experiment=article")
    network = build_stack([Run(run, DataCache().data(run))])[0].network
    steps = film_steps(run, network, 1000)
    assert steps[:12] == [*range(10), 10, 12]
    assert steps[-2:] == [900, 1000]
    assert film_steps(run, network, 37)[-1] == 37
    many = film_steps(run.model_copy(update={"ensemble": 28}), network, 1000)
    assert [step for step in many if step < 60] == [0, 1, 2, 5, 10, 20, 50]


LARGE = "too large for a film (found 40 networks of 153 weights)"


@pytest.mark.parametrize(
    ("override", "message", "remedy"),
    [
        ("ensemble=40", LARGE, "ensemble=1 model.hidden=[8] model.piecewise_linear_bins=0"),
        ("model.heads=4", "a film shows networks of hidden layers, with heads=1", "model=mlp model.heads=1"),
    ],
)
def test_networks_that_a_film_cannot_show_are_refused(override: str, message: str, remedy: str) -> None:
    cache, typed = DataCache(), ["data=concrete", *PLAIN, override]

    def check(words: Sequence[str]) -> None:
        run = resolved(*words, cache=cache)
        check_buildable(run, cache.data(run))

    with pytest.raises(UserError, match=f"{re.escape(message)}(?s:.*)use {re.escape(remedy)}"):
        check(typed)
    check([*typed, *remedy.split()])


def test_a_run_that_diverges_leaves_a_film(tmp_path: Path) -> None:
    words = [word.replace("=20", "=60") for word in ARTICLE]
    [metrics] = train_into(tmp_path, [*words, "optimizer=sgd", "optimizer.lr=5"])
    assert metrics["status"] == "diverged"
    [network] = film_in(tmp_path / "0")["networks"]
    assert not np.isfinite(network["loss"]["val"][-1])
    assert network["steps"][-1] < 60


def test_rows_are_shown_as_in_the_table(tmp_path: Path) -> None:
    size = [None, *(70_000 + k / 4 for k in range(119))]
    frame = pl.DataFrame({"city": ["Rome", "Oslo", "Lima"] * 40, "size": size, "y": range(120)})
    frame.write_csv(tmp_path / "t.csv")
    train_into(tmp_path, [*PLAIN, "data=csv", f"data.path={tmp_path / 't.csv'}", "data.target=y"])
    run = film_in(tmp_path / "0")
    for row, (city, size), target in zip(run["rows"], run["cells"], run["targets"], strict=True):
        assert (city, target[0]) == (frame["city"][row - 1], frame["y"][row - 1])
        assert frame["size"][row - 1] is None or size == f"{frame['size'][row - 1]:.6g}"
    [network] = run["networks"]
    inputs = network["inputs"]
    assert len(inputs) == network["layers"][0]["weight"]["before"].shape[1]
    assert {"size", "size is missing", "city = Rome", "city = Oslo", "city = Lima"} <= {*inputs}
    oslo = [city == "Oslo" for city, _ in run["cells"]]
    assert network["x"][0][:, inputs.index("city = Oslo")].tolist() == oslo


def test_maps_show_predictions_and_the_true_function(tmp_path: Path) -> None:
    train_into(tmp_path, [word.replace("=20", "=300") for word in ARTICLE])
    run = film_in(tmp_path / "0")
    first, second = map(np.array, run["axes"])
    true = run["true"].reshape(40, 40)
    np.testing.assert_allclose(true, first[:, None] * (second + 1), atol=1e-6)
    low, high = run["range"]
    learned = low + (high - low) * run["networks"][0]["map"]["value"][-1] / 254
    assert np.abs(learned - true).mean() < 0.1
    train_into(tmp_path / "1", [*ARTICLE, "data.function=sine"])
    [network] = film_in(tmp_path / "1/0")["networks"]
    assert network["map"]["value"].shape == (len(network["steps"]), 120)


def test_a_full_disk_takes_only_the_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Mock(side_effect=OSError(errno.ENOSPC, "No space left on device"))
    monkeypatch.setattr("mlplab.runs.observers.open_run.write_film", full)
    with pytest.raises(CannotWrite, match="No space left"):
        train_into(tmp_path, ARTICLE)
    assert read_metrics(tmp_path / "0")["status"] == "done"
