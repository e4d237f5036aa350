import numpy as np
import polars as pl
import pytest

from mlplab.data.synthetic import FUNCTIONS, LAGS, SCENARIOS, draw
from mlplab.errors import UserError

KNOWN = [  # worked out by hand from the formulas
    ("linear", [0.5, -1.0], 5.0),
    ("product", [0.5, -1.0], 0.0),
    ("sine", [0.25], 1.0),
    ("friedman1", [0.5, 1.0, 0.5, 0.3, 0.2], 14.0),
]


@pytest.mark.parametrize(("name", "known_x", "known_y"), KNOWN)
def test_a_table_holds_the_functions_known_values(name: str, known_x: list[float], known_y: float) -> None:
    values, inputs, low, high = FUNCTIONS[name]
    assert values(np.array([known_x]))[0] == pytest.approx(known_y)
    frame = draw(name, rows=50, features=None, noise=0.0, seed=3)
    x = frame.drop("target").to_numpy()
    assert x.shape == (50, inputs)
    assert ((x >= low) & (x <= high)).all()
    np.testing.assert_allclose(frame["target"].to_numpy(), values(x))


def test_features_that_do_not_fit_are_refused() -> None:
    for name, message in (("friedman1", r"uses 5 inputs \(found 4"), ("demand", "fixed set of inputs")):
        with pytest.raises(UserError, match=message):
            draw(name, rows=9, features=4, noise=0.0, seed=0)


@pytest.mark.parametrize("name", ["sine", *SCENARIOS])
def test_the_seed_decides(name: str) -> None:
    first, again, other = (draw(name, rows=99, features=None, noise=1.0, seed=seed) for seed in (0, 0, 1))
    assert first.height == 99
    assert first.equals(again)
    assert not first.equals(other)


@pytest.mark.parametrize(
    ("name", "features", "coefficient"), [("demand", None, 0.7), ("ratings", None, 0), ("sine", 3, 0)]
)
def test_noise_is_the_innovations_of_the_error(name: str, features: int | None, coefficient: float) -> None:
    clean, noisy = (draw(name, rows=4000, features=features, noise=noise, seed=0) for noise in (0.0, 0.5))
    error = (noisy["target"] - clean["target"]).to_numpy()
    innovations = error[1:] - coefficient * error[:-1]
    assert innovations.std() == pytest.approx(0.5, rel=0.05)
    assert np.corrcoef(innovations, error[:-1])[0, 1] == pytest.approx(0, abs=0.05)
    known = pl.exclude("target", "^lag_.*$")
    assert noisy.select(known).equals(clean.select(known))


def test_demand_has_its_known_values_and_those_of_earlier_hours() -> None:
    noisy = draw("demand", rows=400, features=None, noise=2.0, seed=0)
    assert noisy.columns == ["time", "temperature", *(f"lag_{lag}" for lag in LAGS), "target"]
    assert (noisy["time"].diff().drop_nulls().dt.total_seconds() == 3600).all()
    for lag in LAGS:
        assert noisy[f"lag_{lag}"][lag:].equals(noisy["target"][:-lag], check_names=False)
    frame = draw("demand", rows=6 * 24, features=None, noise=0.0, seed=0)
    at_work, at_home = 25.0, 12.0
    for row, added in {3: 0.0, 12: at_work, 20: at_home, 5 * 24 + 12: 0.0}.items():  # the last on a Saturday
        cold = max(14 - frame["temperature"][row], 0)
        assert cold > 0, "it is January"
        assert frame["target"][row] == pytest.approx(80 + 4 * row / 8766 + 1.5 * cold + added)


@pytest.mark.parametrize(("name", "classes"), [("moons", "ab"), ("blobs", "abc")])
def test_noise_moves_the_inputs_of_balanced_classes(name: str, classes: str) -> None:
    clean, noisy = (draw(name, rows=9000, features=None, noise=noise, seed=0) for noise in (0.0, 0.5))
    assert clean.columns == ["x1", "x2", "target"]
    assert noisy["target"].equals(clean["target"])
    x, y = clean[:, :2].to_numpy(), clean["target"].to_numpy()
    np.testing.assert_allclose((noisy[:, :2].to_numpy() - x).std(0), 0.5, rtol=0.05)
    counts = [np.sum(y == label) for label in classes]
    assert (sum(counts), np.ptp(counts)) == (9000, 0)
    if name == "moons":  # half circles
        is_b = y == "b"
        np.testing.assert_allclose(np.hypot(x[:, 0] - is_b, x[:, 1] - is_b / 2), 1)
        assert x[~is_b, 1].min() >= 0
        assert x[is_b, 1].max() <= 0.5
    else:  # normal, with means 4 apart
        means = np.array([x[y == label].mean(0) for label in classes])
        np.testing.assert_allclose(np.linalg.norm(means - np.roll(means, 1, 0), axis=1), 4, rtol=0.03)
        np.testing.assert_allclose([x[y == label].std(0) for label in classes], 1, rtol=0.05)
