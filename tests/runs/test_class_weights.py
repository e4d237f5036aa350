"""The weights of classes in the loss of each member."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from support import resolved

from mlplab.config import ResolvedConfig
from mlplab.data.cache import DataCache, RunData
from mlplab.training.stack.build import class_weights

ROWS = 120
LABELS = np.array(["often"] * 80 + ["seldom"] * 30 + ["rare"] * 10)
CLASSES = ("often", "rare", "seldom")
WEIGHT = np.arange(ROWS) % 3


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pl.DataFrame({"x": np.arange(ROWS) / 7, "w": WEIGHT, "y": LABELS}).write_csv("t.csv")


def run_of(*overrides: str) -> tuple[ResolvedConfig, RunData]:
    run = resolved("data=csv", "data.path=t.csv", "data.target=y", *overrides)
    return run, DataCache().data(run)


def weights_of(*overrides: str) -> tuple[np.ndarray, np.ndarray]:
    """The weights, and the weighted number of training rows of each class."""
    run, data = run_of(*overrides)
    found = class_weights([run], [data])
    assert found is not None
    rows = data.split.train
    row_weight = None if data.table.weight is None else data.table.weight[rows]
    return found[0, 0].numpy(), np.bincount(data.table.y[rows, 0].astype(int), row_weight, minlength=3)


@pytest.mark.parametrize("of_rows", [(), ("data.weight=w",)], ids=["", "with row weights"])
def test_balanced_classes_have_the_same_total_weight(of_rows: tuple[str, ...]) -> None:
    weights, counts = weights_of("data.class_weights=balanced", *of_rows)
    np.testing.assert_allclose(weights * counts, counts.sum() / 3)


@pytest.mark.parametrize("of_rows", [(), ("data.weight=w",)], ids=["", "with row weights"])
def test_given_weights_keep_their_ratios_and_have_mean_1(of_rows: tuple[str, ...]) -> None:
    weights, counts = weights_of("data.class_weights={rare: 8, seldom: 0}", *of_rows)
    np.testing.assert_allclose(weights / weights[0], [1, 8, 0])
    assert np.average(weights, weights=counts) == pytest.approx(1)


def test_a_class_without_training_rows_has_no_weight() -> None:
    Path("parts.txt").write_text("\n".join(["train"] * 60 + ["val"] * 25 + ["test"] * 35))
    split = ("data/split=file", "data.split.path=parts.txt")
    weights, counts = weights_of("data.class_weights=balanced", *split)
    assert counts.tolist() == [60, 0, 0]
    assert weights.tolist() == [1, 0, 0]


def test_members_have_their_own_and_others_none() -> None:
    runs = [run_of(f"data.split.seed={seed}", "data.class_weights=balanced") for seed in (0, 1)]
    found = class_weights(*zip(*runs, strict=True))
    assert found is not None
    assert found.shape == (2, 1, 3)
    for member, (run, data) in enumerate(runs):
        assert torch.equal(found[member : member + 1], class_weights([run], [data]))  # type: ignore[arg-type]
    assert class_weights(*map(list, zip(run_of(), strict=True))) is None
