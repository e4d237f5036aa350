import numpy as np
import pytest
import torch

from mlplab.effective_rows import effective_rows


@pytest.mark.parametrize(("weight", "rows"), [([2, 2, 2], 3), ([5, 0, 0], 1), ([1, 2], 9 / 5)])
def test_weighted_rows_are_worth_as_many_equal_ones(weight: list[float], rows: float) -> None:
    for of in (np.array, torch.tensor):
        assert effective_rows(of(weight)) == pytest.approx(rows)
