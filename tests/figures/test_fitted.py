"""What a network has learned of one or two columns."""

import numpy as np
import pytest

from mlplab.figures.fitted import CURVE, SURFACE, Fitted, fitted, grid_over


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("classes", [(), ("no", "yes"), tuple("abcdefghijkl")])
def test_predictions_are_drawn_at_each_value(columns: int, classes: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, columns))
    x[0, 0] = np.nan
    y = rng.integers(0, len(classes), 40).astype(float) if classes else rng.normal(size=40)
    grid = grid_over(x)
    assert grid.shape == ((CURVE, 1) if columns == 1 else (SURFACE**2, 2))
    assert (grid.min(0) == np.nanmin(x, 0)).all()
    assert (grid.max(0) == np.nanmax(x, 0)).all()
    outputs = len(classes) or 1
    predicted = rng.dirichlet(np.ones(outputs), len(grid)) if classes else rng.normal(size=(len(grid), 1))
    chart = fitted(Fitted(["a [mm]", "b.c"][:columns], "y", classes, grid, predicted, x, y)).to_dict()
    sizes = [len(layer["data"]["values"]) for layer in chart["layer"]]
    assert max(sizes) == (CURVE * outputs if columns == 1 else SURFACE**2)
    if classes:
        drawn = {row["target"] for layer in chart["layer"] for row in layer["data"]["values"]}
        assert drawn <= set(classes)
    assert "a [mm]" in str(chart["layer"][0]["encoding"]["x"]["title"])


def test_a_column_with_one_value_has_a_surface() -> None:
    x = np.stack([np.zeros(9), np.arange(9.0)], 1)
    grid = grid_over(x)
    chart = fitted(Fitted(["a", "b"], "y", (), grid, grid[:, 1:], x, np.arange(9.0))).to_dict()
    cells = chart["layer"][0]["data"]["values"]
    assert all(cell["x"] < cell["x2"] for cell in cells)
