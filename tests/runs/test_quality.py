"""How good the default network is. Slow: `uv run pytest -m slow`."""

from pathlib import Path
from statistics import fmean

import pytest
from support import train_into


@pytest.mark.slow
def test_the_default_network_on_ten_splits_of_the_concrete_table(tmp_path: Path) -> None:
    """Mean test RMSE in MPa, here 4.24 with a standard error of 0.18 over the splits."""
    splits = [[f"data.split.seed={seed}", "data.split.test=0.1", "data.split.val=0.09"] for seed in range(10)]
    each = train_into(tmp_path, *splits)
    rmse, ridge = (fmean(metrics[name] for metrics in each) for name in ("test/rmse", "linear/test/rmse"))
    assert rmse < 4.8
    assert rmse < ridge / 2
