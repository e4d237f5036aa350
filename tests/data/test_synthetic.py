import numpy as np
import pytest

from mlplab.data.synthetic import FUNCTIONS, draw
from mlplab.errors import UserError

# Values worked out by hand from the formulas.
KNOWN = {
    "linear": ([0.5, -1.0], 5.0),
    "product": ([0.5, -1.0], 0.0),
    "sine": ([0.25], 1.0),
    "step": ([0.0], 1.0),
    "friedman1": ([0.5, 1.0, 0.5, 0.3, 0.2], 14.0),
    "friedman2": ([3.0, 5.0, 1.0, 0.2], 5.0),
    "friedman3": ([4.0, 5.0, 1.0, 0.2], np.pi / 4),
}


def test_every_function_has_its_known_value() -> None:
    assert KNOWN.keys() == FUNCTIONS.keys()
    for name, (x, y) in KNOWN.items():
        assert FUNCTIONS[name].values(np.array([x]))[0] == pytest.approx(y), name
        assert FUNCTIONS[name].values.__doc__, name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_table_holds_the_functions_values(name: str) -> None:
    table = draw(name, rows=50, features=None, noise=0.0, seed=3)
    x = table.frame.select(table.features).to_numpy()
    np.testing.assert_allclose(table.frame["target"].to_numpy(), FUNCTIONS[name].values(x))
    low, high = np.array(FUNCTIONS[name].bounds).T
    assert ((x >= low) & (x <= high)).all()


def test_noise_and_further_features() -> None:
    clean, noisy = (draw("sine", rows=4000, features=3, noise=noise, seed=0).frame for noise in (0.0, 0.5))
    assert clean.columns == ["x1", "x2", "x3", "target"]
    assert (noisy["target"] - clean["target"]).std() == pytest.approx(0.5, rel=0.05)
    assert noisy["x3"].equals(clean["x3"])


def test_the_seed_decides() -> None:
    first, again, other = (
        draw("sine", rows=9, features=None, noise=1.0, seed=seed).frame for seed in (0, 0, 1)
    )
    assert first.equals(again)
    assert not first.equals(other)


def test_too_few_features_are_told() -> None:
    with pytest.raises(UserError, match=r"friedman1 uses 5 inputs \(found 4"):
        draw("friedman1", rows=9, features=4, noise=0.0, seed=0)
