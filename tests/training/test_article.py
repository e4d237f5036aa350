"""The article's network against its formulas written out by hand in NumPy."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from support import resolved

from mlplab.data.cache import DataCache
from mlplab.data.load_table import opened_source
from mlplab.training.fit import Observer, StackTrainer, fit
from mlplab.training.run import Run

Array = NDArray[np.float64]


class Losses(Observer):
    """The losses of all steps, of a network that begins with these parameters."""

    def on_fit_start(self, stack: StackTrainer) -> None:
        self.seen, parameters = list[float](), stack.module.network.body.parameters()
        self.start = [parameter.detach()[0].double().clone().numpy() for parameter in parameters]

    def next_stop(self, step: int) -> int:
        return step + 1

    def on_step(self, stack: StackTrainer) -> None:
        self.seen.append(stack.module.last_losses().item())


def adam_losses(x: Array, y: Array, parameters: list[Array], steps: int) -> Iterator[float]:
    """z = xW + b, a = max(z, 0); gradients by the chain rule; Adam with bias correction."""
    w1, b1, w2, b2 = parameters = [parameter.copy() for parameter in parameters]
    mean, square = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    lr, beta1, beta2, eps = 0.01, 0.9, 0.999, 1e-8
    for step in range(1, steps + 1):
        z = x @ w1 + b1
        a = np.maximum(z, 0)
        error = a @ w2 + b2 - y
        yield float(np.mean(error**2))
        slope = 2 * error / len(y)
        back = (slope @ w2.T) * (z > 0)
        gradients = [x.T @ back, back.sum(0, keepdims=True), a.T @ slope, slope.sum(0, keepdims=True)]
        for p, g, m, v in zip(parameters, gradients, mean, square, strict=True):
            m += (1 - beta1) * (g - m)
            v += (1 - beta2) * (g * g - v)
            p -= lr * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + eps)


@pytest.mark.usefixtures("full_speed")
@pytest.mark.parametrize(("precision", "steps", "tolerance"), [(64, 100, 1e-9), (32, 50, 1e-4)])
def test_losses_are_those_of_the_formulas(precision: int, steps: int, tolerance: float) -> None:
    run = resolved("experiment=article", f"trainer.precision={precision}", f"trainer.max_epochs={steps}")
    data, losses = DataCache().data(run), Losses()
    fit([Run(run, data)], [losses])
    assert [each.shape for each in losses.start] == [(2, 4), (1, 4), (4, 1), (1, 1)]
    rows = data.split.train
    with opened_source(run.data) as source:
        frame = source.rows.collect()
    x, y = frame.select("x1", "x2").to_numpy()[rows], frame.select("target").to_numpy()[rows]
    np.testing.assert_allclose(y[:, 0], x[:, 0] * x[:, 1] + x[:, 0])
    np.testing.assert_allclose(losses.seen, list(adam_losses(x, y, losses.start, steps)), rtol=tolerance)
    assert losses.seen[-1] < losses.seen[0]
