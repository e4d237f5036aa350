import pickle
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import polars as pl
import pytest
import torch
from runs.unfinished import untrained
from support import SMALL, train_into

import mlplab
from mlplab.commands.arguments import Evaluate
from mlplab.commands.evaluate import evaluate
from mlplab.data import synthetic
from mlplab.runs.trained import ensemble, run_stack, trained_run
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.run_stack import RunStack, stacked

pytestmark = pytest.mark.usefixtures("full_speed")

FRAME = synthetic.draw("friedman1", rows=700, features=None, noise=0.0, seed=3)
QUANTILES = (*SMALL, "model/preprocessing=quantile")
PIECES = (*QUANTILES, "model.piecewise_linear_bins=7", "model.piecewise_linear_width=5")
KINDS: dict[str, tuple[str, ...]] = {
    "quantiles and periodic features": (*QUANTILES, "model.norm=layer", "model.periodic_features=3"),
    "piecewise-linear embeddings": (*PIECES, "model.linear_path=true"),
    "residual in 64 bits": (*SMALL, "model.residual=true", "model.activation=tanh", "trainer.precision=64"),
    "ensembles of two activations": (*SMALL, "model.activation=[tanh,relu]", "ensemble=3"),
    "heads": (*SMALL, "model.hidden=[7,5]", "model.heads=3"),
    "heads of classes": ("data=synthetic", "data.function=moons", *SMALL[1:], "model.heads=4"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_networks_predict_the_same_bits_in_a_stack(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(run_stack, "MEMBERS_AT_ONCE", 4)
    monkeypatch.setattr(run_stack, "ROWS_AT_ONCE", 1024)
    runs = untrained(*([*KINDS[kind], f"seed={seed}"] for seed in range(5)))
    for seed, run in enumerate(runs):
        if "linear_path.share" in run.state:
            run.state["linear_path.share"][:] = seed / 10
    stack = RunStack(runs)
    alone = [RunStack([run]) for run in runs]
    for rows in (1, 63, 65, 1500):
        drawn = np.random.default_rng(rows)
        x = drawn.normal(size=(rows, len(runs[0].schema.inputs))).astype(runs[0].dtype)
        x[drawn.random(x.shape) < 0.1] = np.nan
        together = stack(x)
        for each, predicted in zip(alone, np.split(together, 5), strict=True):
            np.testing.assert_array_equal(each(x), predicted)
    np.testing.assert_array_equal(stack(x[:700]), together[:, :700])
    assert len(np.unique(together[:, 0, 0])) == len(together)


def test_passes_share_one_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which bounds its memory, however many runs there are."""
    mixed = enumerate(("relu", "tanh", "relu", "tanh", "tanh", "relu", "relu", "tanh"))
    runs = untrained(*([*SMALL, f"seed={seed}", f"model.activation={each}"] for seed, each in mixed))
    built = Mock(wraps=trained_run.build_network)
    monkeypatch.setattr(trained_run, "build_network", built)
    monkeypatch.setattr(run_stack, "MEMBERS_AT_ONCE", 2)
    RunStack(runs)(np.zeros((1, len(runs[0].schema.inputs)), np.float32))
    assert built.call_count == 2  # one for each order of activations


def test_runs_share_a_stack_if_only_dropout_differs() -> None:
    runs = untrained(SMALL, [*SMALL, "seed=1", "model.dropout=0.2"])
    [wider] = untrained([*SMALL, "model.hidden=[8,9]"])
    assert [stack.runs for stack in stacked([runs[0], wider, runs[1]])] == [tuple(runs), (wider,)]
    thresholds = [replace(run, threshold=value) for run, value in zip(runs, (0.2, 0.6), strict=True)]
    assert Ensemble(thresholds, [0.25, 0.75]).threshold == pytest.approx(0.5)
    loaded = Ensemble(runs)
    expected = loaded.predict(FRAME)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(loaded)).predict(FRAME), expected)
    assert loaded.predict(FRAME[:0].cast(pl.Float64)).shape == (0,)


def weighted(folder: Path, weights: list[float]) -> Path:
    """The folder of a trained ensemble, after its networks have got other weights."""
    path = folder / "checkpoints/best.ckpt"
    content = torch.load(path, weights_only=True)
    torch.save(content | {"member_weights": dict(enumerate(weights))}, path)
    return folder


def test_runs_weigh_alike_and_members_by_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_into(tmp_path, *([*SMALL, f"seed={seed}", "ensemble=2"] for seed in range(2)))
    first, second, mean = (
        mlplab.load(weighted(tmp_path / "0", weights)).predict(FRAME)
        for weights in ([1.0, 0.0], [0.0, 1.0], [0.25, 0.75])
    )
    np.testing.assert_allclose(mean, 0.25 * first + 0.75 * second, rtol=1e-12)
    other, sweep = mlplab.load(tmp_path / "1").predict(FRAME), mlplab.load(tmp_path, "all")
    expected = sweep.predict(FRAME)
    np.testing.assert_allclose(expected, (mean + other) / 2, rtol=1e-12)
    monkeypatch.setattr(ensemble, "BLOCK_VALUES", 300)
    np.testing.assert_array_equal(sweep.predict(FRAME), expected)
    (tmp_path / "ensemble-5.json").write_text('{"runs": {"0": 0.2, "1": 0.8}, "scores": {}}')
    chosen = mlplab.load(tmp_path / "ensemble-5.json").predict(FRAME)
    np.testing.assert_allclose(chosen, 0.2 * mean + 0.8 * other, rtol=1e-12)


def test_the_weighted_mean_prediction_is_evaluated(tmp_path: Path) -> None:
    [trained] = train_into(tmp_path, [*SMALL, "ensemble=2", "model.activation=relu"])
    for weights, same in (([0.5, 0.5], True), ([0.3, 0.7], False)):
        [scores] = evaluate(Evaluate(run=str(weighted(tmp_path / "0", weights)))).runs
        assert (scores["rmse"] == trained["test/rmse"]) == same
