from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from support import resolved

from mlplab.data.cache import DataCache
from mlplab.training.stack.build import class_weights

CLASSES = np.array(["often"] * 80 + ["seldom"] * 30 + ["rare"] * 10)


@pytest.fixture(autouse=True)
def table(here: Path) -> None:
    rows = np.arange(120)
    pl.DataFrame({"x": rows / 7, "w": rows % 3, "y": CLASSES}).write_csv(here / "t.csv")
    (here / "parts.txt").write_text("\n".join(["train"] * 60 + ["val"] * 25 + ["test"] * 35))


def weights_of(*overrides: str) -> tuple[np.ndarray, np.ndarray]:
    """The weights, and the weighted number of training rows of each class: often, rare, seldom."""
    run = resolved("data=csv", "data.path=t.csv", "data.target=y", *overrides)
    found = class_weights([run], [data := DataCache().data(run)])
    rows, weight = data.split.train, data.table.weight
    counts = np.bincount(data.table.y[rows, 0].astype(int), None if weight is None else weight[rows], 3)
    return found[0, 0].numpy(), counts


@pytest.mark.parametrize("of_rows", [(), ("data.weight=w",)], ids=["", "with row weights"])
def test_balanced_classes_have_the_same_total_weight_and_given_ones_mean_1(of_rows: tuple[str, ...]) -> None:
    weights, counts = weights_of("data.class_weights=balanced", *of_rows)
    np.testing.assert_allclose(weights * counts, counts.sum() / 3)
    weights, counts = weights_of("data.class_weights={rare: 8, seldom: 0}", *of_rows)
    np.testing.assert_allclose(weights / weights[0], [1, 8, 0])
    assert np.average(weights, weights=counts) == pytest.approx(1)


def test_a_class_without_training_rows_has_no_weight() -> None:
    weights, _ = weights_of("data.class_weights=balanced", "data/split=file", "data.split.path=parts.txt")
    assert weights.tolist() == [1, 0, 0]


def test_members_have_their_own_and_others_none() -> None:
    table = ("data=csv", "data.path=t.csv", "data.target=y")
    runs = [resolved(*table, f"data.split.seed={seed}", "data.class_weights=balanced") for seed in (0, 1)]
    data = [DataCache().data(run) for run in runs]
    alone = [class_weights([run], [rows]) for run, rows in zip(runs, data, strict=True)]
    assert torch.equal(class_weights(runs, data), torch.cat(alone))
    assert class_weights([resolved(*table)], data[:1]) is None
