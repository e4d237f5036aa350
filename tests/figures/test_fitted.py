"""What a network has learned of one or two columns."""

import numpy as np
import pytest

from mlplab.figures.fitted import CURVE, SURFACE, fitted, grid_over
from mlplab.figures.scored_rows import ScoredRows


@pytest.mark.parametrize(
    ("columns", "classes"), [(1, ()), (2, ()), (2, ("no", "yes")), (2, tuple("abcdefghijkl"))]
)
def test_predictions_are_drawn_at_each_value(columns: int, classes: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, columns))
    x[0, 0] = np.nan
    y = rng.integers(0, len(classes), 40) if classes else rng.normal(size=40)
    scored = ScoredRows("y", np.arange(40), 40, np.ones(40), y, {}, classes)
    grid = grid_over(x)
    assert grid.shape == ((CURVE, 1) if columns == 1 else (SURFACE**2, 2))
    assert (grid.min(0) == np.nanmin(x, 0)).all()
    assert (grid.max(0) == np.nanmax(x, 0)).all()
    predicted = rng.dirichlet(np.ones(len(classes) or 1), len(grid))
    chart = fitted(["a [mm]", "b.c"][:columns], scored, grid, predicted, x)
    layers = chart.to_dict(validate=columns == 1)["layer"]
    assert max(len(layer["data"]["values"]) for layer in layers) == len(grid)
    if classes:
        assert {row["target"] for layer in layers for row in layer["data"]["values"]} <= set(classes)
    assert "a [mm]" in str(layers[0]["encoding"]["x"]["title"])


def test_a_column_with_one_value_has_a_surface() -> None:
    x = np.stack([np.zeros(9), np.arange(9.0)], 1)
    grid = grid_over(x)
    scored = ScoredRows("y", np.arange(9), 9, np.ones(9), np.arange(9.0), {})
    chart = fitted(["a", "b"], scored, grid, grid[:, 1:], x).to_dict(validate=False)
    assert all(cell["x"] < cell["x2"] for cell in chart["layer"][0]["data"]["values"])
